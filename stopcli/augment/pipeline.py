"""What is done to a batch in the compiled loop, as a pure function of the images and a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Tensor = Any


class Step(Protocol):
    """Draws from a seed (int32, shape [2]) and changes images ([images, height, width, channels])."""

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Augmentation:
    """Steps one after the other. Each draws from streams of its own, so none of them changes what another draws."""

    steps: tuple[Step, ...]

    def __call__(self, images: Tensor, seed: Tensor) -> Tensor:
        for step in self.steps:
            images = step(images, seed)
        return images
