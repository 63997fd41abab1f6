"""What a run takes over from the run of a table whose model it starts from, and which rows are new to both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from growing_tables import HASHED, config_of, houses, read, written, written_ancestor

from stopcli.errors import ConfigError, NothingNewError, RequestError
from stopcli.recipes.table import TableRows
from stopcli.recipes.table_encoder import Encoder, statistics_from
from stopcli.recipes.table_growth import TRAINED_BEFORE, taken_over, words_note

NEW = {"init_from": "first", "rows": "new"}


@pytest.fixture
def first() -> TableRows:
    """The rows of a run in the folder `first`: those of 300 houses."""
    written(houses(300))
    rows = read()
    written_ancestor(rows)
    return rows


def ids(rows: TableRows, part: int) -> set[int]:
    """The rows of a part by their ids."""
    return set(rows.table.frame["id"].to_numpy()[rows.numbers_of(part)].tolist())


def test_rows_that_train_are_the_new_ones_and_all_rows_of_the_other_parts_measure(first: TableRows) -> None:
    """Against a run on the same table that starts anew, by the ids alone; in another order, with other dtypes."""
    frame = houses(400).sample(frac=1, random_state=1).assign(garden=1)
    more = frame.head(2).assign(id=[5000, 5001], rooms=None, price=[250.5, None])
    frame = pandas.concat([frame, more])
    written(frame)
    anew, grown = read(ignore=("garden",)), read(**NEW)
    assert ids(grown, 0) == ids(anew, 0) - ids(first, 0)
    assert [ids(grown, part) for part in (1, 2)] == [ids(anew, part) for part in (1, 2)]
    assert ids(first, 1) < ids(grown, 1)
    assert ids(first, 2) < ids(grown, 2)
    assert (grown.columns.numbers, grown.columns.words) == (first.columns.numbers, first.columns.words)
    assert grown.columns.unused["garden"] == "not among the columns of first"
    assert "garden is not used: first was trained without" in grown.notes
    assert "1 row has no value of price, so it is left out" in grown.notes
    assert 5000 in set().union(*(ids(grown, part) for part in range(3)))
    assert 5001 not in set().union(*(ids(grown, part) for part in range(3)))
    trained = ids(grown, TRAINED_BEFORE)
    assert trained == ids(first, 0)
    counts = [(row["part"], row["rows"]) for row in grown.row_parts.table]
    assert counts[:2] == [("train", len(ids(grown, 0))), ("train, earlier too", len(ids(anew, 0)))]
    assert f"{len(ids(grown, 0))} rows of the {len(ids(anew, 0))} in the training part are new and train" in str(
        grown.row_parts.description
    )


def test_what_a_run_knows_is_what_it_and_its_ancestors_knew(first: TableRows) -> None:
    written(houses(400))
    second = read(**NEW)
    written_ancestor(second, "second")
    written(houses(500))
    third = read(init_from="second", rows="new")
    assert ids(third, 0) == ids(read(), 0) - ids(first, 0) - ids(second, 0)
    known = third.known_rows
    frame = third.table.frame
    trained = frame["id"].isin(ids(first, 0) | ids(second, 0) | ids(third, 0)).to_numpy()
    assert ((known.parts_of(third.hashes) & 1 > 0) == trained).all()
    # Of this run alone.
    assert known.counts.sum(axis=0).tolist() == [len(ids(third, part)) for part in range(3)]


def test_rows_that_tested_train_once_later_ones_test() -> None:
    """By time, a row is new to training when it is no longer among the last."""
    frame = houses(400).assign(sold=np.arange(400))
    written(frame.head(300))
    by_time = {"split": "time:sold"}
    before = read(**by_time)
    written_ancestor(before, **by_time)
    written(frame)
    after = read(**NEW, **by_time)
    assert ids(after, 0) == ids(read(**by_time), 0) - ids(before, 0)
    assert ids(after, 0) & (ids(before, 1) | ids(before, 2))


def test_nothing_new_is_told_from_a_wrong_request(first: TableRows) -> None:
    text = f"no new rows: all {len(ids(first, 0))} rows that train have trained first or a run before it"
    with pytest.raises(NothingNewError, match=text) as nothing:
        read(**NEW)
    assert nothing.value.exit_status == 5
    # Rows that only measure are no reason to train.
    written(houses(400))
    would_train = ids(read(), 0) - ids(first, 0)
    frame = houses(400)
    written(frame[~frame["id"].isin(would_train)])
    with pytest.raises(NothingNewError):
        read(**NEW)


@pytest.mark.parametrize("rows", ["new", "all"])
def test_test_rows_that_trained_an_ancestor_are_refused(rows: str) -> None:
    """A split at random draws other rows once the table has grown. Counted by ids."""
    at_random = {"split": "random"}
    written(houses(300))
    before = read(**at_random)
    written_ancestor(before, **at_random)
    written(houses(400))
    after = read(**at_random)
    tested = after.table.frame["id"].to_numpy()[after.numbers_of(2)]
    leaking = np.isin(tested, list(ids(before, 0)))
    # The head of the file is its first line.
    line = after.numbers_of(2)[leaking][0] + 2
    text = f"{leaking.sum()} of the 80 rows that test trained first or a run before it, the first in line {line}: "
    with pytest.raises(RequestError, match=text) as refused:
        read(init_from="first", rows=rows, **at_random)
    assert "--split hash:COLUMN" in refused.value.hint


def test_other_shares_that_let_trained_rows_test_or_validate_are_refused(first: TableRows) -> None:
    written(houses(400))
    with pytest.raises(RequestError, match=r"rows that test trained first") as refused:
        read(**NEW, test_share=0.5)
    assert "--test-share, --validation-share and --data-seed" in refused.value.hint
    with pytest.raises(
        RequestError, match=r"rows that validate trained first or a run before it, .* an epoch too late"
    ):
        read(**NEW, validation_share=0.5)
    # Fewer of them harm nothing.
    assert len(read(**NEW, test_share=0.1).numbers_of(2)) < len(read(**NEW).numbers_of(2))


def test_test_rows_that_chose_an_ancestors_epoch_are_told() -> None:
    """More rows test than before, in a table without those that trained."""
    written(houses(300))
    before = read(test_share=0.1)
    written_ancestor(before, test_share=0.1)
    frame = houses(400)
    written(frame[~frame["id"].isin(ids(before, 0))])
    after = read(**NEW, test_share=0.4)
    validated = ids(before, 1) & ids(after, 2)
    told = f"{len(validated)} of the {len(ids(after, 2))} rows that test have validated an earlier run"
    assert validated
    assert any(note.startswith(told) for note in after.notes)
    assert not any("validated" in note for note in read(**NEW, test_share=0.1).notes)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (lambda frame: frame.rename(columns={"rooms": "room"}), "no column rooms", "Did you mean room?"),
        (
            lambda frame: frame.assign(area=frame.area.astype(str) + " m"),
            "area: received '",
            "The columns and classes are those of first. Without",
        ),
        (lambda frame: frame.drop(columns="price"), "no column price, the target", ""),
    ],
)
def test_a_column_that_is_missing_or_of_another_kind_is_refused(
    first: TableRows, change: Callable[[pandas.DataFrame], pandas.DataFrame], message: str, hint: str
) -> None:
    written(change(houses(400)))
    with pytest.raises(RequestError) as refused:
        read(**NEW)
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_a_new_class_is_refused_with_its_row() -> None:
    classes = {"target": "side", "task": "classes"}
    written(houses(300))
    written_ancestor(read(**classes), **classes)
    frame = houses(400)
    frame.loc[350, "side"] = "centre"
    written(frame)
    with pytest.raises(RequestError, match=r"line 352, column side: received 'centre'") as refused:
        read(**NEW, **classes)
    assert "Without --init-from" in refused.value.hint


def test_new_words_are_counted_and_are_those_that_training_never_saw(first: TableRows) -> None:
    frame = houses(400)
    frame.loc[frame.index[-7:], "side"] = "centre"
    written(frame)
    rows = read(**NEW)
    assert rows.ancestor is not None
    encoder = Encoder(rows.columns, statistics_from(rows.ancestor.record.statistics))
    assert encoder.vocabulary_sizes == (3,)
    unknown = encoder.unknown_words(rows.raw)
    assert words_note(unknown, rows.ancestor) == ("words that first never saw count as unknown: side in 7 rows",)
    assert words_note({}, rows.ancestor) == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "area"}, "target: received 'area', expected price, as first has it"),
        ({"task": "classes"}, "task: received 'classes', expected regression"),
        ({"split": "hash:area"}, "split: received 'hash:area', expected hash:id"),
        ({"features": ("area", "room")}, "features: received 'room', expected the columns that first predicts from"),
        ({"features": ("area", "rooms")}, "features: received 'area, rooms', expected side too"),
        ({"ignore": ("rooms",)}, "ignore: received 'rooms', expected a column that first does not predict from"),
        ({"categorical": ("rooms",)}, "categorical: received 'rooms', expected a column of words"),
    ],
)
def test_settings_that_contradict_the_ancestors_are_refused(
    first: TableRows, settings: dict[str, Any], message: str
) -> None:
    written(houses(400))
    with pytest.raises(ConfigError, match=message):
        read(**{**NEW, **settings})
    same = {"features": ("side", "rooms", "area"), "ignore": ("id",), "categorical": ("side",), "task": "regression"}
    read(**NEW, **{name: value for name, value in same.items() if name not in ("ignore",)})


def test_what_is_not_given_is_taken_from_the_ancestor() -> None:
    settings = {"validation_share": 0.3, "test_share": 0.15, "data_seed": 7, "hidden": (5,), "learning_rate": 0.01}
    written(houses(300))
    first = read(**settings)
    written_ancestor(first, **settings, epochs=7)
    taken = taken_over({"table": "houses.csv", **NEW})
    assert taken.items() >= {
        **settings,
        **HASHED,
        "task": "regression",
        "validation": "split",
        "dropout": 0.0,
    }.items() - {("hidden", (5,))}
    assert (taken["hidden"], "epochs" in taken) == ([5], False)
    written(houses(400))
    grown = read(**{**NEW, **taken, "hidden": (5,)})
    assert ids(first, 2) < ids(grown, 2)
    # A share that validates is of no use where none does, and cannot be taken away.
    assert "validation_share" not in taken_over({"table": "houses.csv", **NEW, "validation": "none"})
    # A file builds the network itself, and a run on no table has nothing to take over.
    assert "hidden" not in taken_over({"table": "houses.csv", **NEW, "file": "net.py"})
    assert taken_over({"init_from": "first"}) == {}


def test_the_network_of_a_python_file_has_to_be_named(first: TableRows) -> None:
    config = Path("first/config.toml")
    config.write_text(config.read_text() + 'file = "/home/me/net.py"\n')
    with pytest.raises(RequestError, match=r"first: its network is that of /home/me/net.py") as refused:
        taken_over({"table": "houses.csv", **NEW})
    assert "stopcli fit /home/me/net.py houses.csv" in refused.value.hint


def _without_table() -> None:
    Path("first/table.json").unlink()


def _unfinished() -> None:
    Path("first/status.json").write_text(json.dumps({"state": "interrupted", "epoch": 3}))


def _sweep() -> None:
    jobs = Path("first/jobs/seed-0")
    jobs.mkdir(parents=True)


def _damaged() -> None:
    Path("first/rows.npz").write_bytes(b"PK")


def _model() -> None:
    Path("first/checkpoints").mkdir()
    Path("first/checkpoints/best.keras").touch()


@pytest.mark.parametrize(
    ("change", "source", "message", "hint"),
    [
        (_without_table, "first", "first: a run of fit, and not on a table", "Without --rows new"),
        (_unfinished, "first", "first: interrupted, expected a run that has finished", "stopcli resume first"),
        (_sweep, "first", "first: a sweep, expected one of its runs", "--init-from first/jobs/seed-0"),
        (_damaged, "first", "first/rows.npz: damaged", ""),
        (_model, "first/checkpoints/best.keras", "best.keras: a file, expected a run", "--init-from first"),
        (lambda: None, "second", "second", ""),
    ],
)
def test_an_ancestor_whose_rows_are_not_known_is_refused(
    first: TableRows, change: Callable[[], None], source: str, message: str, hint: str
) -> None:
    change()
    for ask in (
        lambda: read(init_from=source, rows="new"),
        lambda: taken_over({"table": "houses.csv", "init_from": source, "rows": "new"}),
    ):
        with pytest.raises(RequestError) as refused:
            ask()
        assert message in refused.value.message
        assert hint in refused.value.hint


def test_a_night_that_a_time_budget_has_ended_is_one_to_start_from(first: TableRows) -> None:
    Path("first/status.json").write_text(json.dumps({"state": "paused", "epoch": 3}))
    written(houses(400))
    assert "first was paused at epoch 3; the rows that it trained on count as trained" in read(**NEW).notes


def test_all_rows_train_with_the_ancestors_statistics(first: TableRows) -> None:
    written(houses(400))
    everything = read(init_from="first")
    assert ids(everything, 0) == ids(read(), 0)
    assert everything.ancestor is not None
    assert everything.ancestor.record.statistics["target_mean"] == pytest.approx(
        np.mean(first.raw.target[first.numbers_of(0)])  # type: ignore[index]
    )
    assert "The columns, their statistics and the parts of the rows are those of first" in everything.notes
    # Of a file, or of a run on something else, only the weights are taken.
    Path("elsewhere.keras").touch()
    assert read(init_from="elsewhere.keras").ancestor is None


def test_a_resumed_run_needs_its_ancestor_no_more(first: TableRows) -> None:
    written(houses(400))
    second = read(**NEW)
    folder = written_ancestor(second, "second", init_from="first")
    shutil.rmtree("first")
    again = read(run=folder, **NEW)
    for part in range(3):
        assert (again.numbers_of(part) == second.numbers_of(part)).all()
    assert again.known_rows.to_bytes() == second.known_rows.to_bytes()
    assert again.ancestor is not None
    assert (again.ancestor.name, again.row_parts.description) == ("first", second.row_parts.description)
    assert again.notes == second.notes
    with pytest.raises(RequestError, match="first"):
        read(**NEW)
    assert config_of(**NEW).init_from.endswith("first")
