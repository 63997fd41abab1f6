"""CSV files of other programs: what is read from each kind, and what is refused, with line and column."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from stopcli.errors import RequestError
from stopcli.runs.csv_columns import CsvColumns, read_csv_columns

NAN = math.nan


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.csv"


def read(path: Path, text: str | bytes) -> CsvColumns:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv_columns(path)


def check(content: CsvColumns, **columns: list[float]) -> None:
    """The columns are exactly these, where a dash in a name is a slash."""
    expected = {name.replace("-", "/"): values for name, values in columns.items()}
    assert list(content.columns) == ["epoch", *expected]
    for name, values in expected.items():
        np.testing.assert_array_equal(content.columns[name], values)


def test_kerass_csv_logger_counts_from_0_and_writes_na_where_it_did_not_validate(path: Path) -> None:
    content = read(path, "epoch,loss,val_loss\n0,1,0.5\n1,0.9,NA\n2,0.8,0.4\n")
    check(content, loss=[1, 0.9, 0.8], val_loss=[0.5, NAN, 0.4])
    assert content.columns["epoch"].tolist() == [1, 2, 3]
    assert content.missing["val_loss"].tolist() == [False, True, False]
    assert content.missing.keys() == {"val_loss"}
    assert content.notes == ("epochs are counted from 0 in the file, and from 1 here",)


def test_lightnings_sparse_rows_are_merged_by_epoch(path: Path) -> None:
    rows = [
        "epoch,step,lr,train_loss_step,train_loss_epoch,val/loss,test_loss",
        # The learning rate is logged without an epoch, a step's loss within it, the rest in rows at its end.
        *(",0,0.1,,,,", "0,49,,1.0,,,", "0,99,,0.9,,,", "0,99,,,,0.7,", "0,99,,,0.95,,"),
        *(",1,0.1,,,,", "1,149,,0.8,,,", "1,199,,,,0.6,", "1,199,,,0.85,,"),
        # trainer.test writes the number of epochs as the epoch.
        "2,200,,,,,0.61",
    ]
    content = read(path, "\n".join(rows) + "\n")
    columns = {"train_loss_step": [0.9, 0.8], "train_loss_epoch": [0.95, 0.85], "val-loss": [0.7, 0.6]}
    check(content, step=[99, 200], **columns, test_loss=[NAN, 0.61])
    assert content.missing["test_loss"].tolist() == [True, False]
    assert content.notes == (
        "rows without an epoch are left out",
        "epochs are counted from 0 in the file, and from 1 here",
        "columns without a number are left out (lr)",
        "of several values in an epoch the last counts (train_loss_step)",
    )


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss,val_loss\n1,1,0.5\n2,0.9,0.4\n",
        "epoch,loss,val_loss\r\n1,1,0.5\r\n2,0.9,0.4",
        "\ufeffepoch,loss,val_loss\n1,1,0.5\n2,0.9,0.4\n",
        "epoch;loss;val_loss\n1;1;0,5\n2;0,9;0,4\n",
        "epoch\tloss\tval_loss\n1\t1\t0.5\n2\t0.9\t0.4\n",
        '"epoch","loss","val_loss"\n"1","1","0.5"\n"2","0.9","0.4"\n',
        " epoch , loss,  val_loss\n 1 ,  1,5e-1\n\n2,0.9,0.4\n\n",
        ",epoch,loss,val_loss\n0,1,1,0.5\n1,2,0.9,0.4\n",
        "Unnamed: 0,Epoch,loss,val_loss\n0,1.0,1,0.5\n1,2.0,0.9,0.4\n",
        "epoch,loss,val_loss\n1,1,0.5\n2,0.9,0.4\n2,0.9,0.4\n",
        "epoch,loss,val_loss\n1,1,\n1,,0.5\n2,0.9,\n2,,0.4\n",
    ],
)
def test_the_same_numbers_however_they_are_written(path: Path, text: str) -> None:
    content = read(path, text)
    check(content, loss=[1, 0.9], val_loss=[0.5, 0.4])
    assert content.columns["epoch"].tolist() == [1, 2]
    assert content.notes == ()
    assert not content.missing


def test_an_index_of_pandas_stands_in_for_the_epoch(path: Path) -> None:
    content = read(path, ",loss\n0,1\n1,0.9\n")
    check(content, loss=[1, 0.9])
    assert (
        content.notes[0]
        == "no column is called epoch; the first, which has no name and counts the rows, is taken for it"
    )


def test_values_that_are_not_finite_are_values_and_not_missing(path: Path) -> None:
    content = read(path, "epoch,loss,val_loss\n1,nan,inf\n2,NaN,-Infinity\n")
    check(content, loss=[NAN, NAN], val_loss=[math.inf, -math.inf])
    assert not content.missing


@pytest.mark.parametrize(
    ("rows", "warned"),
    [
        ("epoch,loss,accuracy,val_loss\n1,0.5,0.6,0.4\n2,,0.1,\n3,,0.1,\n", True),
        # As pandas writes a history of losses alone.
        (",loss,val_loss\n0,0.5,0.4\n1,,\n", True),
        # Validated at every other epoch.
        ("epoch,loss,val_loss\n1,0.5,0.4\n2,0.4,\n", False),
        # Of an epoch that was interrupted, and of a test at the end.
        ("epoch,loss,learning_rate\n1,0.5,0.1\n2,,0.1\n", False),
        ("epoch,loss,test_accuracy\n1,0.5,\n2,,0.9\n", False),
        ("epoch,loss,accuracy\n1,0.5,0.1\n2,nan,0.1\n", False),
    ],
)
def test_losses_that_end_before_the_other_metrics_are_told(path: Path, rows: str, *, warned: bool) -> None:
    path.write_text(rows)
    notes = [note for note in read_csv_columns(path).notes if "no loss is on record after epoch 1," in note]
    assert len(notes) == warned


def test_epochs_without_a_row_are_missing(path: Path) -> None:
    content = read(path, "epoch,loss\n2,1\n4,0.9\n")
    check(content, loss=[NAN, 1, NAN, 0.9])
    assert content.missing["loss"].tolist() == [True, False, True, False]
    assert content.notes == ("epochs without a row are not on record, and rules skip them (the first is 1)",)


def test_a_column_of_text_is_left_out(path: Path) -> None:
    content = read(path, 'epoch,time,loss,per_class\n1,10:31,1,"[1, 2]"\n')
    check(content, loss=[1])
    assert content.notes == ("columns without a number are left out (time, per_class)",)


def test_parts_of_a_long_file_are_joined(path: Path) -> None:
    epochs = 100_000
    content = read(path, "epoch,loss\n" + "".join(f"{i},{i / 8}\n" for i in range(1, epochs + 1)))
    assert np.array_equal(content.columns["loss"], np.arange(1, epochs + 1) / 8)
    with pytest.raises(RequestError, match=r"line 100002, column loss: received 'x', expected a number$"):
        read(path, path.read_bytes() + b"100001,x\n")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("epoch,val_loss\n1,1\n2,abc\n", "csv, line 3, column val_loss: received 'abc', expected a number", ""),
        ('epoch,val_loss\n1,1\n2,"0,5"\n', "csv, line 3, column val_loss: received '0,5', expected a number", ""),
        ('epoch,note,loss\n1,"a\nb",1\n2,c,x\n', "csv, line 4, column loss: received 'x', expected a number", ""),
        ("epoch;loss\n1;1.234,5\n2;1\n", "csv, line 2, column loss: received '1.234,5', expected a number", ""),
        ("epoch,loss\n1,1\n\n2,1,3\n", "csv, line 4: received 3 values, expected 2", ""),
        ("epoch,loss\n1\n", "csv, line 2: received 1 value, expected 2", ""),
        (
            "Epochs,loss\n1,1\n",
            "no column is called epoch, expected one beside those that it has: Epochs, loss",
            "Rename",
        ),
        ("it,loss\n1,1\n", "no column is called epoch, expected one beside those that it has: it, loss", "from 0 or"),
        (
            "epoch,loss\n1,1\n2,1\n1,1\n",
            "csv, line 4, column epoch: received 1 after 2, expected",
            "A file holds one run",
        ),
        (
            "epoch,loss\n1,1\n2,1\n2,0.5\n",
            "csv, line 4, column loss: received 0.5 for epoch 2, which already has 1; expected one value an epoch",
            "need a column step",
        ),
        (
            "epoch,step,loss\n1,8,1\n2,16,1\n2,16,0.5\n",
            "csv, line 4, column loss: received 0.5 for epoch 2, which already has 1; expected one value an epoch",
            "",
        ),
        ("epoch,loss\n0.5,1\n", "csv, line 2, column epoch: received 0.5, expected a whole number from 0", ""),
        ("epoch,loss\n-1,1\n", "csv, line 2, column epoch: received -1, expected a whole number from 0", ""),
        ("epoch,loss\nnan,1\n", "csv, line 2, column epoch: received nan, expected a whole number from 0", ""),
        ("epoch,loss\n1,1\nepoch,loss\n", "csv, line 3, column epoch: received 'epoch', expected a whole number", ""),
        ("epoch,loss\n99999999999,1\n", "received 1e+11, expected a whole number from 0 to 10,000,000", ""),
        ("epoch,loss,loss\n1,1,1\n", "2 columns have the name 'loss', expected one", ""),
        ("", "an empty file, expected a CSV file with a column epoch", ""),
        ("\n \n", "an empty file, expected a CSV file with a column epoch", ""),
        ("epoch,loss\n", "no row below the names of its columns, expected a row an epoch", ""),
        ("epoch,loss\n,1\n", "its column epoch is empty", ""),
        ("epoch,time\n1,10:31\n", "no column of numbers beside epoch, expected a metric", ""),
        ("epoch\n1\n", "no column of numbers beside epoch, expected a metric", ""),
        ("<!doctype html>\n<p>\n", "not a CSV file: its first line, '<!doctype html>', has no comma", ""),
        ('epoch,loss\n1,"x\n2,3\n', "not a CSV file (unexpected end of data)", ""),
        (b"\x89PNG\r\n\0\0", "a binary file, expected a CSV file", ""),
        ("epoch,größe\n1,2\n".encode("latin-1"), "not UTF-8 (invalid start byte: byte 0xf6), expected", ""),
        ("epoch,loss\n1,2\n".encode("utf-16"), "its encoding is UTF-16, expected UTF-8", "Save it as CSV in UTF-8."),
    ],
)
def test_what_is_no_recording_is_refused(path: Path, text: str | bytes, message: str, hint: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(path, text)
    assert str(path) in refused.value.message
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_a_file_of_a_gigabyte_is_refused_unread(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(
        RequestError, match="received 1,073,741,825 bytes, expected a CSV file of at most 1,073,741,824"
    ):
        read_csv_columns(path)
