"""Augmentation in images a second: the compiled steps beside Keras's ImageDataGenerator, in one process.

Both erase at random (p 0.5, the published ranges), shift by up to 4 of 32 pixels with 0 where nothing comes from, and
flip, in batches of 64 float32 images of 32 × 32 × 3. The generator erases as its users do, with a NumPy function that
it calls for each image after it has moved it. The two are timed in turn, after compilation, and set against each other
pair by pair. Then each step alone, with and without XLA, as a profile.

    python benchmarks/augmentation.py
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from stopcli.training.tensorflow_setup import start_tensorflow

IMAGES, SIDE, BATCH = 1024, 32, 64
# The generator takes seconds for a thousand images, so it is timed over fewer batches.
GENERATOR_BATCHES, COMPILED_BATCHES, ROUNDS = 16, 300, 7
PIXELS = 4
AREA, ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)
Tensor = Any


def numpy_eraser(draw: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Random erasing of one image, from its definition (Zhong et al. 2017)."""

    def erase(image: np.ndarray) -> np.ndarray:
        if draw.random() >= 0.5:
            return image
        height, width = image.shape[:2]
        while True:
            area, aspect = draw.uniform(*AREA) * height * width, draw.uniform(*ASPECT)
            w, h = int(np.sqrt(area / aspect)), int(np.sqrt(area * aspect))
            left, top = draw.integers(0, width), draw.integers(0, height)
            if left + w <= width and top + h <= height:
                break
        image[top : top + h, left : left + w] = draw.uniform(0, 1)
        return image

    return erase


def generator_batches(images: np.ndarray) -> Callable[[], None]:
    """Draws GENERATOR_BATCHES from Keras's generator, which Keras 3 no longer exports by a public name."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(
        width_shift_range=PIXELS / SIDE,
        height_shift_range=PIXELS / SIDE,
        horizontal_flip=True,
        fill_mode="constant",
        cval=0.0,
        preprocessing_function=numpy_eraser(np.random.default_rng(0)),
    )
    batches = generator.flow(images, batch_size=BATCH, seed=0)

    def run() -> None:
        for _ in range(GENERATOR_BATCHES):
            assert next(batches).shape == (BATCH, SIDE, SIDE, 3)

    return run


def compiled_batches(
    images: np.ndarray, step: Callable[[Tensor, Tensor], Tensor], *, jit_compile: bool
) -> Callable[[], None]:
    """Takes COMPILED_BATCHES of the images through a step in one compiled loop, as training does."""
    import tensorflow as tf

    data = tf.constant(images)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(first: Tensor) -> Tensor:
        def body(i: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
            places = tf.random.stateless_uniform([BATCH], tf.stack([3, i]), 0, IMAGES, tf.int32, alg="philox")
            return i + 1, step(tf.gather(data, places), tf.stack([7, i]))

        return tf.while_loop(lambda i, _: i < first + COMPILED_BATCHES, body, (first, tf.zeros_like(data[:BATCH])))[1]

    # The first call compiles.
    run(tf.constant(0)).numpy()
    return lambda: run(tf.constant(1)).numpy()


def rate(run: Callable[[], None], batches: int) -> float:
    """Images a second."""
    start = time.perf_counter()
    run()
    return batches * BATCH / (time.perf_counter() - start)


def main() -> None:
    start_tensorflow()
    from stopcli.augment.cutout import CutOut
    from stopcli.augment.erasing import Erase
    from stopcli.augment.pipeline import Augmentation
    from stopcli.augment.shift import ShiftAndFlip

    images = np.random.default_rng(0).random((IMAGES, SIDE, SIDE, 3), np.float32)
    whole = Augmentation((Erase(0.5, AREA, ASPECT), ShiftAndFlip(PIXELS)))
    theirs, ours = generator_batches(images), compiled_batches(images, whole, jit_compile=False)
    theirs(), ours()
    pairs = [(rate(theirs, GENERATOR_BATCHES), rate(ours, COMPILED_BATCHES)) for _ in range(ROUNDS)]
    ratios = [b / a for a, b in pairs]
    print(f"ImageDataGenerator: {statistics.median(a for a, _ in pairs):>9,.0f} images/s")
    print(f"compiled steps:     {statistics.median(b for _, b in pairs):>9,.0f} images/s, {os.cpu_count()} cores")
    print(
        f"ratio:              {statistics.median(ratios):>9,.1f} "
        f"(of {ROUNDS} pairs {min(ratios):,.1f} to {max(ratios):,.1f})"
    )

    steps: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "fetching the batch": lambda batch, _: batch,
        "Erase": Erase(),
        "Erase, by pixel": Erase(pixel_level=True),
        "ShiftAndFlip": ShiftAndFlip(PIXELS),
        "CutOut": CutOut(),
        "Erase, ShiftAndFlip": whole,
    }
    print(f"\n{'µs a batch of 64, fetching it included':40}{'graph':>10}{'XLA':>10}")
    for name, step in steps.items():
        times = []
        for jit_compile in (False, True):
            run = compiled_batches(images, step, jit_compile=jit_compile)
            times.append(statistics.median(1e6 * BATCH / rate(run, COMPILED_BATCHES) for _ in range(3)))
        print(f"{name:40}{times[0]:>10,.0f}{times[1]:>10,.0f}")


if __name__ == "__main__":
    main()
