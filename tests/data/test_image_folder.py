"""Folders of images: what is read, what is converted, what is refused, and that they are decoded once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stopcli import control_groups
from stopcli.data import load
from stopcli.data.load import FolderRules, load_images
from stopcli.errors import RequestError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pixels(seed: int, height: int = 8, width: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def make_folder(root: Path, images: int = 3) -> Path:
    """train/ and test/ with the classes b and a, as PNG."""
    for part in ("train", "test"):
        for label, name in enumerate(("b", "a")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(images):
                Image.fromarray(pixels(100 * label + i)).save(folder / f"{i}.png")
    return root


def no_decoding(*_: object) -> None:
    raise AssertionError("decoded again")


def test_images_are_read_by_class_and_name(tmp_path: Path) -> None:
    images = load_images(str(make_folder(tmp_path / "set")))
    assert images.classes == ("a", "b")
    np.testing.assert_array_equal(images.train.y, [0, 0, 0, 1, 1, 1])
    assert images.train.y.dtype == np.int32
    np.testing.assert_array_equal(images.train.x, [pixels(seed) for seed in (100, 101, 102, 0, 1, 2)])
    np.testing.assert_array_equal(images.test.x, images.train.x)
    assert images.notes == ()


def test_a_folder_is_decoded_once_until_it_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(tmp_path / "set")
    first = load_images(str(root))
    with monkeypatch.context() as patch:
        patch.setattr(load, "decode", no_decoding)
        again = load_images(str(root))
        with pytest.raises(AssertionError, match="decoded again"):
            load_images(str(root), image_size=16)
    assert again.train.x.tobytes() == first.train.x.tobytes()
    Image.fromarray(pixels(7)).save(root / "train" / "a" / "0.png")
    os.utime(root / "train" / "a" / "0.png", ns=(1, 1))
    np.testing.assert_array_equal(load_images(str(root)).train.x[0], pixels(7))
    # A damaged cache is no cache.
    for file in cache.glob("images-*.npz"):
        file.write_bytes(file.read_bytes()[:-100])
    np.testing.assert_array_equal(load_images(str(root)).train.x[0], pixels(7))
    assert not list(cache.glob(".new-*"))


def test_a_cache_that_cannot_be_written_is_only_told(tmp_path: Path, cache: Path) -> None:
    cache.write_text("in the way")
    images = load_images(str(make_folder(tmp_path / "set")))
    assert "decoded images cannot be saved in" in images.notes[0]
    assert images.train.count == 6


def test_old_caches_are_removed(tmp_path: Path, cache: Path) -> None:
    root = make_folder(tmp_path / "set")
    for size in range(8, 20):
        load_images(str(root), image_size=size)
    assert len(list(cache.glob("images-*.npz"))) == 8


def test_other_kinds_of_images_become_rgb(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    folder = root / "train" / "a"
    rgb = pixels(5)
    grey = rgb[..., 0]
    clear = np.concatenate([rgb, np.full((8, 10, 1), 0, np.uint8)], axis=2)
    Image.fromarray(grey).save(folder / "0.png")
    Image.fromarray(clear).save(folder / "1.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "2.png")
    Image.fromarray(rgb).convert("P").save(folder / "3.png")
    Image.fromarray(rgb).convert("CMYK").save(folder / "4.jpg")
    images = load_images(str(root))
    np.testing.assert_array_equal(images.train.x[0], np.repeat(grey[..., None], 3, axis=2))
    assert not images.train.x[1].any(), "what is transparent lies on black"
    np.testing.assert_array_equal(images.train.x[2], np.repeat(grey[..., None], 3, axis=2))
    assert images.notes == ("5 images were not RGB and were converted",)


def test_a_rotation_that_a_camera_noted_is_applied(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by a quarter
    turned = np.rot90(pixels(5))
    Image.fromarray(turned).save(root / "train" / "a" / "0.png", exif=exif)
    np.testing.assert_array_equal(load_images(str(root)).train.x[0], pixels(5))


def test_images_of_other_sizes_are_refused_or_resized(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    Image.fromarray(pixels(1, 20, 20)).save(root / "test" / "b" / "9.png")
    with pytest.raises(RequestError, match=r"a/0.png has 8 × 10 pixels .*b/9.png 20 × 20, and 1 of 13") as caught:
        load_images(str(root))
    assert caught.value.hint == "--image-size N resizes all of them to N × N."
    images = load_images(str(root), image_size=12)
    assert images.train.x.shape == (6, 12, 12, 3)
    assert images.test.x.shape == (7, 12, 12, 3)


def test_damaged_images_are_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", images=4)
    whole = (root / "train" / "b" / "1.png").read_bytes()
    (root / "train" / "b" / "1.png").write_bytes(whole[:-60])
    (root / "train" / "b" / "2.png").write_bytes(b"no image")
    for i in range(3):
        (root / "test" / "a" / f"{i}.png").write_bytes(b"")
    with pytest.raises(
        RequestError,
        match=r"images that cannot be decoded: .*b/1.png \(.*b/2.png \(not a PNG or JPEG file\).* and 2 more",
    ):
        load_images(str(root))
    with pytest.raises(RequestError, match="images that cannot be decoded"):
        load_images(str(root), image_size=8)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(tmp_path / "set")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(RequestError, match=r"images that cannot be decoded: .*a/0.png \(more than 50 pixels\)"):
        load_images(str(root))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("empty folder", "no images; expected train/CLASS/… and test/CLASS/…"),
        (
            "no test",
            r"set: received train/, expected train/ and test/, or one of val/, valid/ or validation/ in place",
        ),
        ("empty class", r"train/c: no images of this class"),
        ("one class", r"train: expected a subfolder for each of two or more classes; there is only b"),
        ("other classes", r"different classes: c only in train/; d only in test/"),
        ("a file", "is neither a folder nor an archive"),
        ("nothing", "no such folder"),
    ],
)
def test_a_folder_that_is_no_data_set_is_told_what_it_lacks(change: str, told: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    if change == "empty folder":
        root.mkdir()
    elif change == "a file":
        root.write_text("")
    elif change != "nothing":
        make_folder(root)
    if change == "no test":
        (root / "test").rename(root / ".hidden")
    elif change == "empty class":
        (root / "train" / "c").mkdir()
        (root / "train" / "c" / "readme.txt").write_text("")
    elif change == "one class":
        (root / "train" / "a").rename(root / "train" / ".a")
    elif change == "other classes":
        (root / "train" / "a").rename(root / "train" / "c")
        (root / "test" / "a").rename(root / "test" / "d")
    with pytest.raises(RequestError, match=told):
        load_images(str(root))


def test_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    (root / "train" / "a" / "notes.txt").write_text("")
    (root / "train" / "a" / ".DS_Store").write_text("")
    (root / "train" / "loop").symlink_to(root / "train")
    (root / "train" / "loop").unlink()
    images = load_images(str(root))
    assert images.notes == ("1 file in the class folders is not a JPEG or PNG and was skipped",)


def test_one_folder_of_classes_is_split(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", images=10) / "train"
    with pytest.raises(RequestError, match="has no train/ and test/") as caught:
        load_images(str(root))
    assert "--validation split" in caught.value.hint
    images = load_images(str(root), rules=FolderRules("split"))
    assert (images.train.count, images.test.count) == (16, 4)
    assert np.bincount(images.test.y).tolist() == [2, 2]
    assert "4 of its images are set aside for testing" in images.notes[0]


def test_what_would_not_fit_into_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder(tmp_path / "set")
    monkeypatch.setattr(control_groups, "available_bytes", lambda: 3000)
    with pytest.raises(RequestError, match=r"12 images of 8 × 10 need 0.0 GB of memory, and 0.0 GB are free"):
        load_images(str(root))


def test_free_memory_is_known_here() -> None:
    free = control_groups.available_bytes()
    assert free is None or free > 1e8


@pytest.mark.skipif("STOPCLI_TEST_CIFAR10" not in os.environ, reason="STOPCLI_TEST_CIFAR10 names no folder of images")
def test_sixty_thousand_real_images_are_decoded_in_parallel() -> None:
    told: list[tuple[str, int, int]] = []
    images = load_images(os.environ["STOPCLI_TEST_CIFAR10"], on_progress=lambda *progress: told.append(progress))
    assert images.train.x.shape == (50_000, 32, 32, 3)
    assert np.bincount(images.train.y).tolist() == [5000] * 10
    assert np.bincount(images.test.y).tolist() == [1000] * 10
    assert told[-1] == ("decoding images", 60_000, 60_000)
    # Processes give what this one gives.
    path = sorted(Path(os.environ["STOPCLI_TEST_CIFAR10"], "train", "airplane").iterdir())[17]
    np.testing.assert_array_equal(images.train.x[17], np.asarray(Image.open(path)))
