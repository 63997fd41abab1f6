"""Arrays that belong together: one array, or a dict or a tuple of nests, as a model with several inputs takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Nest = Any
"""An array (or a tensor), or a dict with text as keys or a tuple (or list) of nests."""


def named_leaves(nest: Nest) -> list[tuple[str, Any]]:
    """The arrays of a nest with their names, in an order that does not depend on how a dict was filled.

    Returns:
        Of a dict, its entries by key in the order of the keys, as Keras takes them; of a tuple, its parts by number; of
        a nest in a nest, `key/key`. The name of a single array is empty.
    """
    if isinstance(nest, dict):
        parts = [(str(key), nest[key]) for key in sorted(nest)]
    elif isinstance(nest, (tuple, list)):
        parts = [(str(number), part) for number, part in enumerate(nest)]
    else:
        return [("", nest)]
    return [(f"{key}/{name}".rstrip("/"), leaf) for key, part in parts for name, leaf in named_leaves(part)]


def leaves(nest: Nest) -> list[Any]:
    """The arrays of a nest, in the order of `named_leaves`."""
    return [leaf for _, leaf in named_leaves(nest)]


def map_nest(function: Callable[[Any], Any], nest: Nest) -> Nest:
    """A nest of the same structure with a function's results in the place of its arrays."""
    return replace_leaves(nest, [function(leaf) for leaf in leaves(nest)])


def replace_leaves(nest: Nest, values: Sequence[Any]) -> Nest:
    """A nest of the same structure with other arrays, in the order of `leaves`. Raises ValueError where there are more
    or fewer of them."""
    remaining = list(values)
    count = len(leaves(nest))
    if len(remaining) != count:
        raise ValueError(f"received {len(remaining)} values, expected {count}")
    return _filled(nest, remaining)


def _filled(nest: Nest, remaining: list[Any]) -> Nest:
    if isinstance(nest, dict):
        by_key = {key: _filled(nest[key], remaining) for key in sorted(nest)}
        return {key: by_key[key] for key in nest}
    if isinstance(nest, (tuple, list)):
        return type(nest)([_filled(part, remaining) for part in nest])
    return remaining.pop(0)
