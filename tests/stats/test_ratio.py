"""Ratios of one arm's times to another's."""

from __future__ import annotations

import pytest

from stopcli.stats.differences import ratio_of


def test_ratios_are_of_the_seeds_that_both_have() -> None:
    # A slow machine doubled both times of seed 1: the ratio of means would be 3.33.
    ratio = ratio_of({0: 2.0, 1: 8.0, 2: 100.0}, {0: 1.0, 1: 2.0, 3: 1.0})
    assert ratio is not None
    assert (ratio.n, ratio.mean) == (2, 3.0)
    assert ratio.sd == pytest.approx(2**0.5)
    assert str(ratio) == "3.00 ± 1.41"


def test_one_ratio_and_ratios_that_are_the_same_show_no_spread() -> None:
    assert str(ratio_of({0: 2.0}, {0: 1.0})) == "2.00"
    assert str(ratio_of({0: 2.0, 1: 4.0}, {0: 1.0, 1: 2.0})) == "2.00"


def test_without_a_common_seed_there_is_no_ratio() -> None:
    assert ratio_of({0: 2.0}, {1: 1.0}) is None
    assert ratio_of({}, {0: 1.0}) is None
    assert ratio_of({0: 2.0}, {0: 0.0}) is None
