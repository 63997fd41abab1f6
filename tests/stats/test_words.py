from __future__ import annotations

import doctest

import pytest

from stopcli.stats import differences
from stopcli.stats.differences import difference_cell, paired_difference, signed, unpaired_difference

HIGHER = [0.92, 0.93, 0.95, 0.94]
LOWER = [0.90, 0.90, 0.91, 0.92]


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(differences).failed == 0


@pytest.mark.parametrize(
    ("better", "ending"),
    [("max", "higher in 4 of 4 seeds: better."), ("min", "higher in 4 of 4 seeds: worse."), (None, "4 seeds: higher.")],
)
def test_a_difference_that_is_distinguishable_is_better_or_worse_as_the_metric_has_it(better: str, ending: str) -> None:
    sentence = paired_difference(HIGHER, LOWER).sentence("a", "b", "test accuracy", better)  # type: ignore[arg-type]
    assert sentence.startswith("a against b: test accuracy +0.0275 (95 % interval +0.0")
    assert sentence.endswith(ending)


def test_what_cannot_be_told_apart_is_said_to_be_so_with_its_n() -> None:
    sentence = paired_difference([0.1, 0.2, 0.3], [0.2, 0.1, 0.35]).sentence("a", "b", "loss", "min")
    assert sentence.endswith("lower in 2 of 3 seeds; not distinguishable at n = 3.")
    sentence = paired_difference([0.1], [0.3]).sentence("a", "b", "loss", "min")
    assert sentence == (
        "a against b: loss -0.2000, lower in 1 of 1 seed; not distinguishable at n = 1: fewer than 3 seeds give no "
        "interval."
    )
    sentence = paired_difference([0.5] * 4, [0.5] * 4).sentence("a", "b", "loss", "min")
    assert sentence == "a against b: loss the same in all 4 seeds; not distinguishable at n = 4."


def test_differences_that_are_the_same_in_every_seed_have_no_interval_in_words() -> None:
    sentence = paired_difference([0.75] * 6, [0.5] * 6).sentence("a", "b", "loss", "min")
    assert sentence == "a against b: loss +0.2500 in each of 6 seeds (p = 0.031): worse."


def test_a_p_value_is_not_more_exact_than_it_can_be() -> None:
    values = [0.9 + i / 1000 for i in range(30)]
    sentence = paired_difference(values, [value / 2 for value in values]).sentence("a", "b", "loss", "min")
    assert "; p < 0.001), higher in 30 of 30 seeds: worse." in sentence
    # In each of 12 seeds the same: p of the sign test is 2 ** -11.
    assert "(p < 0.001): worse." in paired_difference([0.75] * 12, [0.5] * 12).sentence("a", "b", "loss", "min")


def test_samples_without_pairs_are_called_unpaired() -> None:
    difference = unpaired_difference(HIGHER, [*LOWER, 0.9])
    sentence = difference.sentence("a", "b", "test accuracy", "max")
    assert "(unpaired, because the seeds differ; Welch's 95 % interval +0.0" in sentence
    assert sentence.endswith(": better.")
    assert unpaired_difference(HIGHER, HIGHER[:3]).sample_size() == "4 and 3"
    assert "in other seeds; not distinguishable at n = 1 and 2" in unpaired_difference([0.1], [0.2, 0.3]).sentence(
        "a", "b", "loss", "min"
    )


def test_losses_near_0_that_differ_are_not_said_to_be_the_same() -> None:
    sentence = paired_difference([4e-6, 5e-6, 7e-6], [1e-6, 1e-6, 2e-6]).sentence("a", "b", "loss", "min")
    assert sentence.startswith("a against b: loss +4e-06 (95 % interval +3e-06 to +5e-06; p = ")
    assert signed(1e-17) == "+0.0000"


def test_a_cell_has_the_interval_where_there_is_one() -> None:
    assert difference_cell(None) == "–"
    assert difference_cell(paired_difference([0.5], [0.25])) == "+0.250 (n = 1)"
    assert difference_cell(paired_difference([0.5] * 3, [0.25] * 3)) == "+0.250 [+0.250, +0.250]"
    assert difference_cell(paired_difference([1500.0], [250.0])) == "+1,250.0 (n = 1)"
