"""summary.json: written from the type that reads it, and refused with the first value that does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from summaries import run_content, run_summary, sweep_content

from stopcli.runs.run import NOT_STARTED, Run
from stopcli.runs.summary import AnalysisSummary, RangeSummary, RunSummary, SweepSummary, parse_summary
from stopcli.runs.typed_json import MisfitError, to_json

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs"
KINDS = {"cutout-sweep": SweepSummary, "lr-range": RangeSummary, "compare": AnalysisSummary, "moons": RunSummary}


def written(name: str) -> Any:
    return json.loads((FIXTURES / name / "summary.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", KINDS)
def test_what_commands_write_is_read_as_what_it_is(name: str) -> None:
    assert type(parse_summary(written(name))) is KINDS[name]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in FIXTURES.glob("*/summary.json")))
def test_what_is_read_is_written_again_as_it_was(name: str) -> None:
    content = written(name)
    again = to_json(parse_summary(content))
    # What only some commands write of sweeps and analyses is not read back.
    assert {key: content[key] for key in again} == again
    if isinstance(parse_summary(content), RunSummary):
        assert list(again) == list(content)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"epochs": -1}, "epochs: received -1, expected a whole number ≥ 0"),
        ({"epochs": True}, "epochs: received True, expected a whole number ≥ 0"),
        ({"copies": 0}, "copies: received 0, expected a whole number ≥ 1"),
        ({"train_seconds": "1"}, "train_seconds: received '1', expected a number"),
        ({"state": "odd"}, "state: received 'odd', expected one of running, finished, paused, interrupted, failed"),
        ({"warnings": ["a", 1]}, "warnings.2: received 1, expected text"),
        ({"rows": 70}, "rows: received 70, expected values by name"),
        ({"rows": {"train": 1, "validation": 1}}, "rows.test: missing"),
        ({"stop": {"reason": "patience", "epoch": 3}}, "stop.rule: missing"),
        (
            {"best": {"epoch": 3, "test": {"accuracy": "high"}}},
            "best.test.accuracy: received 'high', expected a number",
        ),
        ({"monitor": ...}, "monitor: missing"),
        ({"table": {"columns": ["a"], "rows": [["1", "2"]]}}, "table: received "),
        (
            {"report": {"title": "", "words": [], "tables": [], "figures": ["../a"]}},
            "report.figures.1: received '../a'",
        ),
    ],
)
def test_the_first_value_that_does_not_fit_is_named(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(MisfitError) as refused:
        parse_summary(run_content(**changes))
    assert str(refused.value).startswith(problem)


def test_numbers_that_are_not_finite_become_null() -> None:
    assert to_json(run_summary(train_seconds=2))["train_seconds"] == 2.0
    assert to_json({"loss": float("nan"), "high": [float("inf")]}) == {"loss": None, "high": [None]}


def test_a_folder_is_read_whatever_it_holds(tmp_path: Path) -> None:
    assert Run.read(tmp_path / "nowhere").state == NOT_STARTED
    (tmp_path / "status.json").write_text('{"state": "running", "epoch": 3}')
    assert (Run.read(tmp_path).state, Run.read(tmp_path).progress) == ("died", "3")
    (tmp_path / "summary.json").write_text(json.dumps(run_content()))
    run = Run.read(tmp_path)
    assert (run.progress, run.results) == ("120/400", run_summary())
    (tmp_path / "summary.json").write_text(json.dumps(sweep_content(seeds=0)))
    damaged = Run.read(tmp_path)
    assert (damaged.state, damaged.summary) == ("damaged", None)
    assert damaged.reason == "summary.json: damaged (seeds: received 0, expected a whole number ≥ 1)"
    (tmp_path / "status.json").write_text("{}")
    assert Run.read(tmp_path).damages == ("status.json: damaged (state: missing)", damaged.reason)
    assert Run.read(tmp_path).reason == "status.json: damaged (state: missing)"
