"""Nests of arrays, and rows that are some."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stopcli.data.dataset import Examples, Splits
from stopcli.data.nest import leaves, map_nest, named_leaves, replace_leaves

A, B, C = np.arange(6.0).reshape(3, 2), np.arange(3), np.arange(3) * 10

# A nest, and the names of its arrays.
NESTS: list[tuple[Any, list[str]]] = [
    (A, [""]),
    ({"user": A, "book": B}, ["book", "user"]),
    ((A, B), ["0", "1"]),
    ({"pair": (A, {"z": B, "y": C})}, ["pair/0", "pair/1/y", "pair/1/z"]),
]


@pytest.mark.parametrize(("nest", "names"), NESTS)
def test_the_arrays_of_a_nest_have_names_and_an_order(nest: Any, names: list[str]) -> None:
    assert [name for name, _ in named_leaves(nest)] == names
    copy = replace_leaves(nest, leaves(nest))
    assert named_leaves(copy) == named_leaves(nest)
    assert (type(copy), list(copy) if isinstance(nest, dict) else 0) == (
        type(nest),
        list(nest) if isinstance(nest, dict) else 0,
    )
    with pytest.raises(ValueError, match="expected"):
        replace_leaves(nest, [])


def test_a_function_is_mapped_over_the_arrays() -> None:
    doubled = map_nest(lambda array: array * 2, {"b": B, "a": (A, C)})
    assert list(doubled) == ["b", "a"]
    np.testing.assert_array_equal(doubled["a"][1], C * 2)
    np.testing.assert_array_equal(doubled["b"], B * 2)


def test_rows_of_several_arrays_and_their_weights_are_taken_together() -> None:
    rows = Examples({"user": A, "book": B}, (C, A), np.array([0.5, 1.0, 2.0]))
    assert (rows.count, rows.batches(2)) == (3, 2)
    for part in (rows.take(1, 3), rows.at(np.array([1, 2]))):
        assert part.count == 2
        np.testing.assert_array_equal(part.x["user"], A[1:])
        np.testing.assert_array_equal(part.y[0], C[1:])
        np.testing.assert_array_equal(part.weight, [1.0, 2.0])
    assert Examples(A, B).take(0, 1).weight is None


def test_parts_without_rows_are_not_measured() -> None:
    rows = Examples(A, B)
    nothing = rows.take(0, 0)
    assert list(Splits(rows, rows, nothing).evaluated()) == ["val"]
    assert list(Splits(rows, nothing, nothing).evaluated()) == []
    assert list(Splits(rows, nothing, rows.take(0, 1)).evaluated()) == ["test"]


def test_the_hash_of_rows_sees_every_array() -> None:
    from stopcli.training.state_file import hash_of_rows

    # Of single arrays it is what states of earlier versions hold.
    assert hash_of_rows(Examples(A, B), Examples(A, C)) == "54d66a6d7894b4c5"
    weight = np.ones(3)
    several = [
        Examples(A, B), Examples(A, C), Examples(A, B, weight), Examples(A, B, weight * 2), Examples({"a": A}, B),
        Examples({"b": A}, B), Examples((A,), B), Examples({"a": A, "b": B}, C), Examples({"a": B, "b": A}, C),
        Examples(A, (B,)), Examples(A.astype(np.float32), B), Examples(A, B).take(0, 0),
    ]  # fmt: skip
    assert len({hash_of_rows(rows) for rows in several}) == len(several)
    assert hash_of_rows(Examples({"a": A, "b": B}, C)) == hash_of_rows(Examples({"b": B, "a": A}, C))
