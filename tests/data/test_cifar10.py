"""CIFAR-10 in its official forms, whole and damaged, and through Keras's cache."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stopcli.data import cifar10
from stopcli.data.dataset import ImageSet
from stopcli.data.load import load_images
from stopcli.errors import RequestError, RunError

NAMES = ("plane", "car", "bird")


def batch(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images as the format holds them (channel by channel), and labels."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (rows, 3072)).astype(np.uint8), np.arange(rows) % len(NAMES)


def pickled(value: Any) -> bytes:
    # Python 2 wrote the official files, with protocol 2 and texts of bytes.
    return pickle.dumps(value, protocol=2)


def make_python(folder: Path, rows: int = 6) -> Path:
    folder.mkdir(parents=True)
    for i, name in enumerate(["data_batch_1", "data_batch_2", "test_batch"]):
        x, y = batch(rows, i)
        folder.joinpath(name).write_bytes(pickled({b"data": x, b"labels": y.tolist(), b"batch_label": b"one"}))
    folder.joinpath("batches.meta").write_bytes(pickled({b"label_names": [name.encode() for name in NAMES]}))
    return folder


def make_binary(folder: Path, rows: int = 6) -> Path:
    folder.mkdir(parents=True)
    for i, name in enumerate(["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"]):
        x, y = batch(rows, i)
        folder.joinpath(name).write_bytes(np.concatenate([y[:, None].astype(np.uint8), x], axis=1).tobytes())
    folder.joinpath("batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def check(images: ImageSet) -> None:
    assert images.classes == NAMES
    assert images.train.x.shape == (12, 32, 32, 3)
    assert (images.train.x.dtype, images.train.y.dtype) == (np.uint8, np.int32)
    for rows, seeds in ((images.train, (0, 1)), (images.test, (2,))):
        x = np.concatenate([batch(6, seed)[0] for seed in seeds])
        # Red, then green, then blue, each row by row.
        for channel in range(3):
            np.testing.assert_array_equal(
                rows.x[..., channel].reshape(len(x), -1), x[:, 1024 * channel : 1024 * (channel + 1)]
            )
        np.testing.assert_array_equal(rows.y, np.concatenate([batch(6, seed)[1] for seed in seeds]))


@pytest.mark.parametrize(
    ("make", "name"), [(make_python, "cifar-10-batches-py"), (make_binary, "cifar-10-batches-bin")]
)
def test_the_official_forms_are_read(make: Any, name: str, tmp_path: Path) -> None:
    folder = make(tmp_path / name)
    check(load_images(str(folder)))
    check(load_images(str(tmp_path)))
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as archive:
        archive.add(folder, arcname=name)
    check(load_images(str(tmp_path / "cifar.tar.gz")))


def test_images_can_be_resized(tmp_path: Path) -> None:
    images = load_images(str(make_binary(tmp_path / "c")), image_size=16)
    assert images.train.x.shape == (12, 16, 16, 3)
    assert images.test.x.shape == (6, 16, 16, 3)


def test_a_pickle_that_calls_something_is_refused_and_calls_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    folder = make_python(tmp_path / "c")
    folder.joinpath("data_batch_2").write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(RequestError, match=r"c/data_batch_2: damaged, or not CIFAR-10's \(it names posix.mkdir"):
        load_images(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("data_batch_1", b"", "data_batch_1: damaged"),
        ("data_batch_1", pickled({b"data": batch(6, 0)[0]})[:500], "data_batch_1: damaged"),
        ("data_batch_1", pickled([1, 2]), "data_batch_1: damaged"),
        ("data_batch_1", pickled({b"data": batch(6, 0)[0], b"labels": [0] * 5}), "data_batch_1: damaged.*labels"),
        ("data_batch_1", pickled({b"data": batch(6, 0)[0], b"labels": [9] * 6}), "labels beyond the 3 classes"),
        ("data_batch_1", pickled({b"data": np.zeros((6, 100), np.uint8), b"labels": [0] * 6}), "expected uint8"),
        ("batches.meta", pickled({b"label_names": [b"one", b"one"]}), "batches.meta: damaged.*class names"),
        ("test_batch", None, r"no test images \(test_batch is missing\)"),
    ],
)
def test_damaged_python_files_are_named(name: str, content: bytes | None, told: str, tmp_path: Path) -> None:
    folder = make_python(tmp_path / "c")
    if content is None:
        folder.joinpath(name).unlink()
    else:
        folder.joinpath(name).write_bytes(content)
    with pytest.raises(RequestError, match=told):
        load_images(str(folder))


def test_damaged_binary_files_and_archives_are_named(tmp_path: Path) -> None:
    folder = make_binary(tmp_path / "cifar-10-batches-bin")
    whole = folder.joinpath("test_batch.bin").read_bytes()
    folder.joinpath("test_batch.bin").write_bytes(whole[:-1])
    with pytest.raises(RequestError, match=r"test_batch.bin: damaged.*not a whole number of records of 3073"):
        load_images(str(folder))
    folder.joinpath("test_batch.bin").write_bytes(whole)
    archive = tmp_path / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, arcname="cifar-10-batches-bin")
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(RequestError, match=r"cifar.tar.gz: damaged, or not an archive"):
        load_images(str(archive))
    archive.write_bytes(b"nothing")
    with pytest.raises(RequestError, match=r"cifar.tar.gz: damaged, or not an archive"):
        load_images(str(archive))
    with tarfile.open(archive, "w:gz") as file:
        file.addfile(tarfile.TarInfo("something.txt"), io.BytesIO())
    with pytest.raises(RequestError, match=r"cifar.tar.gz: contains neither of"):
        load_images(str(archive))


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9, 0.999])
def test_a_flipped_bit_in_an_archive_is_found(at: float, tmp_path: Path) -> None:
    folder = make_python(tmp_path / "cifar-10-batches-py")
    path = tmp_path / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname=folder.name)
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 16
    path.write_bytes(content)
    with pytest.raises(RequestError, match=r"cifar\.tar\.gz: damaged"):
        load_images(str(path))
    # Cut off behind the last image: only the check sum is missing.
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname=folder.name)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RequestError, match=r"cifar\.tar\.gz: damaged"):
        load_images(str(path))


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_class_without_images_is_named(part: str, tmp_path: Path) -> None:
    folder = make_python(tmp_path / "c")
    for name in ("data_batch_1", "data_batch_2") if part == "train" else ("test_batch",):
        x, _ = batch(6, 0)
        folder.joinpath(name).write_bytes(pickled({b"data": x, b"labels": [0, 2] * 3}))
    with pytest.raises(RequestError, match=f"no {part} images of car"):
        load_images(str(folder))


def test_a_folder_called_digits_is_not_the_data_set_of_that_name(tmp_path: Path) -> None:
    make_python(tmp_path / "digits")
    images = load_images("./digits")
    assert images.name == str((tmp_path / "digits").resolve())
    assert images.train.count == 12


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("STOPCLI_DATASET", raising=False)
    return tmp_path / "keras"


def test_the_cache_of_keras_is_read_where_it_is_whole(keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_python(keras_home / "datasets" / "cifar-10-batches-py-target" / "cifar-10-batches-py")
    with pytest.raises(RequestError, match="12 and 6 images, expected 50000 and 10000") as caught:
        load_images("cifar10")
    assert caught.value.hint == "Remove it, and it is downloaded again."
    monkeypatch.setattr(cifar10, "_TRAIN", 12)
    monkeypatch.setattr(cifar10, "_TEST", 6)
    images = load_images("auto")
    check(images)
    assert images.name == "cifar10"
    assert images.notes == ()


def test_without_a_network_auto_takes_digits_and_says_so(keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise RunError("timed out")

    monkeypatch.setattr(cifar10, "download", unreachable)
    images = load_images("auto")
    assert images.name == "digits"
    assert "CIFAR-10 cannot be downloaded" in images.notes[0]
    assert "the run takes scikit-learn's small handwritten digits instead" in images.notes[0]
    assert "--dataset PATH" in images.notes[0]
    with pytest.raises(RunError, match=r"CIFAR-10 cannot be downloaded from https://www.cs.toronto.edu"):
        load_images("cifar10")


def test_the_address_and_hash_are_those_of_keras() -> None:
    from importlib.util import find_spec

    found = find_spec("keras")
    assert found is not None
    assert found.origin is not None
    source = Path(found.origin).parent.joinpath("src", "datasets", "cifar10.py").read_text(encoding="utf-8")
    for value in (cifar10._NAME, cifar10._ORIGIN, cifar10._SHA256):
        assert value in source


def test_the_variable_names_the_data_set_of_auto(
    keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOPCLI_DATASET", str(make_python(tmp_path / "c")))
    check(load_images("auto"))
    monkeypatch.setenv("STOPCLI_DATASET", "nowhere")
    with pytest.raises(RequestError, match=r"STOPCLI_DATASET: .*nowhere: no such folder"):
        load_images("auto")
    assert load_images("digits").name == "digits"
