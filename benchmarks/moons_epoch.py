"""An epoch of the moons experiment: the compiled loop beside Keras's `fit`, in one process.

Both train the published model on the published rows, validation included. Keras gets arrays, as its users pass them,
and is timed over few epochs, because each takes it so long; both are timed after compilation, in turn, and compared
pair by pair. Then 30 seeds of 4,000 epochs train in one compiled loop, and models are saved.

    python benchmarks/moons_epoch.py
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from timing import in_turn, ratio, seconds

from stopcli.configs.base import parse, resolve
from stopcli.configs.moons import MoonsConfig
from stopcli.recipes.moons import Moons
from stopcli.training.session import NullObserver
from stopcli.training.tf_setup import start_tensorflow

KERAS_EPOCHS, LOOP_EPOCHS, ROUNDS = 20, 4000, 5
SEEDS = 30


def main() -> None:
    start_tensorflow()
    from stopcli.training.model_files import save_model

    moons = Moons()
    config = resolve(MoonsConfig, {})
    experiment, reference = (
        moons.build(moons.load(config, NullObserver())),
        moons.build(moons.load(config, NullObserver())),
    )
    train, test = reference.parts.train, reference.parts.test

    settings = {"batch_size": config.batch_size, "validation_data": (test.x, test.y), "verbose": 0}

    def keras_epoch() -> float:
        return seconds(lambda: reference.model.fit(train.x, train.y, epochs=KERAS_EPOCHS, **settings)) / KERAS_EPOCHS

    loop = experiment.make_loop()
    compile_seconds = seconds(loop.compile)

    def loop_epoch() -> float:
        return seconds(lambda: loop.run(1, LOOP_EPOCHS)) / LOOP_EPOCHS

    keras_epoch(), loop_epoch()
    keras, compiled = in_turn(ROUNDS, keras_epoch, loop_epoch)
    print(f"Keras fit:      {statistics.median(keras) * 1e3:.1f} ms an epoch")
    print(f"compiled loop:  {statistics.median(compiled) * 1e3:.4f} ms an epoch")
    print(f"ratio:          {ratio(keras, compiled, '{:,.0f}')}")
    print(f"compilation:    {compile_seconds:.2f} s")

    def train_seeds() -> None:
        for seed in range(SEEDS):
            fresh = moons.build(moons.load(parse(MoonsConfig, {"seed": seed}), NullObserver()))
            loop.reset(fresh.initial_state(), seed)
            loop.run(1, LOOP_EPOCHS)

    print(f"{SEEDS} seeds × {LOOP_EPOCHS:,} epochs, one after the other, with new models: {seconds(train_seeds):.2f} s")

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "checkpoints" / f"{i}.keras" for i in range(10)]
        spent = seconds(lambda: [save_model(loop.model, path) for path in paths])
        print(f"saving a model: {spent / len(paths) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
