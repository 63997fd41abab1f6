"""What each split of a table promises, over many tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from stopcli.data.dataset import Examples
from stopcli.data.row_parts import set_apart
from stopcli.data.table_file import TableFile, read_table
from stopcli.data.table_parts import SPLITS, RowParts, Split, assign_parts, parse_split
from stopcli.errors import ConfigError, RequestError

SHARES = st.sampled_from([0.1, 0.2, 0.4])
SEEDS = st.integers(0, 1000)
# Parts by hash, which have to stay: the runs of yesterday rely on them.
PINNED, PINNED_TEXTS = "011102200000", "222201012221"
Drawn = Callable[[st.SearchStrategy[Any]], Any]


def table_of(**columns: Any) -> TableFile:
    return TableFile(Path("houses.csv"), pandas.DataFrame(columns))


def assign(table: TableFile, split: str, **options: Any) -> RowParts:
    shares = {"validation_share": 0.2, "test_share": 0.2, "seed": 0, "target": "price", "task": "regression"}
    return assign_parts(table, parse_split(split), **{**shares, **options})


def counts(parts: RowParts) -> list[int]:
    return np.bincount(parts.part, minlength=3).tolist()


@pytest.mark.parametrize("kind", SPLITS)
def test_a_split_is_what_its_text_says(kind: str) -> None:
    text = kind if kind in ("random", "stratified", "last") else f"{kind}:sold: when"
    split = parse_split(text)
    assert split == Split(kind, text[len(kind) + 1 :])
    assert str(split) == text


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "tim:sold",
            r"split: received 'tim:sold', expected one of random, stratified, .*hash:COLUMN",
            "mean time:sold?",
        ),
        ("", "received '', expected one of", ""),
        ("hash", "received 'hash', expected hash:COLUMN, with the name of a column", ""),
        ("time:", "received 'time:', expected time:COLUMN", ""),
        ("random:id", "received 'random:id', expected random, which goes by no column", ""),
        ("last:", "expected last, which goes by no column", ""),
    ],
)
def test_a_text_that_is_no_split_is_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_split(text)
    assert hint in caught.value.hint


@given(rows=st.integers(10, 300), seed=SEEDS, validation=SHARES, test=SHARES)
@settings(max_examples=15, deadline=None)
def test_at_random_and_last_part_as_rows_of_a_file_are_parted(
    rows: int, seed: int, validation: float, test: float
) -> None:
    table, examples = table_of(price=np.arange(rows)), Examples(np.arange(rows), np.arange(rows))
    for split in ("random", "last"):
        parts = assign(table, split, seed=seed, validation_share=validation, test_share=test)
        apart = set_apart(examples, validation, test, last=split == "last", seed=seed)
        for name in ("train", "validation", "test"):
            np.testing.assert_array_equal(parts.rows(name), getattr(apart, name).x)


@given(sizes=st.lists(st.integers(3, 60), min_size=2, max_size=5), seed=SEEDS, validation=SHARES, test=SHARES)
@settings(max_examples=20, deadline=None)
def test_every_class_has_its_share_of_each_part(sizes: list[int], seed: int, validation: float, test: float) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    table = table_of(price=classes)
    options: dict[str, Any] = {"task": "classes", "validation_share": validation, "test_share": test}
    parts = assign(table, "stratified", seed=seed, **options)
    by_class = [np.bincount(classes[parts.part == part], minlength=len(sizes)) for part in range(3)]
    assert all((of_part >= 1).all() for of_part in by_class)
    tests = counts(parts)[2]
    assert tests == max(len(sizes), int(len(classes) * test + 0.5))
    if min(sizes) * test >= 2:
        # A row of each class is held back for either of the other parts, which moves the proportions by less than one.
        splitter = StratifiedShuffleSplit(1, test_size=tests, random_state=seed)
        ((_, reference),) = splitter.split(classes, classes)
        assert np.abs(by_class[2] - np.bincount(classes[reference], minlength=len(sizes))).max() <= 2
    texts = table_of(price=np.array([f"class {number}" for number in classes], object))
    np.testing.assert_array_equal(assign(texts, "stratified", seed=seed, **options).part, parts.part)


def test_classes_that_are_too_small_for_all_parts_train_which_is_noted() -> None:
    table = table_of(price=[*["a"] * 50, "rare", "b", *["b"] * 49, "few", "few"])
    parts = assign(table, "stratified", task="classes")
    assert (parts.part[table.frame["price"].isin(["rare", "few"])] == 0).all()
    expected = "2 classes have fewer rows than there are parts, so all of them train: 'few' (2), 'rare' (1)"
    assert parts.notes == (expected,)
    with pytest.raises(ConfigError, match="at least 3 rows, one for each part: none has as many"):
        assign(table_of(price=["a", "b", "c", "d"]), "stratified", task="classes")
    with pytest.raises(ConfigError, match="the target is a number and has no classes") as caught:
        assign(table, "stratified")
    assert "--split random" in caught.value.hint


@st.composite
def times(draw: Drawn) -> Any:
    """Columns of times, and the rank of each."""
    count = draw(st.integers(3, 40))
    ranks = np.array(draw(st.lists(st.integers(0, count), min_size=3, max_size=120)))
    dates = pandas.Timestamp("2019-12-30") + pandas.to_timedelta(ranks * 7, "D")
    kinds = {
        "whole": ranks,
        "fraction": ranks / 4 - 3,
        "date": pandas.Series(dates),
        "with time zone": pandas.Series(dates).dt.tz_localize("Europe/Brussels"),
        "ISO": pandas.Series(dates.strftime("%Y-%m-%d")),
        "dots": pandas.Series(dates.strftime("%d.%m.%Y %H:%M")),
        "months": pandas.Series(dates.strftime("%b %d, %Y")),
        "category": pandas.Series(dates.strftime("%Y-%m-%d")).astype("category"),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))], ranks


@given(drawn=times(), validation=SHARES, test=SHARES)
@settings(max_examples=20, deadline=None)
def test_no_row_is_later_than_one_of_the_next_part(
    drawn: tuple[Any, np.ndarray], validation: float, test: float
) -> None:
    column, ranks = drawn
    table = table_of(sold=column, price=ranks)
    options = {"validation_share": validation, "test_share": test}
    if len(np.unique(ranks)) < 3:
        with pytest.raises(ConfigError, match=r"at least 3 different times, one for each part: it has [12]"):
            assign(table, "time:sold", **options)
        return
    parts = assign(table, "time:sold", **options)
    train, validating, testing = (ranks[parts.part == part] for part in range(3))
    assert train.max() < validating.min()
    assert validating.max() < testing.min()
    if len(np.unique(ranks)) == len(ranks):
        np.testing.assert_array_equal(np.bincount(parts.part), counts(assign(table, "last", **options)))
    for row, of_part in zip(parts.table, (train, validating, testing), strict=True):
        written = [str(column[int(np.flatnonzero(ranks == end)[0])]) for end in (of_part.min(), of_part.max())]
        assert [row["from"], row["to"]] == [text.removesuffix(" 00:00:00") for text in written]
        assert row["rows"] == len(of_part)


def test_the_cut_between_times_is_where_the_shares_are_nearest() -> None:
    table = table_of(sold=np.repeat([2018, 2019, 2020, 2021], [50, 20, 8, 22]), price=np.arange(100))
    assert counts(assign(table, "time:sold", validation_share=0.25)) == [50, 28, 22]
    uneven = table_of(sold=np.repeat([1, 2, 3], [10, 10, 80]), price=np.arange(100))
    parts = assign(uneven, "time:sold")
    assert counts(parts) == [10, 10, 80]
    assert "80 rows test, where the share is 20: rows of one time stay in one part" in parts.notes


@given(groups=st.lists(st.integers(0, 25), min_size=3, max_size=150), seed=SEEDS, validation=SHARES, test=SHARES)
@settings(max_examples=30, deadline=None)
def test_no_group_is_in_two_parts(groups: list[int], seed: int, validation: float, test: float) -> None:
    numbers = np.array(groups)
    table = table_of(owner=numbers, price=numbers)
    options = {"seed": seed, "validation_share": validation, "test_share": test}
    if len(set(groups)) < 3:
        with pytest.raises(ConfigError, match=r"at least 3 groups, one for each part: it has [12]"):
            assign(table, "group:owner", **options)
        return
    parts = assign(table, "group:owner", **options)
    assert min(counts(parts)) >= 1
    assert all(len(np.unique(parts.part[numbers == group])) == 1 for group in set(groups))
    assert [row["groups"] for row in parts.table] == [len(set(numbers[parts.part == part])) for part in range(3)]
    largest = np.bincount(numbers).max()
    assert abs(counts(parts)[2] - len(groups) * test) <= max(largest, 1)
    # The same groups are together in another order, and as texts.
    order = np.random.default_rng(seed).permutation(len(groups))
    again = assign(table_of(owner=numbers[order].astype(str).astype(object), price=numbers), "group:owner", **options)
    np.testing.assert_array_equal(again.part, parts.part[order])


@st.composite
def identifiers(draw: Drawn) -> np.ndarray:
    kind = draw(st.sampled_from(["whole", "text"]))
    numbers = draw(st.lists(st.integers(-(2**40), 2**40), min_size=60, max_size=120, unique=True))
    if kind == "whole":
        return np.array(numbers)
    return np.array([f"{number}-{number % 7}" for number in numbers], object)


@given(ids=identifiers(), seed=SEEDS, validation=SHARES, test=SHARES)
@settings(max_examples=10, deadline=None)
def test_a_row_keeps_the_part_of_its_hash(ids: np.ndarray, seed: int, validation: float, test: float) -> None:
    options = {"seed": seed, "validation_share": validation, "test_share": test}

    def parts_of(column: Any) -> np.ndarray:
        table = table_of(id=column, price=np.zeros(len(column)))
        return assign(table, "hash:id", **options).part

    try:
        before = parts_of(ids[: len(ids) * 5 // 6])
    except ConfigError:
        # By chance, a part had no rows.
        reject()
    np.testing.assert_array_equal(parts_of(ids)[: len(before)], before)
    order = np.random.default_rng(seed).permutation(len(ids))
    np.testing.assert_array_equal(parts_of(ids[order]), parts_of(ids)[order])
    others: list[Any] = [ids.astype(object), pandas.Series(ids).astype("category")]
    if ids.dtype != object:
        others += [ids.astype(float), pandas.Series(ids).astype("Int64"), pandas.Series(ids.astype(str))]
        others += [np.array([*ids.astype(str).astype(object), "A1"], object)]
    for other in others:
        np.testing.assert_array_equal(parts_of(other)[: len(ids)], parts_of(ids))


def test_hashes_meet_the_shares_and_another_share_moves_no_more_than_it_has_to() -> None:
    table = table_of(id=np.arange(20_000), price=np.zeros(20_000))
    parts = assign(table, "hash:id")
    # Within four standard deviations.
    assert np.abs(np.array(counts(parts)) - [12_800, 3_200, 4_000]).max() < 4 * np.sqrt(20_000 * 0.25)
    more = assign(table, "hash:id", test_share=0.3).part
    assert (more[parts.part == 2] == 2).all()
    np.testing.assert_array_equal(more[more != 2], parts.part[more != 2])
    fewer = assign(table, "hash:id", validation_share=0.1).part
    np.testing.assert_array_equal(fewer == 2, parts.part == 2)
    assert (parts.part[fewer == 1] == 1).all()
    # Neighbouring numbers, and the two draws, have nothing to do with each other.
    tests = parts.part == 2
    assert abs(np.corrcoef(tests[1:], tests[:-1])[0, 1]) < 0.03
    assert abs(parts.part[~tests].mean() - 0.2) < 0.02


def test_the_parts_of_a_hash_stay_what_they_are_in_every_version() -> None:
    for ids, pinned in (([*range(1, 13)], PINNED), ([f"house {number}" for number in range(12)], PINNED_TEXTS)):
        table = table_of(id=ids, price=np.zeros(12))
        parts = assign(table, "hash:id", test_share=0.3, validation_share=0.4, seed=7)
        assert "".join(map(str, parts.part)) == pinned


def test_a_row_keeps_the_part_of_its_hash_in_every_kind_of_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"id": rng.permutation(1000)[:300], "price": rng.normal(size=300)})
    expected = assign(TableFile(tmp_path / "frame", frame), "hash:id").part
    padded = frame.assign(id=frame["id"].map("{:05}".format))
    more = pandas.concat([frame.astype({"id": object}), pandas.DataFrame({"id": ["A7"], "price": [0.0]})])
    frame.to_csv(tmp_path / "whole.csv", index=False)
    frame.astype({"id": float}).to_csv(tmp_path / "fractions.tsv", index=False, sep="\t")
    padded.to_csv(tmp_path / "zeros.csv.gz", index=False)
    more.to_csv(tmp_path / "texts.csv", index=False)
    frame.to_parquet(tmp_path / "whole.parquet")
    padded.to_parquet(tmp_path / "zeros.parquet")
    np.savez(tmp_path / "arrays.npz", id=frame["id"].to_numpy(np.float32), price=frame["price"])
    for path in sorted(tmp_path.iterdir()):
        np.testing.assert_array_equal(assign(read_table(path), "hash:id").part[:300], expected, err_msg=path.name)


@pytest.mark.parametrize("split", ["random", "stratified", "group:owner", "hash:id"])
def test_a_seed_has_its_parts(split: str) -> None:
    rows = np.arange(400)
    table = table_of(id=rows, owner=rows // 4, price=rows % 3)
    first, again, other = (assign(table, split, seed=seed, task="classes").part for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert 0.3 < (first != other).mean() < 0.8


@pytest.mark.parametrize("split", ["random", "stratified", "last", "time:id", "group:id", "hash:id"])
@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.2, 0.0), (0.0, 0.0)])
def test_a_share_of_0_sets_no_rows_aside(split: str, validation: float, test: float) -> None:
    table = table_of(id=np.arange(200), price=np.arange(200) % 2)
    parts = assign(table, split, validation_share=validation, test_share=test, task="classes")
    assert [bool(count) for count in counts(parts)] == [True, bool(validation), bool(test)]
    assert len(parts.table) == 1 + bool(validation) + bool(test)
    assert parts.description[0].startswith(f"200 rows: {counts(parts)[0]:,} train")


@pytest.mark.parametrize("split", ["random", "stratified", "last", "time:id", "group:id", "hash:id", "column:part"])
def test_rows_that_are_not_used_have_no_part_and_no_influence(split: str) -> None:
    rng = np.random.default_rng(0)
    used = rng.random(300) < 0.7
    frame = pandas.DataFrame({"id": rng.permutation(300).astype(float), "price": rng.integers(0, 2, 300).astype(float)})
    frame["part"] = rng.choice(["train", "val", "test"], 300)
    only = assign(TableFile(Path("houses.csv"), frame[used].reset_index(drop=True)), split, task="classes")
    frame.loc[~used, "id"] = np.nan
    frame.loc[~used, "part"] = "perhaps"
    parts = assign(TableFile(Path("houses.csv"), frame), split, task="classes", used=used)
    assert (parts.part[~used] == -1).all()
    np.testing.assert_array_equal(parts.part[used], only.part)
    assert parts.table == only.table
    assert parts.description == only.description


@pytest.mark.parametrize(
    ("split", "validation", "test", "description"),
    [
        ("random", 0.2, 0.2, "10 rows: 6 train, 2 validate, 2 test (drawn at random by data seed 7)"),
        ("stratified", 0.0, 0.2, "10 rows: 8 train, 2 test (in each class the same shares, drawn by data seed 7)"),
        ("last", 0.2, 0.2, "10 rows: 6 train, 2 validate, 2 test (the last rows test, those before them validate)"),
        ("last", 0.2, 0.0, "10 rows: 8 train, 2 validate (the last rows validate)"),
        ("last", 0.0, 0.1, "10 rows: 9 train, 1 tests (the last rows test)"),
        ("last", 0.0, 0.0, "10 rows: 10 train"),
        ("time:id", 0.2, 0.0, "10 rows: 8 train, 2 validate (by id: the latest rows validate)"),
        ("group:id", 0.0, 0.2, "10 rows: 8 train, 2 test (whole groups by id, drawn by data seed 7)"),
        ("column:part", 0.2, 0.2, "10 rows: 8 train, 1 validates, 1 tests (as part has them)"),
    ],
)
def test_parts_are_described(split: str, validation: float, test: float, description: str) -> None:
    table = table_of(id=np.arange(10), price=np.arange(10) % 2, part=["train"] * 8 + ["val", "test"])
    options = {"validation_share": validation, "test_share": test, "task": "classes", "seed": 7}
    assert assign(table, split, **options).description == (description,)


def test_a_column_says_which_rows_are_which() -> None:
    table = table_of(part=["Train", "val", "TEST", "valid", "dev", "validation", " train"], price=np.zeros(7))
    assert assign(table, "column:part").part.tolist() == [0, 1, 2, 1, 1, 1, 0]
    assert assign(table, "column:part").table[1] == {"part": "validation", "rows": 4}
    without = table_of(part=["train", "test"], price=np.zeros(2))
    assert assign(without, "column:part", validation_share=0.0).part.tolist() == [0, 2]
    # Where it says none, those that validate are drawn from the ones that train.
    drawn = assign(
        table_of(part=["train"] * 8 + ["test"] * 2, price=np.zeros(10)), "column:part", validation_share=0.25
    )
    assert np.bincount(drawn.part).tolist() == [6, 2, 2]
    assert drawn.part[8:].tolist() == [2, 2]
    only = table_of(part=pandas.Categorical(["train", "train", "val"]), price=np.zeros(3))
    assert assign(only, "column:part", test_share=0.0).part.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("values", "options", "message", "hint"),
    [
        (
            ["train", "test", "trian"],
            {},
            "houses.csv, row 3, column part: received 'trian', expected train",
            "mean train",
        ),
        (["train", 3, "val"], {}, "column part: received '3', expected train", ""),
        (["train", None, "test", None], {}, r"houses.csv, row 2, column part: received no value, and in 1 more", ""),
        (["train", "test", "test"], {}, "no row says validation", "--validation none"),
        (["train", "val", "val"], {}, "no row says test", "--test-share 0"),
        (["val", "test", "val"], {}, "no row says train", ""),
        (["train", "val", "test"], {"validation_share": 0.0}, "'val', expected no validation rows with", ""),
        (["train", "val", "test"], {"test_share": 0.0}, "'test', expected no test rows with --test-share 0", ""),
    ],
)
def test_a_column_that_says_something_else_is_refused(
    values: list[Any], options: dict[str, float], message: str, hint: str
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        assign(table_of(part=values, price=np.zeros(len(values))), "column:part", **options)
    assert hint in caught.value.hint


def test_a_fault_is_named_with_its_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "houses.csv"
    path.write_text('sold,"the note",price\n2024-01-01,"two\nlines",1\n2024-01-02,,2\nsoon,,3\n2024-01-04,,4\n')
    with pytest.raises(RequestError, match=r"houses.csv, line 5, column sold: received 'soon', expected numbers, or"):
        assign(read_table(path), "time:sold")
    with pytest.raises(RequestError, match=r"houses.csv, line 4, column the note: received no value, and in 2 more"):
        assign(read_table(path), "group:the note")
    used = np.array([True, True, False, True])
    assert assign(read_table(path), "time:sold", used=used).part.tolist() == [0, 1, -1, 2]


@pytest.mark.parametrize("split", ["time:solt", "group:solt", "hash:solt", "column:solt"])
def test_a_column_that_is_not_there_is_refused(split: str) -> None:
    with pytest.raises(
        ConfigError, match=f"received '{split}', expected .*:COLUMN with a column of houses.csv"
    ) as caught:
        assign(table_of(sold=np.arange(10), price=np.zeros(10)), split)
    assert caught.value.hint == "Did you mean sold?"


@pytest.mark.parametrize("split", ["time:sold", "group:sold", "hash:sold"])
@pytest.mark.parametrize("values", [[1.0, np.nan, 3.0, 4.0], ["a", None, "b", "c"]])
def test_a_value_that_is_missing_is_refused(split: str, values: list[Any]) -> None:
    with pytest.raises(
        RequestError, match=r"houses.csv, .*2, column sold: received no value, expected one in every row"
    ):
        assign(table_of(sold=values, price=np.zeros(4)), split)


def test_parts_without_rows_are_refused() -> None:
    with pytest.raises(RequestError, match=r"houses.csv: received 2 rows, expected at least 3") as caught:
        assign(table_of(price=[1, 2]), "random")
    assert "--validation none" in caught.value.hint
    with pytest.raises(ConfigError, match="a column by which every part has rows: no row falls to") as caught:
        assign(table_of(town=["a"] * 50, price=np.zeros(50)), "hash:town")
    assert "another share" in caught.value.hint
