"""Runs of a folder: which are selected, and in which order."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from written_runs import falling_curves, write_run, write_sweep

from stopcli.errors import ConfigError
from stopcli.runs.listing import BestValue, Order, RunFilter, best_value
from stopcli.runs.run import Run, runs_in

ROOT = Path("runs")


@pytest.fixture(autouse=True)
def runs(own_folder: None) -> None:
    """Four runs and a sweep, each a day younger than the one before, the first five days old."""
    write_run(ROOT / "a-rooms", name="rooms", command="recorded", summary=recorded("rooms"), columns=rmse(4, 2, 3))
    write_run(ROOT / "b", summary={"command": "moons", "epochs": 7}, epochs=7)
    write_run(ROOT / "c-rooms-night", command="recorded", summary=recorded("elsewhere"), columns=rmse(9, 1.5, np.nan))
    write_run(ROOT / "d", state="failed", columns={})
    write_sweep(ROOT / "e", {"one": [0.5, 0.7]})
    for path in sorted(ROOT.iterdir()):
        status = json.loads((path / "status.json").read_text())
        age = timedelta(days=5 - (ord(path.name[0]) - ord("a")))
        status["started"] = (datetime.now(timezone.utc) - age).isoformat()
        (path / "status.json").write_text(json.dumps(status))


def recorded(name: str) -> dict[str, object]:
    return {"command": "recorded", "name": name, "epochs": 3}


def rmse(*values: float) -> dict[str, object]:
    return {"epoch": [1, 2, 3], "step": [1, 2, 3], "loss": [3, 2, 1], "val_rmse": values, "val_hits": [5, 6, 7]}


def selected(**conditions: object) -> str:
    """The first letters of the runs that a filter selects."""
    return "".join(run.path.name[0] for run in RunFilter(**conditions).select(runs_in(ROOT)))  # type: ignore[arg-type]


def order(column: str, **options: object) -> str:
    return "".join(run.path.name[0] for run, _ in Order(column, **options).sort(runs_in(ROOT)))  # type: ignore[arg-type]


DAY = 86_400.0


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({}, "abcde"),
        ({"commands": ("recorded",)}, "ac"),
        ({"commands": ("recorded", "moons")}, "abcde"),
        ({"name": "rooms"}, "ac"),
        ({"name": "elsewhere"}, "c"),
        ({"name": "*-night"}, "c"),
        ({"name": "rooms*"}, "a"),
        ({"name": "[be]"}, "be"),
        ({"states": ("failed",)}, "d"),
        ({"states": ("finished", "failed"), "commands": ("moons",)}, "bde"),
        ({"newer_than": 2.5 * DAY}, "de"),
        ({"older_than": 3.5 * DAY}, "ab"),
        ({"newer_than": 4.5 * DAY, "older_than": 2.5 * DAY}, "bc"),
        ({"states": ("died",)}, ""),
    ],
)
def test_runs_are_selected_by_what_they_have(conditions: dict[str, object], names: str) -> None:
    assert selected(**conditions) == names


def test_a_run_whose_start_is_not_known_is_neither_new_nor_old() -> None:
    (ROOT / "a-rooms" / "status.json").write_text('{"state": "finished"}')
    assert selected(older_than=DAY) == "bcde"
    assert selected(newer_than=9 * DAY) == "bcde"
    assert selected() == "abcde"


@pytest.mark.parametrize(
    ("conditions", "message", "hint"),
    [
        ({"commands": ("moon",)}, "command: received 'moon', expected one of moons, recorded", "Did you mean moons?"),
        ({"states": ("finishd",)}, "state: received 'finishd', expected one of running, ", "Did you mean finished?"),
    ],
)
def test_what_no_run_can_have_is_refused_with_the_nearest(
    conditions: dict[str, object], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        selected(**conditions)
    assert raised.value.message.startswith(message)
    assert raised.value.hint == hint


def test_a_known_command_that_no_run_has_selects_none() -> None:
    assert RunFilter(commands=("clr",)).select(runs_in(ROOT), {"clr"}) == []


@pytest.mark.parametrize(
    ("column", "names"),
    [("started", "abcde"), ("name", "abcde"), ("state", "dabce"), ("epochs", "dbace"), ("val_rmse", "cabde")],
)
def test_runs_are_sorted_by_a_column_or_a_metric(column: str, names: str) -> None:
    assert order(column) == names


def test_in_reverse_runs_without_the_metric_stay_last() -> None:
    assert order("val_rmse", reverse=True) == "acbde"
    assert order("started", reverse=True) == "edcba"


def test_the_largest_come_first() -> None:
    (ROOT / "b" / "model").write_bytes(bytes(1_000_000))
    assert order("size")[0] == "b"


def test_a_metric_is_sorted_in_the_direction_of_its_name() -> None:
    write_run(ROOT / "f", columns=falling_curves(5, 0.95))
    assert order("val_accuracy")[0] == "f"
    assert Order("val_accuracy").sort(runs_in(ROOT))[0][1] == BestValue(5, pytest.approx(0.95))


def test_a_metric_whose_better_values_are_not_known_needs_a_mode() -> None:
    with pytest.raises(ConfigError, match="sort: received 'val_hits'") as raised:
        order("val_hits")
    assert raised.value.hint == "--mode min or --mode max says it."
    assert order("val_hits", direction="max") == "acbde"
    # Or a run whose headline it is.
    summary = json.loads((ROOT / "c-rooms-night" / "summary.json").read_text())
    summary["headline"] = {"name": "hits", "direction": "max", "kind": "score", "unit": ""}
    (ROOT / "c-rooms-night" / "summary.json").write_text(json.dumps(summary))
    assert order("val_hits") == "acbde"


def test_a_metric_that_no_run_has_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError) as raised:
        order("val_rsme")
    known = "started, name, size, epochs, state, loss, val_rmse, val_hits, accuracy, val_loss, val_accuracy"
    assert raised.value.message == f"sort: received 'val_rsme', expected one of {known}"
    assert raised.value.hint == "Did you mean val_rmse?"
    # Of no runs there is nothing to sort.
    assert Order("val_rsme").sort([]) == []


def test_the_best_value_of_a_run_and_of_a_sweep() -> None:
    assert best_value(Run.read(ROOT / "a-rooms"), "val_rmse", "min") == BestValue(2, 2.0)
    assert best_value(Run.read(ROOT / "a-rooms"), "val_rmse", "max") == BestValue(1, 4.0)
    # What is not finite is no value.
    assert best_value(Run.read(ROOT / "c-rooms-night"), "val_rmse", "max") == BestValue(1, 9.0)
    # The better of two runs.
    assert best_value(Run.read(ROOT / "e"), "val_accuracy", "max") == BestValue(40, pytest.approx(0.7))
    # Of the final and the saved model where no epoch has it.
    assert best_value(Run.read(ROOT / "b"), "test_accuracy", "max") == BestValue(3, 0.95)
    assert best_value(Run.read(ROOT / "d"), "train_loss", "min") == BestValue(40, 0.1)
    assert best_value(Run.read(ROOT / "d"), "val_loss", "min") is None


def test_a_run_whose_metrics_cannot_be_read_has_no_value() -> None:
    (ROOT / "a-rooms" / "metrics.csv").write_text("epoch,step,val_rmse\n1,1,x\n")
    assert order("val_rmse") == "cabde"
    assert best_value(Run.read(ROOT / "a-rooms"), "val_rmse", "min") is None
