"""Two single runs of a regression are compared on the rows that both were tested on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from written_runs import write_run

from stopcli.analysis.compare import CompareResults, compare
from stopcli.analysis.compare_report import output_of, tables_of
from stopcli.report.html import write_output
from stopcli.runs.predictions import PredictedValues, write_predictions
from stopcli.stats.bootstrap import RowScores, interval_of
from stopcli.stats.scores_difference import ScoresDifference

RMSE = {"name": "rmse", "direction": "min", "kind": "error", "unit": "°C"}
DRAW = np.random.default_rng(0)
HARD = DRAW.lognormal(0, 1, 200)
# Rows are hard for both models; the second is better on most of them.
ERRORS = {"a": HARD * DRAW.uniform(0.9, 1.1, 200), "b": HARD * DRAW.uniform(0.6, 1.0, 200)}


def rmse(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(errors.astype(np.float32) ** 2)))


def write(name: str, errors: NDArray[np.float64], rows: str = "hash", value: float | None = None) -> Path:
    """A run whose final and saved model are the same."""
    shutil.rmtree(name, ignore_errors=True)
    path = write_run(name, hidden=len(name) + ord(name[0]))
    summary = json.loads((path / "summary.json").read_text())
    tested = {"loss": rmse(errors) ** 2, "rmse": rmse(errors)}
    scores = (errors[:, None] ** 2).astype(np.float32)
    bounds = interval_of(RowScores("root", scores))
    assert bounds is not None
    interval = {"rows": 200, "low": bounds.low, "high": bounds.high, "method": bounds.method}
    summary |= {"headline": RMSE, "test_interval": {"final": interval, "best": interval}}
    summary["rows"]["test"] = len(errors)
    for model in ("final", "best"):
        summary[model] |= {"test": tested, "train": tested}
    (path / "summary.json").write_text(json.dumps(summary))
    value = rmse(errors) if value is None else value
    write_predictions(path / "predictions.npz", PredictedValues(rows, "root", value, value, scores, scores))
    return path


def compared() -> CompareResults:
    return compare([Path("a"), Path("b")])


def test_the_rows_tell_two_runs_apart_whose_intervals_overlap() -> None:
    for name, errors in ERRORS.items():
        write(name, errors)
    results = compared()
    final, saved = results.comparisons
    assert isinstance(final.on_rows, ScoresDifference)
    assert final.on_rows.mean == pytest.approx(rmse(ERRORS["b"]) - rmse(ERRORS["a"]), rel=1e-5)
    assert final.on_rows.lower == np.count_nonzero(ERRORS["b"] < ERRORS["a"])
    assert final.verdict("min") == saved.verdict("min") == "better"
    assert results.answers()[0].startswith("b is better than a on 200 test rows: test RMSE of the final model ")
    assert "°C (95 % interval −" in results.conclusions()[0]
    assert "bootstrap p < 0.001) on the same 200 test rows, lower on " in results.conclusions()[0]
    by_arm, differences = tables_of(results)[:2]
    assert by_arm.rows[0][-1].endswith("(200 rows)")
    assert differences.rows[0][2] == "200 rows"
    assert differences.rows[0][6].startswith("lower on ")
    folder, summary = write_output(output_of(results), root=Path("runs"))
    assert summary.results["differences"][0]["on_rows"]["distinguishable"] is True
    report = (folder / "report.md").read_text()
    assert "by resampling the rows that both were tested on" in report
    assert "The interval of a single run is over the rows that it was tested on" in report
    assert "McNemar" not in report


def test_other_rows_and_other_models_are_not_compared_by_rows() -> None:
    write("a", ERRORS["a"])
    write("b", ERRORS["b"], rows="other")
    (sentence,) = {comparison.sentence for comparison in compared().comparisons if comparison.view.name == "final"}
    assert "(The rows are not compared: the runs have other test rows, or the same in another order.)" in sentence
    write("b", ERRORS["b"], value=17.0)
    assert "b/predictions.npz is not of the model whose RMSE was measured" in compared().comparisons[0].sentence
    Path("b/predictions.npz").unlink()
    comparison = compared().comparisons[0]
    assert comparison.on_rows is None
    assert "not compared" not in comparison.sentence
    Path("b/predictions.npz").write_bytes(b"PK\3\4 no archive")
    assert "b/predictions.npz: damaged" in compared().comparisons[0].sentence


def test_rows_that_were_thinned_are_compared_as_far_as_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stopcli.runs.predictions.LARGEST", 800)
    for name, errors in ERRORS.items():
        write(name, errors)
    on_rows = compared().comparisons[0].on_rows
    assert isinstance(on_rows, ScoresDifference)
    assert on_rows.rows == 100
    assert on_rows.mean == pytest.approx(rmse(ERRORS["b"][::2]) - rmse(ERRORS["a"][::2]), rel=1e-5)
