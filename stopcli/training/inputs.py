"""From rows as they lie in memory to what a model takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

Tensor = Any


def as_they_are(x: Tensor) -> Tensor:
    return x


def from_bytes(x: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1], any shape."""
    return tf.cast(x, tf.float32) / 255.0


@dataclass(frozen=True)
class Inputs:
    """What happens to a batch before the model sees it, in the compiled loop.

    Attributes:
        prepare: for all rows, such as scaling.
        augment: (prepared rows, int32 seed of shape [2]) → rows of the same shape and dtype; for training rows alone.
            The seed is (a seed of the run, the update's number), so that a position determines what is drawn.
        copies: how often each row of a training batch enters, ≥ 1; every copy is augmented anew, and together they make
            one update (Hoffer et al. 2019, "Augment your batch", arXiv 1901.09335).
    """

    prepare: Callable[[Tensor], Tensor] = as_they_are
    augment: Callable[[Tensor, Tensor], Tensor] | None = None
    copies: int = 1
