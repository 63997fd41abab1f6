"""Images that would vanish from a folder without a word: each is refused with a count, or left out and counted."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_folders import make_folder
from unprivileged import folder_for_all, unprivileged

from stopcli.data.load import FolderRules, load_images
from stopcli.errors import RequestError

SKIP = FolderRules(skip_unreadable=True)
AUTO = FolderRules("auto")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path / "cache"))


def nest(root: Path) -> None:
    inside = root / "train" / "a" / "camera" / "first"
    inside.mkdir(parents=True)
    for name in ("1.png", "2.png"):
        (root / "train" / "a" / name).rename(inside / name)


def dangle(root: Path) -> None:
    for name in ("1.png", "2.png"):
        (root / "train" / "a" / name).unlink()
        (root / "train" / "a" / name).symlink_to("../../.store/not-fetched")


def dangling_class(root: Path) -> None:
    (root / "train" / "c").symlink_to("../not-fetched")


def loop(root: Path) -> None:
    (root / "train" / "a" / "3.png").symlink_to("3.png")


def pipe(root: Path) -> None:
    os.mkfifo(root / "train" / "a" / "3.png")


@pytest.mark.parametrize(
    ("spoil", "told", "left"),
    [
        (nest, r"images in a subfolder of a class: 2 (train/a/camera/first/1.png, train/a/camera/first/2.png)", 4),
        (dangle, "links to nothing: 2 (train/a/1.png, train/a/2.png)", 4),
        (dangling_class, "links to nothing: 1 (train/c)", 6),
        (loop, "links that cannot be followed (Too many levels of symbolic links): 1 (train/a/3.png)", 6),
        (pipe, "neither files nor folders: 1 (train/a/3.png)", 6),
    ],
)
def test_what_is_not_taken_is_refused_or_counted(
    spoil: Callable[[Path], None], told: str, left: int, tmp_path: Path
) -> None:
    root = make_folder(tmp_path / "set")
    spoil(root)
    with pytest.raises(RequestError) as refused:
        load_images(str(root))
    assert refused.value.message == f"{root}: {told}"
    assert "--skip-unreadable leaves them out" in refused.value.hint
    images = load_images(str(root), rules=SKIP)
    assert images.train.count == left
    assert images.notes == (f"left out, {told}",)


def test_all_that_is_not_taken_is_counted_at_once(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    for spoil in (pipe, nest, dangling_class):
        spoil(root)
    with pytest.raises(RequestError, match=r"neither .*: 1 .*subfolder of a class: 2 .*links to nothing: 1 "):
        load_images(str(root))


def test_damaged_images_are_left_out_with_their_labels(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    whole = load_images(str(root))
    for name in ("train/a/0.png", "train/b/1.png", "test/a/2.png"):
        (root / name).write_bytes((root / name).read_bytes()[:-40])
    images = load_images(str(root), rules=SKIP)
    np.testing.assert_array_equal(images.train.x, whole.train.x[[1, 2, 3, 5]])
    np.testing.assert_array_equal(images.train.y, [0, 0, 1, 1])
    np.testing.assert_array_equal(images.test.x, whole.test.x[[0, 1, 3, 4, 5]])
    assert images.notes[0].startswith("left out, images that cannot be decoded: 3 (train/a/0.png (")
    assert [(row["path"], row["what"]) for row in images.left_out] == [
        (path, "images that cannot be decoded") for path in ("train/a/0.png", "train/b/1.png", "test/a/2.png")
    ]
    for name in ("0.png", "1.png", "2.png"):
        (root / "train" / "b" / name).write_bytes(b"")
    with pytest.raises(RequestError, match=r"set/train/b: no image of this class can be read; 3 images received"):
        load_images(str(root), rules=SKIP)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_read_is_refused_or_counted(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with folder_for_all() as place:
        monkeypatch.setenv("STOPCLI_CACHE_DIR", str(place / "cache"))
        root = make_folder(place / "set")
        closed = root / "train" / "c" if what == "folder" else root / "train" / "a" / "1.png"
        if what == "folder":
            shutil.copytree(root / "train" / "a", closed)
        closed.chmod(0)
        with unprivileged():
            with pytest.raises(RequestError, match=rf"{closed.name}.* \(?Permission denied\)|{closed.name}") as refused:
                load_images(str(root))
            assert "Permission denied" in refused.value.message
            if what == "file":
                images = load_images(str(root), rules=SKIP)
                assert images.train.count == 5
                assert "1 (train/a/1.png (Permission denied))" in images.notes[0]
        closed.chmod(0o755)
        # What the system refused once is asked for again.
        if what == "file":
            assert load_images(str(root), rules=SKIP).train.count == 6


def test_a_class_without_images_of_its_own_is_told_where_they_lie(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    (root / "train" / "a").rename(root / "train" / "images")
    (root / "train" / "a").mkdir()
    (root / "train" / "images").rename(root / "train" / "a" / "images")
    with pytest.raises(RequestError, match=r"subfolder of a class: 3 \(train/a/images/0.png, .*"):
        load_images(str(root))


def test_folders_without_images_within_a_class_are_nothing(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    (root / "train" / "a" / "notes").mkdir()
    (root / "train" / "a" / "notes" / "readme.txt").write_text("")
    (root / "train" / "a" / ".thumbnails").mkdir()
    shutil.copy(root / "train" / "a" / "0.png", root / "train" / "a" / ".thumbnails")
    (root / "train" / "a" / "old.txt").symlink_to("gone.txt")
    images = load_images(str(root))
    assert images.train.count == 6
    assert images.notes == ("1 file in the class folders is not a JPEG or PNG and was skipped",)


def test_images_of_no_class_are_counted(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    for name in ("1.png", "2.png"):
        (root / "train" / "a" / name).rename(root / "train" / f"a{name}")
    shutil.copy(root / "test" / "a" / "0.png", root)
    shutil.copytree(root / "test" / "a", root / "more" / "deep")
    (root / "train" / "labels.csv").write_text("")
    assert load_images(str(root)).notes == (
        "1 file in the class folders is not a JPEG or PNG and was skipped",
        "images beside the class folders, of no class and not used: 2 (train/a1.png, train/a2.png)",
        "images beside train/ and test/ that are not used: 1 (in no folder)",
        "images beside train/ and test/ that are not used: 3 (in more/)",
    )


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_folder_that_validates_is_used_or_named(name: str, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", ("train", "test", name))
    images = load_images(str(root))
    assert images.validation is None
    assert images.notes == (
        f"images beside train/ and test/ that are not used: 6 (in {name}/); --validation folder validates on them",
    )
    asked = load_images(str(root), rules=FolderRules("folder"))
    assert asked.notes == ()
    assert asked.validation is not None
    np.testing.assert_array_equal(asked.validation.y, [0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(asked.train.x, images.train.x)
    np.testing.assert_array_equal(asked.test.x, images.test.x)
    assert not (asked.validation.x == images.test.x).all(axis=(1, 2, 3)).any()
    (root / name / "b").rename(root / name / "c")
    with pytest.raises(RequestError, match=rf"train/ and {name}/ have different classes: b only in train/; c only in"):
        load_images(str(root), rules=FolderRules("folder"))
    assert load_images(str(root)).train.count == 6


def test_what_cannot_be_read_beside_the_parts_is_told() -> None:
    with folder_for_all() as folder:
        root = make_folder(folder / "set", ("train", "test", "val"))
        (root / "valid").symlink_to("../not-fetched")
        (root / "val").chmod(0)
        with unprivileged():
            notes = load_images(str(root)).notes
        (root / "val").chmod(0o755)
    assert "beside train/ and test/, folders that cannot be read (Permission denied): 1 (val)" in notes
    assert "beside train/ and test/, links to nothing: 1 (valid)" in notes


def test_a_folder_that_validates_has_to_be_one(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    for there, told in (("", "train/ and test/"), ("val", ""), ("valid", "train/ and test/ and val/ and valid/")):
        if there:
            shutil.copytree(root / "test", root / there)
        if told:
            expected = f"received {told}, expected train/, test/ and one of val/, valid/ or validation/ to validate on"
            with pytest.raises(RequestError, match=expected) as refused:
                load_images(str(root), rules=FolderRules("folder"))
            assert refused.value.hint == "--validation test, split or holdout takes none of them."
        else:
            assert load_images(str(root), rules=FolderRules("folder")).validation is not None
    with pytest.raises(RequestError, match="received train/ and test/ and val/ and valid/, expected"):
        load_images(str(root), rules=AUTO)
    assert load_images(str(root)).test.count == 6


def test_a_folder_that_validates_does_so_by_itself_beside_test_images(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", ("train", "test", "val"))
    images, asked = load_images(str(root), rules=AUTO), load_images(str(root), rules=FolderRules("folder"))
    assert (images.suggested, images.notes) == ("folder", ())
    assert images.validation is not None
    assert asked.validation is not None
    np.testing.assert_array_equal(images.validation.x, asked.validation.x)
    np.testing.assert_array_equal(images.test.x, asked.test.x)
    (root / "val" / "b").rename(root / "val" / "B")
    with pytest.raises(RequestError, match="different classes: b only in train/; B only in val/") as refused:
        load_images(str(root), rules=AUTO)
    assert refused.value.hint == "--validation test leaves val/ out."


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_folder_that_validates_tests_where_there_is_no_other(name: str, tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", ("train", name))
    for validation in ("auto", "test", "split", "holdout"):
        images = load_images(str(root), rules=FolderRules(validation))
        assert (images.train.count, images.test.count, images.validation) == (6, 6, None)
        assert images.suggested == "test"
        assert images.notes == (
            f"{root} has no test/, so the images of {name}/ test, and validate unless --validation split or holdout "
            "sets others apart",
        )
    with pytest.raises(RequestError, match=f"received train/ and {name}/, expected train/, test/ and one of"):
        load_images(str(root), rules=FolderRules("folder"))
    (root / "test").mkdir()
    (root / "train").rename(root / "training")
    with pytest.raises(RequestError, match="set: has test/ and no train/; expected train/CLASS/"):
        load_images(str(root))


def test_a_folder_of_classes_is_split_by_itself(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", ("train",), images=10) / "train"
    images = load_images(str(root), rules=AUTO)
    assert (images.train.count, images.test.count, images.suggested) == (16, 4, "split")
    assert images.notes == (f"{root} has no test images, so 4 of its images are set aside for testing",)
    for validation in ("test", "holdout", "folder"):
        with pytest.raises(RequestError, match=f"no train/ and test/, which --validation {validation} expects"):
            load_images(str(root), rules=FolderRules(validation))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems demand that names are text")
def test_a_class_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    for part in ("train", "test"):
        os.rename(root / part / "a", os.fsencode(root / part) + b"/caf\xe9")  # noqa: PTH104
    with pytest.raises(RequestError, match=r"set/train/caf\\xe9: the name of this class is not UTF-8") as refused:
        load_images(str(root))
    refused.value.message.encode()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems demand that names are text")
def test_names_of_files_are_shown_escaped(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set")
    for name in (b"\xe9.png", b"line\nbreak.png"):
        Path(os.fsdecode(os.fsencode(root / "train" / "a") + b"/" + name)).write_bytes(b"")
    with pytest.raises(RequestError) as refused:
        load_images(str(root))
    assert r"train/a/line\nbreak.png (" in refused.value.message
    assert r"train/a/\xe9.png (" in refused.value.message
    images = load_images(str(root), rules=SKIP)
    named = r"train/a/line\nbreak.png (not a PNG or JPEG file), train/a/\xe9.png (not a PNG or JPEG file)"
    assert images.notes == (f"left out, images that cannot be decoded: 2 ({named})",)
    assert [row["path"] for row in images.left_out] == [r"train/a/line\nbreak.png", r"train/a/\xe9.png"]
