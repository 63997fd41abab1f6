"""The cache of decoded images: whose it is, and when it is none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from image_folders import make_folder
from PIL import Image

from stopcli.data import image_folder, load
from stopcli.data.dataset import Splits
from stopcli.data.load import FolderRules, load_images
from stopcli.errors import RequestError
from stopcli.training.state_file import data_fingerprint


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def no_decoding(*_: object) -> None:
    raise AssertionError("decoded again")


def fingerprint_of(root: Path) -> dict[str, str]:
    images = load_images(str(root))
    return data_fingerprint(Splits(images.train, images.test, images.test))


def test_two_data_sets_of_the_same_names_sizes_and_times_are_two(tmp_path: Path) -> None:
    roots = [make_folder(tmp_path / name / "set") for name in ("a", "b")]
    for root in roots:
        for file in sorted(root.rglob("*.png")):
            os.utime(file, (0, 0))
    # The second with other pixels, and all else as in the first.
    for file in sorted(roots[1].rglob("*.png")):
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file, compress_level=0)
        os.utime(file, (0, 0))
    stats = [[(file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(root.rglob("*.png"))] for root in roots]
    assert stats[0] == stats[1]
    first, second = (load_images(str(root)) for root in roots)
    np.testing.assert_array_equal(second.train.x, 255 - first.train.x)
    assert fingerprint_of(roots[0]) != fingerprint_of(roots[1])


def test_a_file_that_was_replaced_in_place_is_found(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    before, of_before = load_images(str(root)), fingerprint_of(root)
    file = root / "train" / "a" / "0.png"
    was = file.stat()
    content = np.asarray(Image.open(file))
    with file.open("r+b") as held:
        new = tmp_path / "new.png"
        Image.fromarray(255 - content).save(new, compress_level=0)
        held.write(new.read_bytes())
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    now = file.stat()
    assert (now.st_ino, now.st_size, now.st_mtime_ns) == (was.st_ino, was.st_size, was.st_mtime_ns)
    after = load_images(str(root))
    np.testing.assert_array_equal(after.train.x[0], 255 - before.train.x[0])
    assert fingerprint_of(root) != of_before


def test_a_copy_elsewhere_is_the_same_data_and_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(tmp_path / "set")
    first = fingerprint_of(root)
    shutil.copytree(root, tmp_path / "moved")
    monkeypatch.setattr(load, "decode", no_decoding)
    assert fingerprint_of(tmp_path / "moved") == first


def test_what_decodes_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = image_folder.cache_file("digest", None)
    assert image_folder.cache_file("digest", 16) != usual
    monkeypatch.setattr(image_folder.features, "version", lambda name: f"another {name}")
    assert image_folder.cache_file("digest", None) != usual


def test_what_is_damaged_is_cached_as_such(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(tmp_path / "set")
    (root / "train" / "a" / "1.png").write_bytes(b"")
    with pytest.raises(RequestError, match=r"a/1.png \(not a PNG or JPEG file\)"):
        load_images(str(root))
    assert not cache.exists(), "what is refused leaves nothing"
    skip = FolderRules(skip_unreadable=True)
    first = load_images(str(root), rules=skip)
    monkeypatch.setattr(load, "decode", no_decoding)
    again = load_images(str(root), rules=skip)
    assert again.notes == first.notes
    assert again.train.x.tobytes() == first.train.x.tobytes()
    with pytest.raises(RequestError, match=r"a/1.png \(not a PNG or JPEG file\)"):
        load_images(str(root))


def test_what_changes_between_hashing_and_decoding_is_cached_as_what_was_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(tmp_path / "set")
    file = root / "train" / "a" / "0.png"
    before = file.read_bytes()
    decode = load.decode

    def replaced(*args: object) -> object:
        shutil.copy(root / "train" / "b" / "0.png", file)
        return decode(*args)

    with monkeypatch.context() as patch:
        patch.setattr(load, "decode", replaced)
        swapped = load_images(str(root))
    file.write_bytes(before)
    images = load_images(str(root))
    assert images.train.x[0].tobytes() != swapped.train.x[0].tobytes()
    np.testing.assert_array_equal(images.train.x[0], np.asarray(Image.open(file)))


def test_a_user_without_a_home_directory_has_no_cache_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home(*_: str, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    root = make_folder(tmp_path / "set")
    expected = load_images(str(root))
    for variable in ("STOPCLI_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", no_home)
    images = load_images(str(root))
    assert images.notes[0] == (
        "decoded images cannot be saved (there is no home directory), so they are decoded each time"
    )
    np.testing.assert_array_equal(images.train.x, expected.train.x)
