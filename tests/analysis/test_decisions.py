"""Which comparisons of a sweep's arms are decided after how many seeds, from results made by hand. Trains nothing."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import pytest
from job_results import job_result, result

from stopcli.analysis.arms import Arm, SeedValues
from stopcli.analysis.decisions import (
    ComparedValue,
    Decision,
    decide,
    decision_figures,
    decisions_of,
    next_round,
    with_decisions,
)
from stopcli.analysis.sweep import SweepResults
from stopcli.configs.auto_seeds import Resolve, parse_resolve, resolve_for
from stopcli.configs.base import parse
from stopcli.configs.clr import ClrConfig
from stopcli.configs.cutout_sweep import CutoutSweepConfig
from stopcli.errors import ConfigError
from stopcli.recipes.base import recipe_of
from stopcli.report.document import Table
from stopcli.runs.headline import ACCURACY, Headline
from stopcli.stats.differences import writer_of_differences
from stopcli.stats.sequential import fewest_seeds, seeds_needed, sequential_test
from stopcli.sweeps.plan import JobResult, plan_jobs

RMSE = Headline("rmse", "min", "error", "°C")
AUTO = {"dataset": "digits", "seeds": "auto", "max_seeds": 12}
CUTOUT = parse(CutoutSweepConfig, {**AUTO, "m": (2,)})
CUTOUT_OF_THREE = parse(CutoutSweepConfig, {**AUTO, "m": (2, 4)})
CLR = parse(ClrConfig, {**AUTO, "policy": ("triangular",), "vs": ("constant",)})
NOTHING = SweepResults("a sweep", (Table("Results", ("arm",), (("a",),)),), {}, ("It ended.",))

# Errors of the baseline: they vary from seed to seed, and so do the differences to them.
BASE = [0.30, 0.33, 0.28, 0.31, 0.34, 0.29, 0.32, 0.30, 0.31, 0.33, 0.28, 0.32]
CHANGES = [0.010, -0.012, 0.004, -0.006, 0.011, -0.009, 0.002, 0.007, -0.010, 0.005, -0.003, 0.001]

Errors = Callable[[str, int], float | None]


def results_of(config: Any, errors: Errors, seeds: int | None = None, seconds: float = 10.0) -> list[JobResult]:
    """Of all jobs of so many seeds; those without an error have failed."""
    results = []
    for job in plan_jobs(config, seeds or config.first_round):
        error = errors(job.arm, job.config.seed)
        failed = job_result(job, "failed", "its loss is not a number")
        results.append(failed if error is None else result(job, error, seconds))
    return results


def run_rounds(config: Any, errors: Errors) -> list[JobResult]:
    """A sweep from its first round to its last."""
    results = results_of(config, errors)
    while jobs := next_round(config, compared(config, results), results):
        assert {job.config.seed for job in jobs} == {seeds_in(results)}
        results = results_of(config, errors, seeds_in(results) + 1)
    return results


def seeds_in(results: Sequence[JobResult]) -> int:
    return len({one.job.config.seed for one in results})


def compared(config: Any, results: Sequence[JobResult]) -> ComparedValue | None:
    return recipe_of(config.command).compared_value(config, results)


def decisions(config: Any, results: Sequence[JobResult]) -> list[Decision]:
    value = compared(config, results)
    assert value is not None
    return decisions_of(config, value, results)


def against_baseline(shift: float, spread: float = 1.0) -> Errors:
    """The errors of `BASE`, and those of every other arm so much higher."""
    return lambda arm, seed: BASE[seed] + (shift + spread * CHANGES[seed] if arm not in ("simple", "constant") else 0)


@pytest.mark.parametrize("config", [CUTOUT, CLR], ids=["errors", "accuracies"])
@pytest.mark.parametrize(("shift", "verdict"), [(-0.015, "better"), (0.015, "worse")])
def test_a_sweep_ends_when_it_is_decided_and_a_lower_error_is_better(config: Any, shift: float, verdict: str) -> None:
    results = run_rounds(config, against_baseline(shift))
    (decision,) = decisions(config, results)
    assert decision.verdict == verdict
    # The test by itself, over the same differences, in the order of the seeds.
    differences = [shift + change for change in CHANGES]
    assert decision.test is not None
    assert decision.test.decided == sequential_test(differences, [0.01] * 12).decided == seeds_in(results) < 12
    sign = 1 if config is CUTOUT else -1
    assert decision.test.looks[-1].interval.mean * sign == pytest.approx(fmean(differences[: len(decision.seeds)]))
    assert decision.sentence().startswith(
        f"{decision.arm.label} against {decision.reference.label}: {verdict}, decided"
    )


def test_before_the_first_interval_no_seed_is_trained_by_itself() -> None:
    assert (CUTOUT.first_round, CUTOUT_OF_THREE.first_round) == (fewest_seeds(1), fewest_seeds(2))
    assert len(results_of(CUTOUT_OF_THREE, against_baseline(0.0))) == 3 * fewest_seeds(2)


def test_arms_that_differ_by_less_than_what_matters_are_equal() -> None:
    results = run_rounds(CUTOUT, against_baseline(0.0, spread=0.1))
    (decision,) = decisions(CUTOUT, results)
    assert (decision.verdict, seeds_in(results)) == ("equal", 5)
    assert "equal for practical purposes, decided after 5 seeds" in decision.sentence()
    assert decision.sentence().endswith("within ± 0.0100.")
    assert decision.more_seeds() == ""


def test_what_is_not_decided_says_how_many_more_seeds_would_and_how_long_they_take() -> None:
    results = run_rounds(CUTOUT, against_baseline(0.0, spread=3.0))
    (decision,) = decisions(CUTOUT, results)
    assert (decision.verdict, seeds_in(results)) == ("undecided", 12)
    needed = seeds_needed([3.0 * change for change in CHANGES], 0.01)
    assert needed is not None
    assert needed.more
    assert decision.needed is not None
    assert (decision.needed.more, decision.needed.low, decision.needed.high) == (needed.more, needed.low, needed.high)
    # A seed trains both arms, for ten seconds each.
    assert decision.seconds == pytest.approx(20)
    sentence = decision.more_seeds()
    assert f"{needed.more} more seeds would tell a difference of 0.0100 (80% power; " in sentence
    minutes = needed.more * 20 // 60
    assert f"about {minutes}m" in sentence
    summary = with_decisions(CUTOUT, compared(CUTOUT, results), NOTHING, results)
    assert summary.conclusions[0] == "1 of 1 comparison undecided after 12 seeds, of 12 at most."
    assert sentence in summary.conclusions[1]


def test_a_sweep_of_a_fixed_number_of_seeds_says_how_many_more_it_would_take() -> None:
    fixed = parse(CutoutSweepConfig, {"dataset": "digits", "m": (2, 4), "seeds": 12})
    apart: Errors = lambda arm, seed: BASE[seed] + {"simple": 0.0, "m2": 3 * CHANGES[seed], "m4": 0.5}[arm]  # noqa: E731
    results = results_of(fixed, apart, 12)
    assert next_round(fixed, compared(fixed, results), results) == ()
    said = with_decisions(fixed, compared(fixed, results), NOTHING, results)
    (first, last) = said.conclusions
    assert first == "It ended."
    # Of M = 4 there is nothing left to find out.
    assert last.startswith("M = 2 against simple: At this spread ")
    assert (said.tables, said.files, said.summary) == (NOTHING.tables, {}, {})
    assert decision_figures(fixed, compared(fixed, results), results) == {}


def test_only_seeds_that_both_arms_have_finished_are_compared() -> None:
    missing = {("m2", 1), ("simple", 3)}
    errors: Errors = lambda arm, seed: None if (arm, seed) in missing else against_baseline(-0.015)(arm, seed)  # noqa: E731
    results = run_rounds(CUTOUT, errors)
    (decision,) = decisions(CUTOUT, results)
    assert decision.seeds[:4] == (0, 2, 4, 5)
    assert decision.verdict == "better"
    trained = seeds_in(results)
    failed = f"1 of {trained} seeds of M = 2 and 1 of {trained} seeds of simple failed and are not counted."
    assert decision.sentence().endswith(f". {failed}")
    assert decision.row()[1] == f"{len(decision.seeds)} of {trained}"
    sweep = with_decisions(CUTOUT, compared(CUTOUT, results), NOTHING, results)
    after = f"{len(decision.seeds)} seeds that finished of {trained} that were trained"
    assert sweep.conclusions[0] == f"The comparison is decided after {after}."
    assert sweep.summary["decisions"][0]["failed"] == {"m2": [1], "simple": [3]}
    # As many pairs as before, so two seeds more.
    (whole,) = decisions(CUTOUT, run_rounds(CUTOUT, against_baseline(-0.015)))
    assert len(decision.seeds) == len(whole.seeds)
    assert "failed" not in whole.sentence()


def test_an_arm_none_of_whose_runs_finish_keeps_no_sweep_going() -> None:
    errors: Errors = lambda arm, seed: None if arm == "m4" else against_baseline(-0.015)(arm, seed)  # noqa: E731
    results = run_rounds(CUTOUT_OF_THREE, errors)
    better, none = decisions(CUTOUT_OF_THREE, results)
    assert (better.verdict, none.verdict, none.is_open) == ("better", "undecided", False)
    assert seeds_in(results) == better.test.decided  # type: ignore[union-attr]
    assert none.sentence() == "M = 4 against simple: no seed has finished in both."
    said = with_decisions(CUTOUT_OF_THREE, compared(CUTOUT_OF_THREE, results), NOTHING, results)
    assert said.conclusions[0] == f"1 of 2 comparisons undecided after {seeds_in(results)} seeds, of 12 at most."
    assert said.tables[-1].rows[1][1:] == ("0", "–", "–", "undecided", "–", "–")
    # Nor does a baseline that never finishes, without which there is nothing to decide.
    alone = run_rounds(CUTOUT, lambda arm, seed: None if arm == "simple" else 0.3)
    assert seeds_in(alone) == CUTOUT.first_round


def test_the_failure_of_an_arm_makes_no_other_interval_narrower() -> None:
    errors: Errors = lambda arm, seed: None if arm == "m4" else against_baseline(0.0)(arm, seed)  # noqa: E731
    all_arms, one_failed = (results_of(CUTOUT_OF_THREE, of, 8) for of in (against_baseline(0.0), errors))
    first, second = (decisions(CUTOUT_OF_THREE, results)[0].test for results in (all_arms, one_failed))
    assert first == second


def test_what_follows_depends_on_results_alone_and_not_on_their_order() -> None:
    results = results_of(CUTOUT, against_baseline(-0.015))
    value = compared(CUTOUT, results)
    jobs = next_round(CUTOUT, value, results)
    assert [job.name for job in jobs] == ["simple-seed5", "m2-seed5"]
    mixed = random.Random(1).sample(results, len(results))
    assert {job.name for job in next_round(CUTOUT, value, mixed)} == {job.name for job in jobs}
    slower = results_of(CUTOUT, against_baseline(-0.015), seconds=99.0)
    assert [job.name for job in next_round(CUTOUT, value, slower)] == [job.name for job in jobs]


@pytest.mark.parametrize("state", ["running", "paused", "interrupted", "not begun"])
def test_no_round_follows_before_every_run_has_ended(state: str) -> None:
    results = results_of(CUTOUT, against_baseline(-0.015))
    value = compared(CUTOUT, results)
    assert next_round(CUTOUT, value, [*results[:-1], job_result(results[-1].job, state)]) == ()
    assert next_round(CUTOUT, value, [*results[:-1], job_result(results[-1].job, "failed")])


def test_no_round_follows_the_most_seeds() -> None:
    results = results_of(CUTOUT, against_baseline(0.0, spread=3.0), 12)
    assert next_round(CUTOUT, compared(CUTOUT, results), results) == ()


def test_every_look_is_in_a_file_and_the_decisions_are_in_the_summary() -> None:
    results = run_rounds(CUTOUT_OF_THREE, against_baseline(-0.015))
    said = with_decisions(CUTOUT_OF_THREE, compared(CUTOUT_OF_THREE, results), NOTHING, results)
    rows = list(csv.DictReader(io.StringIO(said.files["decisions.csv"])))
    n = seeds_in(results)
    assert [(row["arm"], row["seed"], row["n"]) for row in rows] == [
        (arm, str(seed), str(seed + 1)) for arm in ("m2", "m4") for seed in range(n)
    ]
    assert {row["outcome"] for row in rows[: n - 1]} == {"undecided"}
    assert rows[-1]["outcome"] == "lower"
    first, second = said.summary["decisions"]
    assert (first["arm"], first["against"], first["verdict"], first["seeds"]) == ("m2", "simple", "better", [*range(n)])
    assert float(rows[n - 1]["high"]) == first["test"]["looks"][-1]["high"] < 0
    assert second["test"]["decided"] == n
    assert said.conclusions[0] == f"Both comparisons are decided after {n} seeds."
    table = said.tables[-1]
    assert (table.title, [row[0] for row in table.rows]) == ("Decisions", ["M = 2", "M = 4"])
    assert table.rows[0][-3:-1] == ("better", f"after {n} seeds")
    # What a plain interval claims, it claims no later.
    assert first["test"]["claimed"] <= n


def arm(label: str, values: Sequence[float]) -> Any:
    return Arm(label, tuple(SeedValues(seed, {"final_test_rmse": value}) for seed, value in enumerate(values)))


def test_of_an_error_a_share_of_the_baseline_matters_as_it_was_by_then() -> None:
    base = [4.0, 6.0, 5.0, 5.5, 4.5, 5.2]
    others = [value + change for value, change in zip(base, (0.1, -0.1, 0.2, 0.0, -0.2, 0.1), strict=True)]
    value = ComparedValue("final_test_rmse", "test RMSE", RMSE, "min", writer_of_differences(RMSE))
    resolve = resolve_for(RMSE)
    assert resolve == Resolve(0.01, True)
    decision = decide(arm("wide", others), arm("narrow", base), value, resolve.margin, 1)
    assert decision.test is not None
    margins = [look.margin for look in decision.test.looks]
    assert margins == pytest.approx([0.04, 0.05, 0.05, 0.05125, 0.05, 0.0503333333])
    assert decision.verdict == "undecided"
    assert "°C" in decision.sentence()
    # Of twice the margin the same differences are none.
    wide = decide(arm("wide", others), arm("narrow", base), value, Resolve(0.2, True).margin, 1)
    assert wide.verdict == "equal"


def test_what_matters_is_a_number_or_a_share() -> None:
    assert parse_resolve("auto") is None
    assert parse_resolve("2%") == Resolve(0.02, True)
    assert parse_resolve(0.5) == Resolve(0.5, False) == resolve_for(ACCURACY, "0.5")
    assert resolve_for(ACCURACY) == Resolve(0.01, False)
    assert resolve_for(ACCURACY.seen_in([0.5, 93.2])) == Resolve(1.0, False)
    assert (str(Resolve(0.02, True)), str(Resolve(0.5, False))) == ("2 %", "0.5")
    for wrong in ("0", "-1", "abc", "200%", "100%", "%", "1%%", "nan", "inf", "", "1e-400"):
        with pytest.raises(ConfigError, match="expected a number > 0"):
            parse_resolve(wrong)
