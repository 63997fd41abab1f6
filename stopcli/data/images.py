"""Sets of images in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stopcli.data.rows import Examples

Tell = Callable[[str, int, int], None]
"""Is told of something long: what it is, how much is done, of how much."""


def tell_nobody(what: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their classes.

    Attributes:
        name: `cifar10`, `digits`, or where they were read from.
        train, test: x uint8, [rows, height, width, 3]; y int32, [rows], the class's index.
        classes: the classes' names.
        notes: what the user should know of them, a sentence without a full stop each.
        validation: images of a folder of their own that validate, like `test`; None where there are none, or none are
            asked for.
    """

    name: str
    train: Examples
    test: Examples
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    validation: Examples | None = None
