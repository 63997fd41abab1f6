"""Numbers of things in words, in the singular and in the plural: 1 seed, 3 seeds, seeds 0 to 2."""

from __future__ import annotations

from collections.abc import Sequence

# Of more numbers that are not consecutive than this, the rest is counted.
_MOST = 8


def counted(number: float, thing: str, things: str = "") -> str:
    """A number of things.

    Args:
        number: whole, or of what has parts, such as epochs.
        thing: one of them, such as `run`.
        things: several; the singular with an s where it is empty.

    >>> counted(1, "run"), counted(0, "run"), counted(1437, "process", "processes"), counted(1.5, "epoch")
    ('1 run', '0 runs', '1,437 processes', '1.5 epochs')
    """
    shown = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{shown} {agreeing(number, thing, things or f'{thing}s')}"


def agreeing(number: float, one: str, several: str) -> str:
    """The word that goes with a number of things: `gives` with one, `give` with several, or with none."""
    return one if number == 1 else several


def numbered(thing: str, numbers: Sequence[int]) -> str:
    """Things by their numbers, ascending.

    >>> numbered("seed", [3]), numbered("seed", [0, 1]), numbered("seed", [0, 1, 2]), numbered("seed", [0, 2, 3])
    ('seed 3', 'seeds 0, 1', 'seeds 0 to 2', 'seeds 0, 2, 3')
    """
    return f"{agreeing(len(numbers), thing, f'{thing}s')} {in_words(numbers)}"


def in_words(numbers: Sequence[int]) -> str:
    """Ascending numbers in few words: `0 to 9`, `0, 3, 4`."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    more = f" and {len(numbers) - _MOST} more" if len(numbers) > _MOST else ""
    return ", ".join(map(str, numbers[:_MOST])) + more
