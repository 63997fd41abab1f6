"""An epoch of the moons experiment: the compiled loop beside Keras's `fit`, in one process.

Both train the published model on the published rows, validation included. Keras is given arrays, as its users do, and
is timed over few epochs, because each takes it so long; both are timed after compilation, in turn, and set against each
other pair by pair. Then 30 seeds of 4,000 epochs train in one compiled loop, and how long writing the models takes.

    python benchmarks/moons_epoch.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from stopcli.config import parse, resolve
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.recipes.moons.load import load
from stopcli.training.session import Silent
from stopcli.training.tf_setup import start_tensorflow

KERAS_EPOCHS, LOOP_EPOCHS, ROUNDS = 20, 4000, 5
SEEDS = 30


def main() -> None:
    start_tensorflow()
    from stopcli.recipes.moons.build import build
    from stopcli.training.model_files import save_model

    config = resolve(MoonsConfig, {})
    experiment, reference = build(load(config, Silent())), build(load(config, Silent()))
    train, test = reference.parts.train, reference.parts.test

    def keras_epoch() -> float:
        start = time.perf_counter()
        reference.model.fit(
            train.x,
            train.y,
            batch_size=config.batch_size,
            epochs=KERAS_EPOCHS,
            validation_data=(test.x, test.y),
            verbose=0,
        )
        return (time.perf_counter() - start) / KERAS_EPOCHS

    loop = experiment.make_loop()
    start = time.perf_counter()
    loop.compile()
    compile_seconds = time.perf_counter() - start

    def loop_epoch() -> float:
        start = time.perf_counter()
        loop.run(1, LOOP_EPOCHS)
        return (time.perf_counter() - start) / LOOP_EPOCHS

    keras_epoch(), loop_epoch()
    pairs = [(keras_epoch(), loop_epoch()) for _ in range(ROUNDS)]
    ratios = [theirs / ours for theirs, ours in pairs]
    print(f"Keras fit:      {statistics.median(p[0] for p in pairs) * 1e3:.1f} ms an epoch")
    print(f"compiled loop:  {statistics.median(p[1] for p in pairs) * 1e3:.4f} ms an epoch")
    print(
        f"ratio:          {statistics.median(ratios):,.0f} (of {ROUNDS} pairs {min(ratios):,.0f} to {max(ratios):,.0f})"
    )
    print(f"compilation:    {compile_seconds:.2f} s")

    start = time.perf_counter()
    for seed in range(SEEDS):
        fresh = build(load(parse(MoonsConfig, {"seed": seed}), Silent()))
        loop.reset(fresh.initial_state(), seed)
        loop.run(1, LOOP_EPOCHS)
    seconds = time.perf_counter() - start
    print(f"{SEEDS} seeds × {LOOP_EPOCHS:,} epochs, one after the other, models built anew: {seconds:.2f} s")

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for i in range(10):
            save_model(loop.model, Path(folder) / "checkpoints" / f"{i}.keras")
        print(f"a model saved:  {(time.perf_counter() - start) / 10 * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
