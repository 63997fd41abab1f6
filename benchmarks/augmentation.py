"""Erasing, shifting and flipping: the compiled augmentation beside Keras's legacy `ImageDataGenerator`, in one process.

Both take batches of 64 float images of 32 × 32 pixels; the generator erases with a function for each image. They are
timed in turn and compared pair by pair. Then each step of the augmentation is timed by itself.

    python benchmarks/augmentation.py
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from eraser import generator
from timing import in_turn, ratio, seconds

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
        spent = seconds(lambda: [next(batches) for _ in range(GENERATOR_BATCHES)])
        return GENERATOR_BATCHES * BATCH / spent

    def by_loop(step: Callable[[Any, Any], Any]) -> Callable[[], float]:
        @tf.function(autograph=False)
        def many(first: Any) -> Any:
            def body(i: Any, total: Any) -> Any:
                images = tf.slice(on_device, [(i % 64) * BATCH, 0, 0, 0], [BATCH, 32, 32, 3])
                # Something has to be made of every image, or TensorFlow would not make it.
                return i + 1, total + tf.reduce_sum(step(images, tf.stack([first, i]))[:, ::31, ::31])

            return tf.while_loop(lambda i, _: i < LOOP_BATCHES, body, (tf.constant(0), tf.constant(0.0)))[1]

        def run() -> float:
            return LOOP_BATCHES * BATCH / seconds(lambda: many(tf.constant(1)).numpy())

        run()
        return run

    both = by_loop(Augmentation((ErasingOp(), ShiftAndFlip())))
    by_generator()
    legacy, compiled = in_turn(ROUNDS, by_generator, both)
    print(f"ImageDataGenerator, eraser per image: {statistics.median(legacy):8,.0f} images/s")
    print(f"compiled, erase + shift + flip:       {statistics.median(compiled):8,.0f} images/s")
    print(f"ratio: {ratio(compiled, legacy, '{:.1f}')}")
    for name, step in {
        "batches only": lambda images, seed: images,
        "erase": ErasingOp(),
        "erase, pixel level": ErasingOp(pixel_level=True),
        "shift + flip": ShiftAndFlip(),
        "cutout": CutoutOp(),
    }.items():
        print(f"  {name:20s} {BATCH / by_loop(step)() * 1e6:6.0f} µs per batch of {BATCH}")


if __name__ == "__main__":
    main()
