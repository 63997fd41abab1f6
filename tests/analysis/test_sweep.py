"""What a sweep's runs say together, from the summaries that they leave: seeds in a table, honest selection."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from job_results import job_result
from summaries import run_summary

from stopcli.analysis.arms import Arm
from stopcli.analysis.sweep import (
    SweepResults,
    answer_against,
    seed_table,
    selection_conclusion,
    selection_summary,
    selection_table,
    with_selection,
)
from stopcli.configs.moons import MoonsConfig
from stopcli.report.document import Table
from stopcli.runs.summary import ChosenEpoch, RunSummary, Selection
from stopcli.stats.differences import Difference
from stopcli.sweeps.plan import Job, JobResult

FOUND = SweepResults("a sweep", (Table("Results", ("arm",), (("a",),)),), {"table.csv": ""}, ("Told.",), {"arms": []})


def result(arm: str, seed: int, honest: float, claimed: float, state: str = "finished", **changes: Any) -> JobResult:
    chosen = {"monitor": "val_accuracy", "epoch": 5, "value": 0.9, "test_accuracy": honest}
    on_test = {"monitor": "test_accuracy", "epoch": 7, "value": claimed, "test_accuracy": claimed}
    summary = run_summary(**{"selection": {"honest": chosen, "claimed": on_test}, **changes})
    job = Job(f"{arm}-seed{seed}", arm, MoonsConfig(seed=seed, validation="holdout"))
    return job_result(job, state, summary=summary)


def test_every_arm_has_its_row_and_every_run_its_line() -> None:
    runs = [result("patience-0", seed, 0.80, 0.80 + seed / 100) for seed in (1, 2, 3)]
    runs += [result("none", 1, 0.9, 0.9), result("none", 2, 0.5, 0.9, state="failed")]
    results = with_selection(MoonsConfig(), FOUND, runs)
    assert [table.title for table in results.tables] == ["Results", "Honest selection"]
    assert [row[:2] for row in results.tables[1].rows] == [("patience 0", "3"), ("none", "1")]
    assert results.conclusions[0] == "Told."
    assert (
        "Choosing the epochs on the test rows would have changed the claimed test accuracy by" in results.conclusions[1]
    )
    first, second = results.summary["selection"]
    assert first["optimism_mean"] == pytest.approx(0.02)
    assert 0.0099 <= first["optimism_low"] < 0.02 < first["optimism_high"] <= 0.0301
    assert (second["n"], second["optimism_low"]) == (1, None)
    lines = list(csv.DictReader(io.StringIO(results.files["selection.csv"])))
    assert [(line["arm"], line["seed"]) for line in lines] == [("patience-0", s) for s in "123"] + [("none", "1")]
    assert float(lines[2]["optimism"]) == pytest.approx(0.03)


def test_where_the_test_rows_validate_a_sweep_s_results_stay_as_they_are() -> None:
    published = [result("none", seed, 0.9, 0.9, selection=None) for seed in (1, 2)]
    assert with_selection(MoonsConfig(), FOUND, published) is FOUND


def finished(*summaries: RunSummary) -> list[tuple[RunSummary, str]]:
    return [(summary, "finished") for summary in summaries]


def test_seeds_are_rows_with_their_mean_and_deviation() -> None:
    table = seed_table("arm", finished(run_summary(seed=1, epochs=100), run_summary(seed=2, epochs=200, best=None)))
    assert [row[1] for row in table.rows] == ["1", "2", "mean", "sd"]
    assert [row[3] for row in table.rows] == ["100", "200", "150", "70.7"]
    # One seed alone saved a best model: it has a mean and no deviation.
    assert [row[-1] for row in table.rows] == ["0.950", "–", "0.950", "–"]


def test_from_three_seeds_on_there_is_an_interval() -> None:
    best = [{}, {}, {"best": None}]
    seeds = [run_summary(seed=seed, epochs=epochs, **best[seed]) for seed, epochs in enumerate((100, 200, 150))]
    table = seed_table("arm", finished(*seeds))
    assert table.rows[-1][1:3] == ("95 %", "n = 3")
    stopped, final = table.rows[-1][3:5]
    assert stopped == "100 to 200"
    assert final == "120 to 120"
    # Of two saved models there is no interval.
    assert table.rows[-1][-3:] == ("–", "–", "–")
    assert [row[1] for row in seed_table("arm", finished(*seeds[:2])).rows] == ["0", "1", "mean", "sd"]


def test_over_seeds_the_claims_are_compared_pair_by_pair() -> None:
    runs = [
        Selection(ChosenEpoch("val_loss", 9, 0.2, honest), ChosenEpoch("test_loss", 8, 0.1, claimed))
        for honest, claimed in ((0.90, 0.95), (0.92, 0.92), (0.90, 0.93), (0.95, 0.942))
    ]
    table = selection_table({"one": runs, "two": runs[:2]})
    assert table.rows[0][:2] == ("one", "4")
    assert table.rows[0][-2:] == ("50% of runs", "25%")
    assert table.rows[0][5].startswith("+0.018 [")
    assert table.rows[1] == (
        "two",
        "2",
        "val_loss",
        "0.910 ± 0.014",
        "0.935 ± 0.021",
        "+0.025 (n = 2)",
        "50% of runs",
        "0%",
    )
    assert "[" not in selection_conclusion({"two": runs[:2]})
    assert "not distinguishable at n = 4" in selection_conclusion({"one": runs})
    assert "+0.0180 to +0.0250" in selection_conclusion({"one": runs, "two": runs[:2]})
    first, second = selection_summary({"one": runs, "two": runs[:2]})
    assert first["optimism_mean"] == pytest.approx(0.018)
    assert first["optimism_low"] < 0 < first["optimism_high"]
    assert (second["optimism_low"], second["optimism_p"]) == (None, None)


def test_the_answer_names_what_is_better_and_worse_than_the_reference() -> None:
    base = Arm("none", ())
    better, worse, equal = (
        Difference(5, 0.1, 0.05, 0.15, 0.01),
        Difference(5, -0.1, -0.2, -0.05, 0.01),
        Difference(5, 0.0),
    )
    arms = [(Arm("a", ()), better), (Arm("b", ()), worse), (Arm("c", ()), equal), (Arm("d", ()), better)]
    assert answer_against(base, arms, "max") == ("At n = 5, better than none: a; d. Worse: b. Not distinguishable: c.")
    assert answer_against(base, arms[2:3], "max") == "At n = 5 nothing can be told apart from none: c."
