from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_moons

from stopcli.data.dataset import fraction_of
from stopcli.data.toy import moons, split_moons


def test_the_rows_are_scikit_learn_s() -> None:
    x, y = make_moons(n_samples=100, noise=0.2, random_state=1)
    rows = moons(100, 0.2, 1)
    np.testing.assert_array_equal(rows.x, x.astype(np.float32))
    np.testing.assert_array_equal(rows.y[:, 0], y)
    assert (rows.x.dtype, rows.y.dtype, rows.y.shape) == (np.float32, np.float32, (100, 1))


@pytest.mark.parametrize(
    ("validation", "sizes", "held_out"),
    [("test", (30, 70, 70), False), ("split", (24, 6, 70), True), ("holdout", (30, 35, 35), True)],
)
def test_the_parts_have_their_sizes(validation: str, sizes: tuple[int, int, int], held_out: bool) -> None:
    fraction = 0.2 if validation == "split" else 0.5
    parts = split_moons(moons(100, 0.2, 1), 30, validation, fraction)
    assert (parts.train.count, parts.validation.count, parts.test.count) == sizes
    assert parts.test_is_held_out is held_out
    assert list(parts.evaluated()) == (["val", "test"] if held_out else ["val"])


@given(
    samples=st.integers(4, 60),
    data=st.data(),
    validation=st.sampled_from(["split", "holdout"]),
    fraction=st.floats(0.001, 0.999),
)
def test_no_row_is_in_two_parts_and_none_is_lost(
    samples: int, data: st.DataObject, validation: str, fraction: float
) -> None:
    train_size = data.draw(st.integers(2, samples - 2))
    rows = moons(samples, 0.1, 0)
    parts = split_moons(rows, train_size, validation, fraction)
    together = np.concatenate([parts.train.x, parts.validation.x, parts.test.x])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(rows.x, axis=0))
    assert min(parts.train.count, parts.validation.count, parts.test.count) >= 1


@given(st.integers(2, 10**6), st.floats(0.0001, 0.9999))
def test_a_share_leaves_something_on_both_sides(rows: int, fraction: float) -> None:
    assert 1 <= fraction_of(rows, fraction) <= rows - 1
