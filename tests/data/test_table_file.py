"""Tables from files: what pandas would read, and what is refused or said where it would guess."""

from __future__ import annotations

import gzip
import sys
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from stopcli.data.column_kinds import column_of, numbers_of, texts_of
from stopcli.data.csv_layout import MISSING
from stopcli.data.table_csv import csv_lines
from stopcli.data.table_file import TableFile, line_of, lines_of, read_table
from stopcli.errors import RequestError


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_table(content: str | bytes, name: str = "houses.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_table


def refused(path: Path) -> RequestError:
    with pytest.raises(RequestError) as caught:
        read_table(path)
    assert caught.value.message.startswith(str(path))
    return caught.value


TABLE = pd.DataFrame({"rooms": [3, 4, 2], "area": [70.5, 91.0, np.nan], "town": ["Ulm", "Köln", "Ulm"]})


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.tsv", "a.csv.gz", "a.parquet", "a.npz"])
def test_a_table_of_any_kind_is_that_of_pandas(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        TABLE.to_parquet(path)
    elif name.endswith("npz"):
        np.savez(path, rooms=TABLE["rooms"], area=TABLE["area"], town=TABLE["town"].to_numpy(str))
    else:
        TABLE.to_csv(path, index=False, sep="\t" if "tsv" in name else ",")
    table = read_table(path)
    assert (table.columns, table.notes) == (("rooms", "area", "town"), ())
    pd.testing.assert_frame_equal(table.frame, TABLE, check_dtype=False)
    assert [table.frame[name].dtype.kind for name in table.columns] == ["i", "f", "O"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252"])
def test_an_encoding_is_recognised_and_said(encoding: str, write: Any) -> None:
    text = "town,price\nKöln,1\nÜlm,2\n"
    content = ("\ufeff" + text if encoding == "utf-16-be" else text).encode(encoding)
    table = read_table(write(content))
    assert table.frame["town"].tolist() == ["Köln", "Ülm"]
    if encoding.startswith("utf-8"):
        assert table.notes == ()
    elif encoding == "cp1252":
        assert table.notes == ("houses.csv is not UTF-8, so it is read as cp1252 (Windows, Western Europe)",)
    else:
        assert table.notes == (f"houses.csv is read as {encoding[:6].upper()}, as its byte order mark says",)


def test_a_letter_of_another_encoding_far_below_is_seen(write: Any) -> None:
    rows = "".join(f"{i},town\n" for i in range(200_000))
    table = read_table(write(f"price,town\n{rows}".encode() + b"7,K\xf6ln\n"))
    assert table.frame["town"].iloc[-1] == "Köln"
    assert "read as cp1252" in table.notes[0]


@pytest.mark.parametrize(("delimiter", "in_words"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_a_delimiter_and_decimal_commas_are_recognised_and_said(delimiter: str, in_words: str, write: Any) -> None:
    table = read_table(write(delimiter.join(["a", '"b, c"']) + f"\n1,5{delimiter}x\n2{delimiter}y\n"))
    assert table.frame.to_dict("list") == {"a": [1.5, 2.0], "b, c": ["x", "y"]}
    assert table.notes == (
        f"houses.csv has {in_words} between its columns, not commas",
        "numbers in houses.csv have decimal commas",
    )


@pytest.mark.parametrize(
    ("delimiter", "cells", "said"),
    [
        ("\t", ["950", "1,200", "12,500"], "price: 1,200 is read as 1.2;"),
        (";", ["950", "1.200", "12.500"], "price: 1.200 is read as 1.2;"),
        (";", ["0,125", "1,250", "2"], ""),
        (";", ["1,20", "1,250", "2"], ""),
        (";", ["1,200", "1,250"], ""),
    ],
)
def test_decimals_that_may_be_thousands_are_said(delimiter: str, cells: list[str], said: str, write: Any) -> None:
    rows = [f"a{delimiter}{cell}\n" for cell in cells]
    table = read_table(write("".join([f"id{delimiter}price\n", *rows])))
    notes = [note for note in table.notes if "is read as" in note]
    assert len(notes) == bool(said)
    assert not said or notes[0].startswith(said)


def test_quotation_marks_that_swallow_rows_are_said(write: Any) -> None:
    """As of a TSV that was written without quoting."""
    titles = [f'"Film {i}' if i in (10, 40) else f"Film {i}" for i in range(60)]
    rows = [f"{i}\t{title}\t{i}\n" for i, title in enumerate(titles)]
    table = read_table(write("".join(["id\ttitle\tyear\n", *rows]), "films.tsv"))
    assert len(table.frame) == 30
    assert "films.tsv, line 12, column title: a cell in quotation marks goes on over 29 lines that look like rows" in (
        table.notes
    )
    text = 'id,text\n1,"several\nlines\nof text"\n2,one\n'
    assert read_table(write(text, "texts.csv")).notes == ()


def test_points_beside_commas_stay_what_they_are(write: Any) -> None:
    table = read_table(write("a;b\n1.5;1,5\n2.5;2,5\n"))
    assert table.frame.to_dict("list") == {"a": [1.5, 2.5], "b": ["1,5", "2,5"]}


def test_words_that_pandas_takes_as_missing_stay_among_words(write: Any) -> None:
    # Also where the first words come late.
    numbers = "".join(f"{i},\n" for i in range(3000))
    table = read_table(write(f"n,basement\n1,NA\n2,None\n3,good\n4,\n{numbers}"))
    assert table.frame["basement"].tolist()[:3] == ["NA", "None", "good"]
    assert table.frame["basement"].isna().sum() == 3001
    late = read_table(write(f"n,basement\n1,NA\n{numbers}3,good\n"))
    assert late.frame["basement"].dropna().tolist() == ["NA", "good"]
    in_numbers = read_table(write("n,m\n1,NA\n2,None\n3,4\n"))
    assert in_numbers.frame["m"].dtype == np.float64


def test_a_column_is_one_type_where_pandas_would_mix_parts_of_a_file(write: Any) -> None:
    rows = "".join(f"{i},{i}.5\n" for i in range(300_000))
    path = write(f"a,b\n007,1\n{rows}x,2\n")
    with pytest.warns(pd.errors.DtypeWarning):
        assert pd.api.types.infer_dtype(pd.read_csv(path)["a"]) == "mixed-integer"
    column = read_table(path).frame["a"]
    assert pd.api.types.infer_dtype(column) == "string"
    assert column.iloc[[0, 1, -1]].tolist() == ["007", "0", "x"]


def test_an_index_that_pandas_wrote_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    TABLE.to_csv(path)
    table = read_table(path)
    assert table.columns == ("rooms", "area", "town")
    assert table.notes == ("the first column of a.csv has no name and counts the rows, so it is left out",)
    kept = TABLE.iloc[[2, 0]]
    kept.to_parquet(tmp_path / "b.parquet")
    assert read_table(tmp_path / "b.parquet").columns == ("rooms", "area", "town")


def test_columns_without_names_and_values_are_left_out(write: Any) -> None:
    table = read_table(write("a,b,,\n1,2,,\n3,4,,\n"))
    assert table.frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    assert table.notes == ("2 columns of houses.csv have neither a name nor values, so they are left out",)
    late = "a,b,\n" + "1,2,\n" * 1000 + "3,4,5\n"
    assert "column 3 has values and no name" in refused(write(late)).message


def test_spaces_beside_delimiters_are_no_part_of_cells(write: Any) -> None:
    table = read_table(write('a , b, c\n1, x, "y, z"\n2 ,, u\n'))
    assert table.frame.fillna("-").to_dict("list") == {"a": [1, 2], "b": ["x", "-"], "c": ["y, z", "u"]}


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).filter(
    lambda text: text.strip() == text and text not in MISSING
)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.floats(allow_infinity=False, width=32), st.integers(-(2**53), 2**53), CELLS), min_size=1),
    st.sampled_from([",", ";", "\t", "|"]),
)
def test_what_pandas_writes_is_read_as_it_was(rows: list[tuple[float, int, str]], delimiter: str) -> None:
    expected = pd.DataFrame(rows, columns=["number", "whole", "text"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.csv")
        expected.to_csv(path, index=False, sep=delimiter)
        table = read_table(path)
        assert [line_of(table, row) for row in (0, len(rows) - 1)] == [2, len(rows) + 1]
    np.testing.assert_allclose(table.frame["number"].astype(float), expected["number"], rtol=1e-9)
    assert table.frame["whole"].tolist() == expected["whole"].tolist()
    if table.frame["text"].dtype.kind == "O" and not set(expected["text"]) & {"true", "false"}:
        assert table.frame["text"].tolist() == expected["text"].tolist()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_row_counts_whether_its_line_ends_or_not(end: str, write: Any) -> None:
    for content in (f"a,b{end}1,2", f"a,b{end}1,2{end}"):
        assert read_table(write(content)).frame.to_dict("list") == {"a": [1], "b": [2]}


def test_thousands_of_columns_are_a_table(write: Any) -> None:
    names = [f"column_{i:0100}" for i in range(3_000)]
    table = read_table(write(",".join(names) + ("\n" + ",".join(["1.25"] * 2_999) + ",NA") * 3))
    assert table.frame.shape == (3, 3_000)
    assert (table.frame.iloc[2, -2], table.frame.isna().sum().sum()) == (1.25, 3)


def test_progress_reaches_the_end(write: Any) -> None:
    path = write("a,b\n" + "1.2345,2.3456\n" * 1_500_000)
    seen: list[tuple[int, int]] = []
    read_table(path, lambda what, done, total: seen.append((done, total)))
    assert len(seen) >= 2
    assert seen[-1] == (21, 21)


def test_short_rows_are_missing_and_counted(write: Any) -> None:
    for quote in ("", '"'):
        table = read_table(write(f"a,b,c\n{quote}1{quote},2,3\n\n4\n5,6,\n7,8\r\n"))
        assert table.frame["c"].isna().tolist() == [False, True, True, True]
        assert table.notes == (
            "2 rows of houses.csv have fewer values than there are columns (the first is line 4): "
            "what is not there is missing",
        )


def test_a_cell_may_be_longer_than_pythons_csv_takes(write: Any) -> None:
    rows = [f'"{i}",2,3\n' for i in range(300)]
    table = read_table(write("a,b,c\n" + "".join(rows) + f'"x",{"long" * 40_000},\n'))
    assert (len(table.frame), len(table.frame["b"].iloc[-1]), table.notes) == (301, 160_000, ())
    assert table.layout is not None
    with pytest.raises(RequestError, match="its lines cannot be counted"):
        csv_lines(table.layout, [300])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "an empty file"),
        (" \n\n", "an empty file"),
        (b"\xff\xfe\r\x00\n\x00", "an empty file"),
        ("a,b\n", "only the names of columns, expected rows below them"),
        ("a,b,a\n1,2,3\n", "2 columns have the name 'a', expected one"),
        ("a,,c\n1,2,3\n", "column 2 has values and no name, expected one in its first line"),
        (",b\n7,2\n7,3\n", "column 1 has values and no name"),
        (",\n,\n", "no column has a name in its first line"),
        ("sep=;\na;b\n1;2\n", "its first line is 'sep=', which Excel writes, expected the names of columns"),
        ("a,b\n1,2\n3,4,,\n", "line 3: received 4 values, expected 2"),
        ("# by R\na,b\n1,2\n", "line 2: received 2 values, expected 1"),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", "its first line has the number 5.1, expected the names of columns"),
        ("a,b\n1,2\n3,4,5\n", "line 3: received 3 values, expected 2, as its first line has names"),
        ("a,b\n1,2,3\n4,5,6\n", "line 2: received 3 values, expected 2"),
        ('a,b\n"x\ny",2\n\n3,4,5\n', "line 5: received 3 values, expected 2"),
        ('a,b\n1,2\n1,"x\n2,y\n', "line 3: a cell begins with a quotation mark and does not end"),
        (b"a,b\n\x00\x01\x02,3\n", "a binary file, expected a CSV file"),
        (b"PAR1\x15\x04", "a Parquet file, expected a CSV file"),
        (b"PK\x03\x04\x14\x00", "a ZIP archive"),
        (gzip.compress(b"a,b\n1,2\n" * 100, mtime=0)[:-20], "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused(content: str | bytes, message: str, write: Any) -> None:
    assert message in refused(write(content)).message


def test_what_is_no_file_of_a_table_is_refused(tmp_path: Path, write: Any) -> None:
    write("a,b\n1,2\n", "houses.csv")
    missing = refused(tmp_path / "house.csv")
    assert ("no such file" in missing.message, missing.hint) == (True, "Did you mean houses.csv?")
    assert "a folder, expected a table (.csv, .tsv" in refused(tmp_path).message
    assert "expected one that ends in .csv" in refused(write("", "houses.xlsx")).message


def test_npz_arrays_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "digits.npz"
    x = np.arange(6, dtype=np.float16).reshape(3, 2)
    np.savez(path, x=x, y=np.array([[1], [2], [3]], ">i4"), town=np.array([b"Ulm", b"", b"K\xc3\xb6ln"]))
    table = read_table(path)
    assert table.columns == ("x_0", "x_1", "y", "town")
    np.testing.assert_array_equal(table.frame[["x_0", "x_1"]], x)
    assert table.frame["y"].tolist() == [1, 2, 3]
    assert table.frame["town"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3), "y": np.zeros(4)}, "array x has 3 rows and array y 4 rows"),
        ({"x": np.zeros((3, 2, 2))}, r"array x: received the shape (3, 2, 2), expected [rows] or [rows, columns]"),
        ({"x": np.array(3.0)}, "array x: received the shape ()"),
        ({"x": np.zeros((2, 2)), "x_1": np.zeros(2)}, "2 columns have the name 'x_1'"),
        ({"x": np.array([{}, None])}, "array x: received objects, which only pickle could read"),
        ({"x": np.zeros(2, complex)}, "array x: received the type complex128, expected numbers or words"),
        ({"x": np.zeros((0, 2))}, "no rows"),
    ],
)
def test_arrays_that_are_no_table_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    assert message in refused(path).message


def test_damaged_files_are_refused(write: Any) -> None:
    assert "not an NPZ file that can be read" in refused(write("PK\x03\x04 nothing", "a.npz")).message
    assert "not an NPZ file that can be read" in refused(write("a,b\n", "a.npz")).message
    assert "not a Parquet file that can be read" in refused(write("a,b\n", "a.parquet")).message


def test_parquet_without_pyarrow_names_the_extra(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = refused(write("PAR1", "a.parquet"))
    assert ("needs pyarrow" in error.message, error.hint) == (True, "pip install 'stopcli[tables]'")


def test_rows_are_named_by_their_lines(write: Any) -> None:
    table = read_table(write('a,b\n1,"x\n\ny"\n\n2,z\n3,z'))
    assert [line_of(table, row) for row in range(3)] == [2, 6, 7]
    assert lines_of(table, [2, 0, 2]) == [7, 2, 7]
    with pytest.raises(RequestError, match="changed while it was in use"):
        lines_of(table, [3])
    assert line_of(TableFile(Path("a.parquet"), TABLE), 0) == 1


def test_cells_as_they_are_written(write: Any) -> None:
    table = read_table(write("code,b\n007,True\n,FALSE\n12.50,\n"))
    assert table.written("code").tolist()[0::2] == ["007", "12.50"]
    assert table.written("code").isna().tolist() == [False, True, False]
    assert table.written("b").fillna("-").tolist() == ["True", "FALSE", "-"]
    table.path.write_text("code,b\n1,True\n", "utf-8")
    assert table.written("code").tolist()[0] == "007"
    again = TableFile(table.path, table.frame, layout=table.layout)
    with pytest.raises(RequestError, match="changed while it was in use"):
        again.written("code")


def test_whole_decimals_and_empty_texts_of_parquet_are_those_of_a_csv_file(tmp_path: Path) -> None:
    keys = [Decimal(12345678901234567), Decimal(12345678901234568)]
    columns = {
        "id": pa.array(keys, pa.decimal128(38, 0)),
        "large": pa.array([Decimal(10) ** 30, Decimal(1)], pa.decimal128(38, 0)),
        "price": pa.array([Decimal("1.5"), Decimal("2.25")], pa.decimal128(10, 2)),
        "label": pa.array(["", "a"]),
    }
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table.written("id").tolist() == ["12345678901234567", "12345678901234568"]
    assert table.frame["large"].tolist() == [1e30, 1.0]
    assert table.frame["price"].tolist() == [1.5, 2.25]
    assert table.frame["label"].isna().tolist() == [True, False]


def test_types_of_parquet_are_those_of_their_values(tmp_path: Path) -> None:
    columns = {
        "town": pa.array(["Ulm", None, "Ulm"]).dictionary_encode(),
        "size": pa.array([1, None, 3]).dictionary_encode(),
        "price": pa.array([Decimal("1.50"), None, Decimal("2.25")]),
        "sold": pa.array([date(2020, 1, 2)] * 3),
        "new": pa.array([True, None, False]),
        "rooms": pa.array([1, None, 3]),
        "tags": pa.array([["a"], [], None]),
    }
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=2)
    table = read_table(tmp_path / "a.parquet")
    kinds = {name: column_of(table, name).kind for name in table.columns}
    assert kinds == {
        "town": "words",
        "size": "numbers",
        "price": "numbers",
        "sold": "dates",
        "new": "logical",
        "rooms": "numbers",
        "tags": "other",
    }
    np.testing.assert_array_equal(numbers_of(table, "price"), [1.5, np.nan, 2.25])
    np.testing.assert_array_equal(numbers_of(table, "new"), [1, np.nan, 0])
    assert texts_of(table, "town").tolist() == ["Ulm", "", "Ulm"]
    assert texts_of(table, "rooms").tolist() == ["1", "", "3"]
