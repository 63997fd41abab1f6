"""Honest selection, on columns whose epochs are chosen by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stopcli.runs.metrics import Columns
from stopcli.runs.summary import Selection
from stopcli.runs.typed_json import from_json, to_json
from stopcli.stats.intervals import compare_selection
from stopcli.stopping import BestEpoch

READABLE = ("loss", "accuracy", "val_loss", "val_accuracy")
NAN = float("nan")


def columns(**changes: list[float]) -> Columns:
    values = {
        "epoch": [1, 2, 3, 4, 5],
        "step": [1, 2, 3, 4, 5],
        "loss": [0.9, 0.7, 0.5, 0.3, 0.1],
        "accuracy": [0.5, 0.6, 0.7, 0.8, 0.9],
        "val_loss": [0.8, 0.6, 0.4, 0.5, 0.7],
        "val_accuracy": [0.6, 0.8, 0.8, 0.7, 0.7],
        "test_loss": [0.9, 0.7, 0.5, 0.45, 0.6],
        "test_accuracy": [0.5, 0.7, 0.8, 0.9, 0.9],
        **changes,
    }
    return {name: np.array(column, float) for name, column in values.items()}


def chosen(selection: Selection | None) -> tuple[int, float, int, float]:
    assert selection is not None
    honest, claimed = selection.honest, selection.claimed
    return honest.epoch, honest.test_accuracy, claimed.epoch, claimed.test_accuracy


def test_of_equal_epochs_both_choose_the_first() -> None:
    selection = compare_selection(columns(), BestEpoch("val_accuracy"), READABLE)
    assert chosen(selection) == (2, 0.7, 4, 0.9)
    assert selection is not None
    assert selection.optimism == pytest.approx(0.2)
    assert (selection.honest.value, selection.claimed.monitor) == (0.8, "test_accuracy")
    assert from_json(Selection, to_json(selection)) == selection


def test_a_monitored_loss_is_the_test_rows_loss_for_the_claim() -> None:
    assert chosen(compare_selection(columns(), BestEpoch("val_loss"), READABLE)) == (3, 0.8, 4, 0.9)
    # The model with the lowest test loss need not be the most accurate one.
    worse = columns(test_accuracy=[0.5, 0.7, 0.8, 0.6, 0.9])
    selection = compare_selection(worse, BestEpoch("val_loss"), READABLE)
    assert selection is not None
    assert selection.optimism == pytest.approx(-0.2)


def test_a_training_metric_is_the_test_rows_own_for_the_claim() -> None:
    assert chosen(compare_selection(columns(), BestEpoch("loss"), READABLE)) == (5, 0.9, 4, 0.9)


def test_the_mode_holds_for_both() -> None:
    assert chosen(compare_selection(columns(), BestEpoch("val_accuracy", "min"), READABLE)) == (1, 0.5, 1, 0.5)


def test_epochs_that_do_not_count_for_the_rule_count_for_neither() -> None:
    late = BestEpoch("val_accuracy", "auto", 4)
    assert chosen(compare_selection(columns(), late, READABLE)) == (5, 0.9, 5, 0.9)


def test_an_epoch_with_a_metric_that_is_no_number_counts_for_neither() -> None:
    # It ended the run, and its model was never the best.
    broken = columns(
        loss=[0.9, 0.7, 0.5, 0.3, NAN], val_accuracy=[0.6, 0.8, 0.8, 0.7, 1.0], test_accuracy=[0, 0, 0, 0.1, 1]
    )
    assert chosen(compare_selection(broken, BestEpoch("val_accuracy"), READABLE)) == (2, 0.0, 4, 0.1)
    nowhere = columns(loss=[NAN] * 5)
    assert compare_selection(nowhere, BestEpoch("val_accuracy"), READABLE) is None


def test_a_test_loss_that_is_no_number_is_chosen_by_nobody() -> None:
    broken = columns(test_loss=[0.9, 0.7, NAN, NAN, 0.6])
    assert chosen(compare_selection(broken, BestEpoch("val_loss"), READABLE)) == (3, 0.8, 5, 0.9)
    assert compare_selection(columns(test_loss=[NAN] * 5), BestEpoch("val_loss"), READABLE) is None


def test_epochs_beyond_the_stop_are_not_there_to_be_chosen() -> None:
    stopped = {name: column[:3] for name, column in columns().items()}
    assert chosen(compare_selection(stopped, BestEpoch("val_accuracy"), READABLE)) == (2, 0.7, 3, 0.8)
    nothing = {name: column[:0] for name, column in columns().items()}
    assert compare_selection(nothing, BestEpoch("val_accuracy"), READABLE) is None


def test_where_the_test_rows_validate_there_is_nothing_to_compare() -> None:
    published = {name: column for name, column in columns().items() if not name.startswith("test_")}
    assert compare_selection(published, BestEpoch("val_accuracy"), READABLE) is None
