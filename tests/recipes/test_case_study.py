"""The published table of the case study, from arms that are written by hand."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from stopcli.analysis.sweep import SweepResults
from stopcli.configs.base import resolve
from stopcli.configs.moons import ArmValues, MoonsConfig, case_arms
from stopcli.recipes.case_study import (
    ArmResult,
    run_case_answer,
    run_case_conclusions,
    run_case_table,
    seeds_case_results,
)


def run_of(step: int, *, published: bool = True, ran_out: bool = False) -> list[ArmResult]:
    """A run's arms, whose epochs and right test rows grow with the seed."""
    return [
        ArmResult(
            arm.name,
            ArmValues(1000 + step, 900 + step if arm.loads_saved else None, 1.0, (60 + number + step) / 70),
            arm.published if published else None,
            ran_out and arm.name == "patience 200",
        )
        for number, arm in enumerate(case_arms())
    ]


def over_seeds(*runs: list[ArmResult]) -> SweepResults:
    return seeds_case_results(MoonsConfig(case_study=True), dict(enumerate(runs)), 70)


def test_a_seed_s_arms_stand_above_the_published_ones() -> None:
    table = run_case_table(run_of(0, ran_out=True), 7, 70)
    assert table.columns == ("arm", "source", "stopped at", "saved epoch", "train accuracy", "test accuracy")
    assert table.rows[0] == ("no stopping", "seed 7", "1000", "–", "1.000", "0.857 [0.757, 0.921]")
    assert table.rows[1] == ("no stopping", "published", "4000", "–", "1.000", "0.914")
    assert table.rows[4][2] == "1000 (all)"
    assert table.rows[7] == ("patience 200, best saved", "published", "1044", "879", "1.000", "0.943")


def test_what_a_summary_holds_reads_back() -> None:
    for arm in (*run_of(1), *run_of(1, published=False, ran_out=True)):
        assert ArmResult.from_dict(json.loads(json.dumps(asdict(arm)))) == arm


def test_two_seeds_have_no_interval_and_three_have_one() -> None:
    two, three = (over_seeds(*(run_of(step) for step in range(n))).tables[0] for n in (2, 3))
    assert two.rows[0][:3] == ("no stopping", "mean, n = 2", "1000 ± 1")
    assert not any("[" in cell for row in two.rows for cell in row)
    assert three.rows[0][1:3] == ("mean, n = 3", "1001 ± 1 [1000, 1002]")
    saved = over_seeds(*(run_of(step) for step in range(3))).summary["case_study"][3]["measured"]["saved_epoch"]
    assert (saved["n"], saved["mean"], saved["low"], saved["high"]) == (3, 901, 900, 902)
    assert "saved_epoch" not in over_seeds(run_of(0)).summary["case_study"][0]["measured"]


def test_over_seeds_each_arm_is_compared_with_no_stopping() -> None:
    runs = [run_of(step, ran_out=step == 2) for step in range(3)]
    conclusions = over_seeds(*runs).conclusions
    assert conclusions[0].startswith("At n = 3 nothing can be told apart from no stopping: patience 0; ")
    assert conclusions[1].startswith("patience 0 against no stopping: test accuracy +0.0143 in each of 3 seeds")
    assert conclusions[1].endswith("not distinguishable at n = 3. It takes 100% of the epochs.")
    assert conclusions[4] == "patience 200: in 1 of 3 seeds it ran all epochs without stopping."
    assert conclusions[5].startswith("Seeds share their 70 test rows")
    assert "for 0.914 it is 0.825 to 0.960 (Wilson)" in conclusions[5]
    one = over_seeds(runs[0]).conclusions
    assert "fewer than 3 seeds give no interval" in one[1]


def test_the_answer_of_one_seed_is_the_arm_with_the_highest_test_accuracy() -> None:
    def arm(name: str, epochs: int, accuracy: float) -> ArmResult:
        return ArmResult(name, ArmValues(epochs, None, 1.0, accuracy), None)

    base, early, late = arm("no stopping", 4000, 0.9), arm("patience 0", 12, 0.92), arm("patience 200", 800, 0.92)
    assert run_case_answer([base, late, early]) == (
        "In this run the test accuracy of patience 0 is the highest, 0.920 after 12 epochs; that of no stopping is "
        "0.900 after 4,000 epochs."
    )
    assert run_case_answer([base, arm("patience 0", 12, 0.8)]).startswith(
        "In this run no arm has a higher test accuracy"
    )


def test_settings_that_were_not_published_are_named() -> None:
    config = resolve(MoonsConfig, {"case_study": True, "noise": 0.3, "validation": "holdout", "epochs": 10})
    assert config.unpublished == ["noise", "validation"]
    assert "Nothing was published for noise 0.3, validation holdout." in run_case_conclusions(config)
    assert resolve(MoonsConfig, {"case_study": True, "scale": "quick"}).unpublished == []


@pytest.mark.parametrize("case", [True, False])
def test_a_case_study_is_an_arm_of_its_own(case: bool) -> None:
    assert MoonsConfig(case_study=case).arm == ("case-study" if case else "no-stopping")
