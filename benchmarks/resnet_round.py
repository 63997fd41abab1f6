"""A ResNet's training steps as stopcli runs them, on images made of noise: what the benchmarks time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def noise(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of 32 × 32 pixels, uint8, and labels of 10 classes."""
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (rows, 32, 32, 3)).astype(np.uint8), draw.integers(0, 10, rows).astype(np.int32)


def stopcli_round(settings: dict[str, Any], images: int, threads: int | None = None) -> Callable[[], None]:
    """A compiled round: an epoch's training steps on so many images, without its validation.

    Args:
        settings: of `stopcli cifar-resnet`, with its batch_size.
        threads: of TensorFlow, which it starts; None for its own choice.
    """
    from stopcli.training.tf_setup import start_tensorflow

    start_tensorflow(threads)
    from stopcli.configs.base import parse
    from stopcli.configs.classifier import CifarResnetConfig
    from stopcli.data.dataset import Examples, Splits
    from stopcli.recipes.base import LoadedConfig
    from stopcli.recipes.images import CifarResnet, ImageParts

    config = parse(CifarResnetConfig, settings)
    train = Examples(*noise(images))
    # One batch validates.
    few = train.take(0, config.batch_size)
    parts = Splits(train, few, few)
    loop = CifarResnet().build(LoadedConfig(config, ImageParts("noise", parts, tuple("0123456789")))).make_loop()
    loop.compile()
    # All steps of an epoch in one call, and its validation in the next.
    loop._train_sizer.size = lambda remaining: remaining  # type: ignore[method-assign, attr-defined]
    epoch = 0

    def run() -> None:
        nonlocal epoch
        epoch += 1
        loop.advance(epoch, 1)
        # What is left of the epoch, its validation, is no part of what is timed.
        loop._partial = None  # type: ignore[attr-defined]

    return run
