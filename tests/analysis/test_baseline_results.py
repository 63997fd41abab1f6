"""What the networks of a sweep come to beside simpler answers: the paired difference over seeds, and by rows."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from job_results import job_result
from summaries import run_summary

from stopcli.analysis.baseline_results import with_baselines
from stopcli.analysis.sweep import SweepResults
from stopcli.report.document import Table
from stopcli.stats.differences import paired_difference
from stopcli.sweeps.plan import Job

RMSE = {"name": "rmse", "direction": "min", "kind": "error", "unit": "kg"}
LINEAR, MEAN = 53.6, 77.0


def baseline(name, value, ours, verdict, *, linear):
    mean, test = ours - value, "bootstrap p"
    of_rows = {"rows": 50, "low": mean - 1, "high": mean + 1, "p": 0.5, "test": test, "verdict": verdict}
    difference = {"mean": mean, **of_rows}
    return {"name": name, "is_linear": linear, "test": {"rmse": value}, "best": difference, "final": difference}


def results_of(values, verdicts, arm="one", *, saved=True):
    """A finished run for each value, of seeds 0, 1, …"""
    results = []
    for seed, (value, verdict) in enumerate(zip(values, verdicts, strict=True)):
        model = {"epoch": 5, "test": {"rmse": value}}
        summary = run_summary(
            seed=seed, headline=RMSE, final={"epoch": 9, "test": {"rmse": value + (9 if saved else 0)}},
            best=model if saved else None,
            baselines=[
                baseline("mean", MEAN, value, "better", linear=False),
                baseline("ridge regression", LINEAR, value, verdict, linear=True),
            ],
        )  # fmt: skip
        job = Job(f"{arm}-{seed}", arm, SimpleNamespace(seed=seed))
        results.append(job_result(job, "finished", "", summary, Path("nowhere")))
    return results


SWEEP = SweepResults("a sweep", (Table("Results", ("seed",), (("0",),)), Table("More", ("a",), ())), {}, ("Before.",))


def test_over_seeds_the_difference_has_an_interval_and_the_rows_their_verdicts():
    values = [52.0, 52.9, 53.7, 51.5, 52.2]
    verdicts = ["better", "not distinguishable", "not distinguishable", "better", "better"]
    sweep = with_baselines(SWEEP, results_of(values, verdicts), {"one": "one"})
    first, before = sweep.conclusions
    assert before == "Before."
    expected = paired_difference(values, [LINEAR] * 5)
    assert first.startswith(f"The saved model against ridge regression: test RMSE −{-expected.mean:.3f} kg (95 %")
    assert "lower in 4 of 5 seeds: " + expected.verdict("min") in first
    assert first.endswith("Over the test rows of one seed: better in 3, not distinguishable in 2.")
    results, table, more = sweep.tables
    assert (results.title, more.title) == ("Results", "More")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["against"] for row in rows] == ["ridge regression", "mean"]
    assert rows[0]["theirs"] == "53.60"
    assert (rows[0]["seeds"], rows[0]["better in"], rows[1]["better in"]) == ("5", "4", "5")


def test_two_seeds_and_several_arms():
    results = [
        *results_of([52.0, 53.0], ["", ""], "one", saved=False),
        *results_of([60.0, 61.0], ["worse", "worse"], "two"),
    ]
    sweep = with_baselines(SWEEP, results, {"one": "first arm", "two": "second arm"})
    first, second, _ = sweep.conclusions
    assert first.startswith("first arm, final model against ridge regression: test RMSE −1.100 kg, lower in 2 of 2")
    assert "not distinguishable at n = 2" in first
    assert second.startswith("second arm, saved model against ridge regression")
    assert second.endswith("Over the test rows of one seed: worse in 2.")
    assert [row[0] for row in sweep.tables[1].rows] == ["first arm"] * 2 + ["second arm"] * 2


@pytest.mark.parametrize("state", ["finished", "failed"])
def test_runs_without_baselines_or_results_change_nothing(state):
    summary = run_summary() if state == "finished" else None
    result = job_result(Job("a", "one", SimpleNamespace(seed=0)), state, "", summary)
    assert with_baselines(SWEEP, [result], {}) is SWEEP
