"""Erasing, shifting and flipping: the compiled augmentation beside Keras's legacy `ImageDataGenerator`, in one process.

Both take batches of 64 float images of 32 × 32 pixels; the generator erases with a function for each image. They are
timed in turn and set against each other pair by pair. Then each step of the augmentation alone.

    python benchmarks/augmentation.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from eraser import generator

from stopcli.training.tf_setup import start_tensorflow

BATCH, IMAGES, ROUNDS = 64, 50_000, 5
GENERATOR_BATCHES, LOOP_BATCHES = 30, 1500


def main() -> None:
    start_tensorflow()
    import tensorflow as tf

    from stopcli.augment.base import Augmentation
    from stopcli.augment.cutout import CutoutOp
    from stopcli.augment.erasing import ErasingOp
    from stopcli.augment.shift import ShiftAndFlip

    x = np.random.default_rng(0).random((IMAGES, 32, 32, 3), np.float32)
    batches = generator().flow(x, np.zeros(IMAGES), batch_size=BATCH)
    on_device = tf.constant(x[: 64 * BATCH])

    def by_generator() -> float:
        start = time.perf_counter()
        for _ in range(GENERATOR_BATCHES):
            next(batches)
        return GENERATOR_BATCHES * BATCH / (time.perf_counter() - start)

    def by_loop(step: Callable[[Any, Any], Any]) -> Callable[[], float]:
        @tf.function(autograph=False)
        def many(first: Any) -> Any:
            def body(i: Any, total: Any) -> Any:
                images = tf.slice(on_device, [(i % 64) * BATCH, 0, 0, 0], [BATCH, 32, 32, 3])
                # Something has to be made of every image, or TensorFlow would not make it.
                return i + 1, total + tf.reduce_sum(step(images, tf.stack([first, i]))[:, ::31, ::31])

            return tf.while_loop(lambda i, _: i < LOOP_BATCHES, body, (tf.constant(0), tf.constant(0.0)))[1]

        def run() -> float:
            start = time.perf_counter()
            many(tf.constant(1)).numpy()
            return LOOP_BATCHES * BATCH / (time.perf_counter() - start)

        run()
        return run

    both = by_loop(Augmentation((ErasingOp(), ShiftAndFlip())))
    by_generator()
    pairs = [(by_generator(), both()) for _ in range(ROUNDS)]
    ratios = [ours / theirs for theirs, ours in pairs]
    print(f"ImageDataGenerator, eraser an image:  {statistics.median(p[0] for p in pairs):8,.0f} images/s")
    print(f"compiled, erase + shift + flip:       {statistics.median(p[1] for p in pairs):8,.0f} images/s")
    print(f"ratio: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f} in {ROUNDS} pairs)")
    for name, step in {
        "batches alone": lambda images, seed: images,
        "erase": ErasingOp(),
        "erase, pixel level": ErasingOp(pixel_level=True),
        "shift + flip": ShiftAndFlip(),
        "cutout": CutoutOp(),
    }.items():
        seconds = BATCH / by_loop(step)()
        print(f"  {name:20s} {seconds * 1e6:6.0f} µs a batch of {BATCH}")


if __name__ == "__main__":
    main()
