"""What is done to a batch in the compiled loop, as a pure function of the images and a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from stopcli.augment.streams import fold_in

Tensor = Any


class Step(Protocol):
    """Draws from a seed (int32, shape [2]) and changes images ([images, height, width, channels])."""

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Augmentation:
    """Steps one after the other. Each draws from streams of its own, so none of them changes what another draws."""

    steps: tuple[Step, ...]

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor:
        for i, step in enumerate(self.steps):
            # A step's streams are named after what it draws, so a second one of a kind needs another seed.
            again = any(type(step) is type(earlier) for earlier in self.steps[:i])
            images = step(images, fold_in(seed, f"step {i}") if again else seed)
        return images
