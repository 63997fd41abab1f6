"""Rows of a data set, in memory, and the parts that they are split into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and targets with one row an example.

    Attributes:
        x: shape [rows, …], any dtype that the model takes.
        y: shape [rows, …], any dtype that the loss takes.
    """

    x: NDArray[Any]
    y: NDArray[Any]

    @property
    def count(self) -> int:
        return len(self.x)

    def batches(self, size: int) -> int:
        """Batches of `size` rows that hold all of them; the last may be smaller."""
        return -(-self.count // size)

    def take(self, start: int, stop: int) -> Examples:
        return Examples(self.x[start:stop], self.y[start:stop])


@dataclass(frozen=True)
class Splits:
    """A data set in parts.

    Attributes:
        train: what the model is fitted to.
        validation: what stopping rules and checkpoints look at.
        test: what the result is reported on. It may be the validation part itself, as in much published work.
    """

    train: Examples
    validation: Examples
    test: Examples

    @property
    def test_is_held_out(self) -> bool:
        """Whether the test rows are untouched by every choice made in training."""
        return self.test is not self.validation

    def evaluated(self) -> dict[str, Examples]:
        """The parts that are measured after every epoch, by the prefix of their metrics' names."""
        parts = {"val": self.validation}
        if self.test_is_held_out:
            parts["test"] = self.test
        return parts
