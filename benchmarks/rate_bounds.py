"""Whether the bounds of a range test lie where fixed learning rates train.

Takes a finished run of `stopcli lr-range`, trains its model on its data with its seeds at each fixed rate of a grid,
and shows how far the training loss has fallen by the end. A rate trains where the loss of every seed has fallen at
least `--share` as far as at the best rate. Exits with 1 where a bound lies outside the rates that train.

    stopcli lr-range --dataset PATH --seeds 3 --run-dir RUN && python benchmarks/rate_bounds.py RUN
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stopcli.training.tf_setup import start_tensorflow

GRID = (1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
# The share of the updates over which the loss at the end is a mean.
ENDS = 0.1


def falls(run: Path, rates: tuple[float, ...], updates: int) -> list[list[float]]:
    """How far the training loss falls, by rate and seed; below 0 where it rises or is not finite."""
    import numpy as np

    from stopcli.models.layers import make_optimizer
    from stopcli.recipes.images import inputs_of, loss_of, make_model, xla_pays
    from stopcli.recipes.lr_range import LrRange
    from stopcli.runner.resume import read_config
    from stopcli.training.loop import initial_state
    from stopcli.training.session import NullObserver
    from stopcli.training.step import RowsStep
    from stopcli.training.steps_loop import StepsLoop

    loaded = LrRange().load(read_config(run), NullObserver())
    config, images = loaded.config, loaded.data

    def fresh(seed: int):
        return make_model(config, images, seed), make_optimizer(
            config.optimizer, 1.0, config.momentum, nesterov=config.nesterov
        )

    loop = StepsLoop(
        RowsStep(*fresh(0), loss_of(images), (), inputs_of(config, images), fused=True),
        train=images.parts.train,
        batch_size=config.batch_size,
        log_steps=True,
        jit_compile=xla_pays(),
    )
    loop.compile()

    def fall(rate: float, seed: int) -> float:
        loop.reset(initial_state(*fresh(seed)), seed)
        loop.set_learning_rate(rate)
        losses, epoch = np.empty(0), 1
        while len(losses) < updates:
            epoch += loop.advance(epoch, 1) is not None
            losses = np.concatenate([losses, loop.take_log().values[:, 1]])
            if not np.isfinite(losses).all():
                return -np.inf
        few = max(1, round(updates * ENDS))
        # All rates of a seed start with the same loss: that of the first batch, before any update.
        return float(losses[0] - np.mean(losses[updates - few : updates]))

    seeds = range(config.seed, config.seed + config.seeds)
    by_rate = []
    for rate in rates:
        by_rate.append([fall(rate, seed) for seed in seeds])
        print(f"{rate:9.1e}  loss falls by " + "  ".join(f"{value:+.3f}" for value in by_rate[-1]), flush=True)
    return by_rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.25)
    options = parser.parse_args()
    start_tensorflow()

    from stopcli.configs.lr_range import read_bounds

    bounds = read_bounds(options.run)
    rates = tuple(sorted({*GRID, *bounds.values()}))
    # Of each rate, its worst seed.
    worst = [min(values) for values in falls(options.run, rates, options.updates)]
    best = max(worst)
    print(f"\nafter {options.updates} updates, of the best rate's fall ({best:.3f} in its worst seed):")
    trains = {}
    for rate, fall in zip(rates, worst, strict=True):
        share = fall / best
        trains[rate] = share >= options.share
        name = next((f"  <- {name}" for name, bound in bounds.items() if bound == rate), "")
        print(f"{rate:9.1e}  {max(share, -1):6.0%}  {'trains' if trains[rate] else ''}{name}")
    inside = all(trains[bound] for bound in bounds.values())
    print(f"bounds {bounds['base_lr']:.1e} to {bounds['max_lr']:.1e}: " + ("inside" if inside else "OUTSIDE"))
    sys.exit(not inside)


if __name__ == "__main__":
    main()
