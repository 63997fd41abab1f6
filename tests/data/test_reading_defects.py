"""What reading images has to survive: files left out, odd names, damage anywhere, another run at work."""

from __future__ import annotations

import io
import os
import pickle
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from stopcli import control_groups
from stopcli.data import cifar10
from stopcli.data.image_folder import DecodedImages, read_cached, write_cached
from stopcli.data.load import load_images
from stopcli.errors import RequestError


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("STOPCLI_DATASET", raising=False)


def make_cifar(folder: Path, labels: list[float] | None = None) -> Path:
    folder.mkdir(parents=True)
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "test_batch"):
        held = {b"data": np.zeros((4, 3072), np.uint8), b"labels": labels or [0, 1, 0, 1]}
        (folder / name).write_bytes(pickle.dumps(held, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"a", b"b"]}, protocol=2))
    return folder


def make_images(root: Path) -> Path:
    for part in ("train", "test"):
        for name in ("a", "b"):
            (root / part / name).mkdir(parents=True)
            Image.new("RGB", (4, 4), (9, 9, 9)).save(root / part / name / "0.png")
    return root


def test_a_batch_that_was_left_out_is_named(tmp_path: Path) -> None:
    folder = make_cifar(tmp_path / "official")
    (folder / "data_batch_2").unlink()
    with pytest.raises(RequestError, match=r"data_batch_2 missing"):
        load_images(str(folder))


def test_labels_that_are_no_whole_numbers_are_refused_and_not_rounded(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"data_batch_1: .*labels are float64"):
        load_images(str(make_cifar(tmp_path / "official", [0.5, 1.0, 0.0, 1.0])))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems demand that names are text")
def test_a_file_s_name_need_not_be_text(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images")
    inside = os.fsencode(folder / "train" / "a")
    os.rename(inside + b"/0.png", inside + b"/\xff.png")  # noqa: PTH104
    assert load_images(str(folder)).train.count == 2


def test_a_dark_image_of_sixteen_bits_stays_dark(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images")
    Image.fromarray(np.full((4, 4), 200, np.uint16)).save(folder / "train" / "a" / "0.png")
    assert load_images(str(folder)).train.x[0].max() == 1  # 200 / 257


def test_no_damage_to_a_cache_file_is_more_than_a_reason_to_decode_again(tmp_path: Path) -> None:
    x = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
    path = tmp_path / "images.npz"
    assert write_cached(path, DecodedImages(x, 0)) is None
    whole = path.read_bytes()
    # Not the pixels, which the zip's checksum guards, but what is said about them. 33: bits that flags are made of.
    for place in [i for i in range(len(whole)) if whole[i] not in x or i < 200]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 33]) + whole[place + 1 :])
        found = read_cached(path)
        assert found is None or np.array_equal(found.x, x)
    bare = io.BytesIO()
    np.save(bare, x)
    path.write_bytes(bare.getvalue())
    assert read_cached(path) is None


def test_resizing_asks_first_whether_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_groups, "available_bytes", lambda: 100_000_000)
    with pytest.raises(RequestError, match=r"digits: 1,797 images of 300 × 300 need 1\.0 GB"):
        load_images("digits", image_size=300)


def test_what_the_system_refuses_is_told_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with pytest.raises(RequestError, match="cannot be read"):
        load_images("~no_such_user_of_this_test/images")
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(RequestError, match=r"cannot be read \(Permission denied\)"):
        load_images(str(tmp_path))


def test_damage_in_keras_s_cache_is_told_with_what_to_do(tmp_path: Path) -> None:
    folder = make_cifar(tmp_path / "keras" / "datasets" / "cifar-10-batches-py-target" / "cifar-10-batches-py")
    (folder / "data_batch_1").write_bytes(b"\x80\x02")
    with pytest.raises(RequestError, match=r"data_batch_1: damaged") as raised:
        load_images("cifar10")
    assert raised.value.hint.startswith("Remove it")


def test_what_another_run_is_unpacking_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "_TRAIN", 12)
    monkeypatch.setattr(cifar10, "_TEST", 4)
    datasets = tmp_path / "keras" / "datasets"
    folder = make_cifar(datasets / "cifar-10-batches-py-target" / "cifar-10-batches-py")
    last = (folder / "test_batch").read_bytes()
    (folder / "test_batch").unlink()
    unpacking = threading.Event()

    def unpack() -> None:
        with FileLock(datasets / "cifar10.stopcli.lock"):
            unpacking.set()
            time.sleep(0.3)
            (folder / "test_batch").write_bytes(last)

    other = threading.Thread(target=unpack)
    other.start()
    try:
        assert unpacking.wait(10)
        assert load_images("cifar10").test.count == 4
    finally:
        other.join()
