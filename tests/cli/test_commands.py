from __future__ import annotations

import pytest

from stopcli.cli.commands import gather
from stopcli.cli.options import parse_counts
from stopcli.errors import ConfigError

M = frozenset({"--m"})


@pytest.mark.parametrize(
    ("words", "gathered"),
    [
        ("--m 2 4 8", "--m 2,4,8"),
        ("--m 2,4,8", "--m 2,4,8"),
        ("--m 2, 4 8", "--m 2,,4,8"),
        ("--m=2 4", "--m 2,4"),
        ("--m 2 --m 4 8", "--m 2 --m 4,8"),
        ("--seeds 3 --m 2 4 --quiet", "--seeds 3 --m 2,4 --quiet"),
        ("--m 2 4 -q", "--m 2,4 -q"),
        ("--m 2 -4", "--m 2,-4"),
        ("--m 2 x", "--m 2,x"),
        ("--epochs 5 7", "--epochs 5 7"),
        ("--m -- 2", "--m  -- 2"),
    ],
)
def test_words_that_follow_a_list_option_belong_to_it(words: str, gathered: str) -> None:
    assert gather(words.split(), M) == gathered.split(" ")


def test_counts_out_of_words() -> None:
    assert parse_counts("m", ["2,4", "8"]) == (2, 4, 8)
    assert parse_counts("m", ["2,,4"]) == (2, 4)
    assert parse_counts("m", ["-1"]) == (-1,)


@pytest.mark.parametrize("given", [[""], [","], []])
def test_an_empty_list_is_told(given: list[str]) -> None:
    with pytest.raises(ConfigError, match="expected one whole number or more, such as 2 4 8"):
        parse_counts("m", given)


@pytest.mark.parametrize("word", ["x", "2.5", "1e3", "--2"])
def test_a_word_that_is_no_number_is_told(word: str) -> None:
    with pytest.raises(ConfigError, match=f"m: received '{word}', expected whole numbers"):
        parse_counts("m", ["2", word])
