from __future__ import annotations

import pytest

from stopcli.cli.commands import gather
from stopcli.cli.options import parse_counts, parse_numbers_or_words, parse_words
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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("gl:2,up:3", ("gl:2", "up:3")),
        ("all(gl:2,up:3),pq:1", ("all(gl:2,up:3)", "pq:1")),
        ("gl:2, all(gl:2, up:3) ,", ("gl:2", "all(gl:2, up:3)")),
        # What is not closed, or is nested, is refused as a whole.
        ("all(gl:2,up:3,pq:1", ("all(gl:2,up:3,pq:1",)),
        ("all(all(gl:2,gl:3),up:3)", ("all(all(gl:2,gl:3),up:3)",)),
        ("gl:2),up:3", ("gl:2)", "up:3")),
    ],
)
def test_a_comma_within_parentheses_is_a_rule_s(given: str, expected: tuple[str, ...]) -> None:
    assert parse_words("stop", [given]) == expected


def test_numbers_and_words_out_of_words() -> None:
    assert parse_numbers_or_words("m", ["0,0.001", "1%"]) == (0.0, 0.001, "1%")
    with pytest.raises(ConfigError, match="m: received '', expected one word or more"):
        parse_numbers_or_words("m", [""])


@pytest.mark.parametrize("given", [[""], [","], []])
def test_an_empty_list_is_told(given: list[str]) -> None:
    with pytest.raises(ConfigError, match="expected one whole number or more, such as 2 4 8"):
        parse_counts("m", given)


@pytest.mark.parametrize("word", ["x", "2.5", "1e3", "--2"])
def test_a_word_that_is_no_number_is_told(word: str) -> None:
    with pytest.raises(ConfigError, match=f"m: received '{word}', expected whole numbers"):
        parse_counts("m", ["2", word])
