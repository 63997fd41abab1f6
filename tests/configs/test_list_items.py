"""Lists in one text: the items between commas, in quotes where they have commas of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.configs.list_items import list_items, list_words


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("2,4", ["2", "4"]),
        ("2, 4,", ["2", "4"]),
        ("", []),
        ("patience:20,all(gl:2,up:3)", ["patience:20", "all(gl:2,up:3)"]),
        ('"size, m²",price', ["size, m²", "price"]),
        ("'size, m²', price", ["size, m²", "price"]),
        ('"a ""b"", c"', ['a "b", c']),
        ("it's,5\" wide", ["it's", '5" wide']),
        ('"open, b', ['"open', "b"]),
        ('" a "', [" a "]),
    ],
)
def test_commas_part_a_list_outside_parentheses_and_quotes(text: str, items: list[str]) -> None:
    assert list_items(text) == items


@given(st.lists(st.text(min_size=1)))
def test_a_word_is_read_as_the_item_that_it_was_written_for(items: list[str]) -> None:
    assert [item for word in list_words(items) for item in list_items(word)] == items
