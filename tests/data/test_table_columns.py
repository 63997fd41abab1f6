"""Which columns of a table are features, what its target is predicted as, and the values of its rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import datasets

from stopcli.data.table_columns import RawRows, TableColumns, choose_columns, has_target, raw_rows
from stopcli.data.table_file import TableFile, read_table
from stopcli.data.table_target import untrained_classes
from stopcli.errors import ConfigError, RequestError


def table_of(**columns: Any) -> TableFile:
    return TableFile(Path("houses.parquet"), pd.DataFrame(columns))


def from_csv(folder: Path, text: str, name: str = "houses.csv") -> TableFile:
    path = folder / name
    path.write_text(text, "utf-8")
    return read_table(path)


def refused(table: TableFile, **options: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        choose_columns(table, **{"target": "y", **options})
    return caught.value


def chosen(table: TableFile, **options: Any) -> TableColumns:
    return choose_columns(table, **{"target": "y", **options})[0]


ROWS = 60
NUMBERS = np.linspace(0, 1, ROWS)


@pytest.mark.parametrize(
    ("y", "task", "classes", "note"),
    [
        (["no", "yes", "no"], "classes", ("no", "yes"), "y: words, so two classes (no, yes)"),
        ([True, False, True], "classes", ("False", "True"), "y: true and false, so two classes (False, True)"),
        ([1.5, 2.0, 3.0], "regression", (), "y: numbers with decimals, so regression"),
        ([1.0, 2.0, 3.0], "regression", (), "y: numbers with decimals, so regression"),
        ([7, 2, 7], "classes", ("2", "7"), "y: whole numbers with two values, so two classes (2, 7)"),
        ([10.0, np.nan, 9.0], "classes", ("9", "10"), "y: whole numbers with two values, so two classes (9, 10)"),
        (range(21), "regression", (), "y: whole numbers with 21 values, so regression"),
        ([*range(21), None], "regression", (), "y: whole numbers with 21 values, so regression"),
        (["a", "b", "c"], "classes", ("a", "b", "c"), "y: words, so 3 classes (a, b, c)"),
    ],
)
def test_the_task_follows_from_the_target(y: Any, task: str, classes: tuple[str, ...], note: str) -> None:
    table = table_of(x=np.arange(len(y)) / 2, y=y)
    columns, _ = choose_columns(table, target="y")
    assert (columns.task, columns.classes) == (task, classes)
    assert columns.reason == note
    assert choose_columns(table, target="y", task=task)[0].reason == ""


@pytest.mark.parametrize("y", [[1, 2, 3], range(20), [1.0, 2.0, 3.0, None]])
def test_a_few_whole_numbers_are_refused_with_both_tasks(y: Any) -> None:
    table = table_of(x=np.arange(len(y)), y=y)
    error = refused(table)
    assert "which can be classes or amounts" in error.message
    assert error.hint == "Say which: --task classes, or --task regression."
    assert chosen(table, task="regression").classes == ()
    assert chosen(table, task="classes").classes[:3] in (("1", "2", "3"), ("0", "1", "2"))


@pytest.mark.parametrize(
    ("name", "task", "features"), [("diabetes", "regression", 10), ("breast_cancer", "classes", 30)]
)
def test_data_sets_of_scikit_learn(name: str, task: str, features: int, tmp_path: Path) -> None:
    x, y = getattr(datasets, f"load_{name}")(as_frame=True, return_X_y=True)
    x.assign(y=y).to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv")
    columns = chosen(table)
    assert (columns.task, columns.numbers, columns.words) == (task, tuple(x.columns), ())
    raw = raw_rows(table, columns)
    assert raw.numbers.dtype == np.float32
    np.testing.assert_allclose(raw.numbers, x, rtol=1e-6)
    assert raw.target is not None
    np.testing.assert_array_equal(raw.target, y)


def test_wine_and_digits_are_classes_where_this_is_said() -> None:
    for load in (datasets.load_wine, datasets.load_digits):
        x, y = load(as_frame=True, return_X_y=True)
        table = TableFile(Path("t.parquet"), x.assign(y=y))
        assert "can be classes or amounts" in refused(table).message
        assert chosen(table, task="classes").classes == tuple(map(str, range(y.nunique())))


def test_each_column_is_numbers_or_words_or_not_used() -> None:
    table = table_of(
        area=[1.0, np.nan] * 30,
        sold=pd.date_range("2020-01-01", periods=ROWS),
        town=["Ulm", "Köln", None] * 20,
        name=[f"name {i}" for i in range(ROWS)],
        smoker=[True, False, False] * 20,
        zip=[7, 7, 9] * 20,
        same=[1] * ROWS,
        also=["x"] * ROWS,
        day=["2020-01-01", "2020-01-02"] * 30,
        y=NUMBERS,
    )
    columns, notes = choose_columns(table, target="y", categorical=["zip"], apart={"area": "groups rows"})
    assert (columns.numbers, columns.words) == (("smoker",), ("town", "zip"))
    assert list(columns.unused) == ["area", "sold", "name", "same", "also", "day", "y"]
    assert columns.unused["area"] == "groups rows"
    assert notes == (
        "not used, dates or times: sold, day",
        "name is not used: 60 different words in 60 rows, such as names or ids (--categorical name takes it)",
        "true and false, taken as the numbers 1 and 0: smoker",
        "not used, the same in all rows: same, also",
    )
    assert chosen(table, features=["zip", "town"]).numbers == ("zip",)
    assert chosen(table, categorical=["name"]).words == ("town", "name")
    assert "area" in chosen(table, features=["area"], apart={"area": "groups rows"}).numbers


def test_raw_rows_are_the_table_s_values() -> None:
    table = table_of(
        a=[1, 2, 3], town=["Ulm", None, "Ulm"], b=[True, None, False], c=[0.1, np.nan, 1e30], y=["x", None, "z"]
    )
    columns = chosen(table)
    raw = raw_rows(table, columns)
    assert columns.numbers == ("a", "b", "c")
    np.testing.assert_array_equal(raw.numbers, np.float32([[1, 1, 0.1], [2, np.nan, np.nan], [3, 0, 1e30]]))
    assert raw.words.tolist() == [["Ulm"], [""], ["Ulm"]]
    assert raw.target is not None
    assert (raw.target.dtype, raw.target.tolist()) == (np.int32, [0, -1, 1])
    assert has_target(table, columns).tolist() == [True, False, True]
    assert raw.at(has_target(table, columns)).words.tolist() == [["Ulm"], ["Ulm"]]
    assert raw.at(np.array([2])).count == 1
    assert raw_rows(table, columns, with_target=False).target is None


def test_columns_of_words_are_what_stands_in_the_file(tmp_path: Path) -> None:
    table = from_csv(tmp_path, "zip,floor,y\n07001,1.0,0.5\n,,1\n7001,12.0,2\n")
    raw = raw_rows(table, chosen(table, categorical=["zip", "floor"]))
    assert raw.words.tolist() == [["07001", "1"], ["", ""], ["7001", "12"]]


def test_another_table_may_have_other_types(tmp_path: Path) -> None:
    columns = chosen(from_csv(tmp_path, "a,b,code,y\n1,2.5,X,A1\n2,3,X,07\n3,4,07,A1\n"))
    other = from_csv(tmp_path, "y,more,b,code,a\n07,x,2,07,\n07,x,,08,1\n", "other.csv")
    raw = raw_rows(other, columns)
    np.testing.assert_array_equal(raw.numbers, [[np.nan, 2], [1, np.nan]])
    assert raw.words.tolist() == [["07"], ["08"]]
    assert raw.target is not None
    assert [columns.classes[i] for i in raw.target] == ["07", "07"]


def test_another_table_with_other_values_is_refused(tmp_path: Path) -> None:
    columns = chosen(from_csv(tmp_path, "rooms,town,y\n1,Ulm,no\n2,Bonn,yes\n3,Ulm,no\n"))
    for text, message, hint in (
        ("room,town,y\n1,Ulm,no\n", "no column rooms, which the model takes", "Did you mean room?"),
        ("rooms,town\n1,Ulm\n", "no column y, the target", ""),
        ("rooms,town,y\n1,Ulm,no\n\nmany,Ulm,no\n", "line 4, column rooms: received 'many', expected a number", ""),
        ("rooms,town,y\n1,Ulm,no\n2,Ulm,yess\n", "line 3, column y: received 'yess', expected one of", "yes?"),
        ("rooms,town,y\n1,Ulm,no\n-inf,Ulm,yes\n", "line 3, column rooms: received -inf, expected a finite", ""),
        ("rooms,town,y\n1,Ulm,no\n1e39,Ulm,yes\n", "line 3, column rooms: received 1e+39, expected a number of", ""),
    ):
        other = from_csv(tmp_path, text, "other.csv")
        with pytest.raises(RequestError) as caught:
            raw_rows(other, columns)
        assert message in caught.value.message
        assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("options", "flag", "hint"),
    [
        ({"target": "Y"}, "--target: received 'Y', expected a column of houses.parquet", "Did you mean y?"),
        ({"target": "q"}, "--target: received 'q', expected a column of houses.parquet", "It has: x, z, y."),
        ({"features": ["xx"]}, "--features: received 'xx', expected a column of houses.parquet", "Did you mean x?"),
        ({"ignore": ["zz"]}, "--ignore: received 'zz', expected a column of houses.parquet", "Did you mean z?"),
        ({"features": ["x", "y"]}, "--features: received 'y', expected columns other than the target y", ""),
        ({"ignore": ["y"]}, "--ignore: received 'y', expected columns other than the target y", ""),
        ({"categorical": ["y"]}, "--categorical: received 'y', expected columns other", "--task classes takes"),
        ({"features": ["x"], "ignore": ["x"]}, "--features: received 'x', expected a column that --ignore does", ""),
        ({"features": ["x"], "categorical": ["z"]}, "--categorical: received 'z', expected one of the columns", ""),
        ({"target": "z", "task": "regression"}, "--task: received 'regression', expected classes: z has words", ""),
    ],
)
def test_columns_that_do_not_fit_are_refused(options: dict[str, Any], flag: str, hint: str) -> None:
    error = refused(table_of(x=[1, 2], z=["a", "b"], y=[0.5, 1.5]), **options)
    assert isinstance(error, ConfigError)
    assert flag in error.as_flag()
    assert hint in error.hint


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1, 2, 3], "y": [2.5, 2.5, None]}, "column y: 2.5 in all rows, expected different values"),
        ({"x": [1, 2, 3], "y": [None, None, None]}, "column y: no row has a value"),
        ({"x": [1, 2, 3], "y": pd.date_range("2020", periods=3)}, "column y: dates or times, expected numbers"),
        ({"x": [1, 2, 3], "y": [1.0, np.inf, 2.0]}, "row 2, column y: received inf, expected a finite number"),
        ({"x": [1, 2, 3], "y": ["1", "2.5", "x"]}, "row 3, column y: received 'x', expected a number"),
        ({"x": [None, np.nan, np.nan], "y": [1, 2, 1]}, "column x: no row has a value"),
        ({"x": [1, -np.inf, 3.0], "y": [1, 2, 1]}, "row 2, column x: received -inf, expected a finite number"),
        ({"x": ["1", "2", "?"], "y": [1, 2, 1]}, "row 3, column x: received '?', expected a number, or an empty cell"),
        ({"x": ["$5", "1,200", "7 %"], "y": [1, 2, 1]}, "row 1, column x: received '$5', expected a number such as"),
        ({"x": [1, 1e39, 2], "y": [1, 2, 1]}, "row 2, column x: received 1e+39, expected a number of at most 3.4e+38"),
        ({"x": [1, 1, 1], "y": [1, 2, 1]}, "no feature remains beside the target y (x: the same in all rows)"),
        ({"y": [1, 2, 1]}, "no feature remains beside the target y"),
    ],
)
def test_values_that_cannot_be_learned_are_refused(columns: dict[str, Any], message: str) -> None:
    assert message in refused(table_of(**columns)).message


def test_classes_that_are_too_many_are_refused() -> None:
    table = table_of(x=NUMBERS, y=NUMBERS, name=[f"name {i}" for i in range(ROWS)])
    assert "60 different values in 60 rows, too many for classes" in refused(table, task="classes").message
    assert "too many for classes" in refused(table, target="name", task="classes").message


def test_a_class_that_no_row_trains_is_told() -> None:
    part = np.array([0, 0, 1, 2, 2, -1], np.int8)
    assert untrained_classes("abc", np.array([0, 1, 1, 0, 1, 2]), part) == ()
    # A row without a class is in no part.
    assert untrained_classes("abc", np.array([0, 0, 1, 2, 0, -1]), part) == (
        "classes that no row that trains has: b, c, of which 2 rows validate or test",
    )


def test_a_mixture_is_named_by_its_line_and_can_be_words(tmp_path: Path) -> None:
    table = from_csv(tmp_path, "rooms,y\n3,1.5\n4,2.5\n\n?,2\n5,3\nmany,4\n")
    error = refused(table)
    assert (
        "houses.csv, line 5, column rooms: received '?', expected a number, or an empty cell where it is missing"
        in (error.message)
    )
    assert error.message.endswith("(2 cells of the column are no number)")
    assert error.hint == "--categorical rooms takes all its values as words; --ignore rooms leaves it out."
    assert raw_rows(table, chosen(table, categorical=["rooms"])).words[:, 0].tolist() == ["3", "4", "?", "5", "many"]


def test_numbers_that_may_not_be_meant_are_said() -> None:
    stamps = 1_700_000_000 + np.arange(ROWS)[::-1]
    table = table_of(id=np.arange(7, 7 + ROWS), t=stamps, year=2000 + np.arange(ROWS) % 20, y=NUMBERS)
    assert choose_columns(table, target="y")[1] == (
        "id counts the rows, and is used as a number (--ignore id leaves it out)",
        "t: from 1700000000 to 1700000059 in float32, which rounds by up to 1e+02; differences from the first value "
        "would keep their digits",
    )
    assert np.float32(1_700_000_064) - np.float32(1_700_000_000) in (0, 128)


def test_a_target_that_float32_rounds_is_said_too() -> None:
    stamps = 1_700_000_000 + np.arange(ROWS)[::-1]
    notes = choose_columns(table_of(x=NUMBERS, t=stamps), target="t")[1]
    assert any(note.startswith("t: from 1700000000 to 1700000059 in float32") for note in notes)


@pytest.mark.parametrize("written", ["1.{:03},50", "1 {:03},5", "1\u00a0{:03}", "1,{:03}.50"])
def test_numbers_with_groups_of_digits_are_no_words(written: str, tmp_path: Path) -> None:
    rows = "".join(f"{written.format(i)};{i}\n" for i in range(60))
    assert "expected a number" in refused(from_csv(tmp_path, f"price;y\n{rows}")).message


def test_numbers_that_pandas_does_not_read_are_no_words(tmp_path: Path) -> None:
    rows = "".join(f"{i % 7 + 0.5},{i % 3}\n" for i in range(100))
    table = from_csv(tmp_path, f"a,y\n{rows}{10**23},1\n-1,2\n")
    assert chosen(table, task="classes").numbers == ("a",)
    assert (
        "line 102, column a: received '5.25\\xa0', expected a number"
        in refused(from_csv(tmp_path, f"a,y\n{rows}5.25\u00a0,1\n"), task="classes").message
    )


def test_words_with_digits_are_words() -> None:
    for value in ("1.2.3", "2-3", "A1", "10.0.0.1", "192.168.100.200", "3rd"):
        assert chosen(table_of(x=[value, "x", value], y=NUMBERS[:3])).words == ("x",)


def test_a_target_of_zeros_and_ones_with_decimals_is_pointed_at() -> None:
    reason = choose_columns(table_of(x=[1, 2, 3], y=[0.0, 1.0, 0.0]), target="y")[0].reason
    assert reason.startswith("y: numbers with decimals, so regression (--task classes would take the values 0 and 1")


def test_a_name_with_spaces_is_quoted_where_it_is_to_be_typed() -> None:
    assert refused(table_of(**{"no of rooms": [None, None], "y": [0.5, 1.5]})).hint == (
        "--ignore 'no of rooms' leaves it out."
    )


PLACES = st.sampled_from(["Ulm", "Köln", "New York", 'the "Hof"', "a,b;c", "7b", None])
FLOATS = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)
COLUMNS_OF_TABLES = st.integers(2, 12).flatmap(
    lambda rows: st.tuples(
        *(
            st.lists(values, min_size=rows, max_size=rows)
            for values in (
                FLOATS | st.none(),
                st.integers(-(2**24), 2**24) | st.none(),
                st.booleans(),
                PLACES,
                st.integers(-(2**20), 2**20).map(lambda value: value + 0.5),
            )
        )
    )
)


def outcome(path: Path) -> tuple[TableColumns, RawRows] | str:
    table = read_table(path)
    try:
        columns, _ = choose_columns(table, target="y")
    except RequestError as error:
        return error.message.removeprefix(str(path))
    return columns, raw_rows(table, columns)


@settings(max_examples=12, deadline=None)
@given(COLUMNS_OF_TABLES)
def test_a_table_is_the_same_in_any_file(columns: tuple[list[Any], ...]) -> None:
    frame = pd.DataFrame(dict(zip(("area", "rooms", "new", "town", "y"), columns, strict=True)))
    frame["rooms"] = frame["rooms"].astype("Int64")
    frame["area"] = frame["area"].astype(float)
    with tempfile.TemporaryDirectory() as folder:
        frame.to_csv(Path(folder, "a.csv"), index=False)
        frame.to_parquet(Path(folder, "a.parquet"))
        first, second = outcome(Path(folder, "a.csv")), outcome(Path(folder, "a.parquet"))
    if isinstance(first, str) or isinstance(second, str):
        assert first == second
        return
    assert first[0] == second[0]
    np.testing.assert_allclose(first[1].numbers, second[1].numbers, rtol=1e-6)
    assert first[1].words.tolist() == second[1].words.tolist()
    np.testing.assert_allclose(first[1].target, columns[-1], rtol=1e-6)


def test_a_word_among_numbers_is_named_before_what_may_be_missing(tmp_path: Path) -> None:
    table = from_csv(tmp_path, "rooms,y\n3,1.5\nNA,2.5\n4,2\nNone,3\n5,4\n6,1\n7,1\nmany,4\n")
    assert "line 9, column rooms: received 'many', expected a number" in refused(table).message


def test_what_a_class_lacks_is_said() -> None:
    notes = choose_columns(table_of(x=[1, 2, 3, 4, 5], y=["a", "a", "b", "c", None]), target="y")[1]
    assert notes == ("1 row has no value of y, so it is left out", "2 classes of y with a single row: b, c")
