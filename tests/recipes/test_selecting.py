"""Honest selection over a sweep's runs, from the summaries that they leave."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from job_results import job_result
from summaries import run_summary

from stopcli.recipes.arms import with_selection
from stopcli.recipes.base import SweepResults
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.report.document import Table
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
    found = with_selection(MoonsConfig(), FOUND, runs)
    assert [table.title for table in found.tables] == ["Results", "Honest selection"]
    assert [row[:2] for row in found.tables[1].rows] == [("patience 0", "3"), ("none", "1")]
    assert found.words[0] == "Told."
    assert "Choosing the epochs on the test rows would have moved the claimed test accuracy by" in found.words[1]
    first, second = found.summary["selection"]
    assert first["optimism_mean"] == pytest.approx(0.02)
    assert 0.0099 <= first["optimism_low"] < 0.02 < first["optimism_high"] <= 0.0301
    assert (second["n"], second["optimism_low"]) == (1, None)
    lines = list(csv.DictReader(io.StringIO(found.files["selection.csv"])))
    assert [(line["arm"], line["seed"]) for line in lines] == [("patience-0", s) for s in "123"] + [("none", "1")]
    assert float(lines[2]["optimism"]) == pytest.approx(0.03)


def test_where_the_test_rows_validate_a_sweep_s_results_stay_as_they_are() -> None:
    published = [result("none", seed, 0.9, 0.9, selection=None) for seed in (1, 2)]
    assert with_selection(MoonsConfig(), FOUND, published) is FOUND
