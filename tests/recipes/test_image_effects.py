"""What the options of images and their augmentation come to for the images that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_folders import make_folder

from stopcli.augment.ranges import cutout_fraction, useless_boxes
from stopcli.configs.base import resolve
from stopcli.configs.classifier import CifarResnetConfig
from stopcli.configs.cutout_sweep import CutoutSweepConfig
from stopcli.configs.lr_range import LrRangeConfig
from stopcli.data import cifar10
from stopcli.data.dataset import Examples, images_in_both
from stopcli.errors import ConfigError, RequestError
from stopcli.recipes.image_checks import check_effects
from stopcli.recipes.images import CifarResnet
from stopcli.training.session import NullObserver

RECIPE = CifarResnet()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPCLI_CACHE_DIR", str(tmp_path / "cache"))


def effects(side: int = 32, config: Any = CifarResnetConfig, **settings: Any) -> list[str]:
    return check_effects(resolve(config, settings), side, side)


def test_what_was_published_has_its_effect_on_the_images_it_was_published_for() -> None:
    assert effects(erasing=True, cutout=16, augment="simple") == []
    assert effects(erasing=True, cutout=20, augment="nearest") == []
    assert effects(config=CutoutSweepConfig) == []
    assert effects(config=LrRangeConfig) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cutout": 1000}, r"cutout: received 1000, expected less than 32: images are 32 × 32, and such a square"),
        ({"cutout": 32}, r"cutout: received 32, expected less than 32"),
        ({"erasing": True, "erase_area": (0.0001, 0.0009)}, r"erase_area: .*32 × 32, these .* of 0\.1 to 0\.92 pixels"),
        (
            {"side": 8, "erasing": True, "erase_area": (1.0, 1.0), "erase_aspect": (1.0, 1.0)},
            "expected boxes that leave",
        ),
    ],
)
def test_what_leaves_nothing_or_does_nothing_is_refused_with_the_size(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        effects(**settings)


def test_a_sweep_of_copies_is_refused_in_its_own_words() -> None:
    with pytest.raises(ConfigError, match=r"cutout_size: received 16, expected less than 16") as refused:
        effects(16, CutoutSweepConfig)
    assert refused.value.as_flag().startswith("--cutout-size: received 16")
    assert "A square of half the side, 8," in refused.value.hint


@pytest.mark.parametrize(
    ("side", "settings", "message"),
    [
        (32, {"cutout": 31}, "cutout 31 cuts out 54 % of an image of 32 × 32 on average"),
        (8, {"erasing": True, "erase_area": (0.005, 0.05)}, "of its boxes: in images of 8 × 8 they have no pixel"),
        (8, {"augment": "nearest"}, "augment nearest moves no image of 8 × 8: 10 % of its sides is less than a pixel"),
        (
            4,
            {"augment": "simple"},
            "augment simple moves images by up to 4 pixels, so nothing is left of some of 4 × 4",
        ),
    ],
)
def test_what_does_little_or_too_much_is_warned_about(side: int, settings: dict[str, Any], message: str) -> None:
    (warning,) = effects(side, **settings)
    assert message in warning


def test_erasing_nothing_is_warned_about() -> None:
    assert "erase_p 0 erases nothing" in resolve(CifarResnetConfig, {"erasing": True, "erase_p": 0.0}).warnings()


@given(size=st.integers(1, 40), height=st.integers(1, 20), width=st.integers(1, 20))
def test_the_share_that_cutout_covers_is_the_mean_over_all_places(size: int, height: int, width: int) -> None:
    covered = 0
    for row in range(height):
        for column in range(width):
            image = np.zeros((height, width), bool)
            top, first = row - size // 2, column - size // 2
            image[max(top, 0) : top + size, max(first, 0) : first + size] = True
            covered += int(image.sum())
    assert cutout_fraction(size, height, width) == pytest.approx(covered / (height * width) ** 2)


def test_boxes_without_a_pixel_are_counted_as_they_are_drawn(tensorflow: None) -> None:
    import tensorflow as tf

    from stopcli.augment.erasing import draw_boxes

    area, aspect = (0.005, 0.05), (0.3, 3.3)
    boxes = draw_boxes(tf.constant([1, 2]), 20_000, 8, 8, p=1.0, area=area, aspect=aspect)
    empty = np.mean((boxes.height.numpy() < 1) | (boxes.width.numpy() < 1))
    expected, whole = useless_boxes(area, aspect, log_aspect=False, height=8, width=8)
    assert empty == pytest.approx(expected, abs=0.02)
    assert whole == 0


def test_images_in_two_parts_are_counted_by_their_pixels() -> None:
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (50, 4, 4, 3)).astype(np.uint8)
    others = x[10:40].copy()
    others[0, 0, 0, 0] ^= 1
    rows, among = Examples(x, np.zeros(50)), Examples(others, np.ones(30))
    assert images_in_both(rows, among) == 29
    assert images_in_both(among, rows) == 29
    # Of one image that stands among the others twice, each counts once.
    assert (
        images_in_both(Examples(x[:1].repeat(3, axis=0), np.zeros(3)), Examples(x[:2].repeat(2, axis=0), np.zeros(4)))
        == 3
    )


def loaded(root: Path, **settings: Any) -> Any:
    return RECIPE.load(resolve(CifarResnetConfig, {"dataset": str(root), **settings}), NullObserver())


def test_images_that_are_in_two_parts_are_warned_about(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", ("train", "test", "val"))
    for part, name in (("test", "0.png"), ("test", "1.png"), ("val", "2.png")):
        (root / part / "a" / name).write_bytes((root / "train" / "b" / name).read_bytes())
    (root / "val" / "b" / "0.png").write_bytes((root / "test" / "b" / "0.png").read_bytes())
    alike = [note for note in loaded(root, validation="test").notes if "pixel by pixel" in note]
    assert alike == ["2 of 6 test images also stand in the training images, pixel by pixel"]
    images = loaded(root)
    assert images.config == loaded(root, validation="folder").config
    assert [note for note in images.notes if "pixel by pixel" in note] == [
        "2 of 6 test images also stand in the training images, pixel by pixel",
        "1 of 6 validation images also stand in the training images, pixel by pixel",
        "1 of 6 test images also stand in the validation images, pixel by pixel",
    ]
    assert images.description[0].endswith("6 images to train on, 6 to validate (its validation folder), 6 to test.")
    parts = images.data.parts
    assert (parts.train.count, parts.validation.count, parts.test.count) == (6, 6, 6)


def test_skipping_files_of_a_data_set_that_has_none_is_warned_about() -> None:
    images = RECIPE.load(resolve(CifarResnetConfig, {"dataset": "digits", "skip_unreadable": True}), NullObserver())
    assert "skip_unreadable has no effect on digits" in images.notes


def test_what_has_no_folder_cannot_validate_on_one(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"validation: received 'folder', expected test, split or holdout: digits is no"
    ):
        RECIPE.load(resolve(CifarResnetConfig, {"dataset": "digits", "validation": "folder"}), NullObserver())
    with mock.patch.object(cifar10, "downloaded") as download, pytest.raises(ConfigError, match="cifar10 is no"):
        RECIPE.load(resolve(CifarResnetConfig, {"dataset": "cifar10", "validation": "folder"}), NullObserver())
    download.assert_not_called()
    with pytest.raises(RequestError, match="expected train/, test/ and one of val/"):
        loaded(make_folder(tmp_path / "set"), validation="folder")
    with pytest.raises(ConfigError, match="expected test, split or holdout: dataset moons is no folder"):
        resolve(LrRangeConfig, {"dataset": "moons", "model": "mlp", "validation": "folder"})
    with pytest.raises(ConfigError, match="no share where the images of a folder validate"):
        resolve(CifarResnetConfig, {"validation": "folder", "validation_share": 0.2})
