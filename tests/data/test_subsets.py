"""Parts in which every class has its share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.data.dataset import Examples, ImageSet, split_images, subsample
from stopcli.data.load import load_images
from stopcli.errors import ConfigError, RequestError


def rows_of(sizes: list[int]) -> Examples:
    """Rows that can be told apart, their classes mixed."""
    y = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    y = y[np.random.default_rng(0).permutation(len(y))]
    return Examples(np.arange(len(y)), y)


def image_set(sizes: list[int]) -> ImageSet:
    return ImageSet("set", rows_of(sizes), rows_of(sizes), tuple(map(str, range(len(sizes)))))


@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=8), data=st.data())
def test_a_limit_takes_every_class_by_its_share(sizes: list[int], data: st.DataObject) -> None:
    rows, classes = rows_of(sizes), tuple(map(str, range(len(sizes))))
    limit = data.draw(st.integers(len(sizes), sum(sizes)))
    some = subsample(rows, limit, 1, classes)
    assert some.count == limit
    assert (np.diff(some.x) > 0).all(), "the order in which they stand"
    np.testing.assert_array_equal(some.y, rows.y[some.x])
    counts = np.bincount(some.y, minlength=len(sizes))
    assert (counts >= 1).all()
    exact = np.array(sizes) * limit / sum(sizes)
    if (exact >= 1).all():
        assert (np.abs(counts - exact) < 1 + 1e-9).all()
    np.testing.assert_array_equal(subsample(rows, limit, 1, classes).x, some.x)


def test_another_seed_takes_others() -> None:
    rows = rows_of([50, 50])
    assert subsample(rows, 20, 1, ("a", "b")).x.tolist() != subsample(rows, 20, 2, ("a", "b")).x.tolist()


@pytest.mark.parametrize("limit", [1, 101])
def test_a_limit_beyond_the_images_is_refused(limit: int) -> None:
    with pytest.raises(ConfigError, match=r"limit: received .*, expected 2 \(one of each class\) to 100"):
        subsample(rows_of([50, 50]), limit, 1, ("a", "b"))


@pytest.mark.parametrize("validation", ["split", "holdout"])
def test_what_validates_is_split_off_by_class(validation: str) -> None:
    images = image_set([60, 40])
    parts = split_images(images, validation, 0.1, 0)
    assert parts.test_is_held_out
    assert np.bincount(parts.validation.y).tolist() == [6, 4]
    whole, other = (parts.train, parts.test) if validation == "split" else (parts.test, parts.train)
    assert sorted([*whole.x, *parts.validation.x]) == list(range(100))
    assert other.count == 100
    again = split_images(images, validation, 0.1, 0)
    assert again.validation.x.tolist() == parts.validation.x.tolist()


def test_the_test_images_themselves_validate_as_published() -> None:
    parts = split_images(image_set([3, 3]), "test", 0.1, 0)
    assert not parts.test_is_held_out


def test_a_class_that_cannot_be_split_is_named() -> None:
    with pytest.raises(RequestError, match="received 1 image of class 1, expected 2 or more to split"):
        split_images(image_set([6, 1]), "split", 0.1, 0)
    parts = split_images(image_set([6, 2]), "split", 0.9, 0)
    assert np.bincount(parts.train.y).min() >= 1
    assert np.bincount(parts.validation.y).min() >= 1


def test_digits_are_small_colour_images() -> None:
    digits = load_images("digits")
    assert digits.train.x.shape == (1437, 32, 32, 3)
    assert digits.test.x.shape == (360, 32, 32, 3)
    assert digits.train.x.dtype == np.uint8
    assert (digits.train.x.min(), digits.train.x.max()) == (0, 255)
    assert digits.classes == tuple("0123456789")
    assert np.bincount(digits.test.y).min() >= 34
    assert (digits.train.x[..., 0] == digits.train.x[..., 2]).all()
