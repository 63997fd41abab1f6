"""`stopcli moons`."""

from __future__ import annotations

import typer

from stopcli.cli.option_groups import with_options
from stopcli.cli.options.arms import MOONS_ARMS
from stopcli.cli.options.checkpoints import CHECKPOINTS
from stopcli.cli.options.data import MOONS_DATA
from stopcli.cli.options.output import OUTPUT
from stopcli.cli.options.stopping import STOPPING
from stopcli.cli.options.training import MLP_TRAINING
from stopcli.cli.train import run_from_options
from stopcli.configs.moons import MoonsConfig


@with_options(MoonsConfig, MOONS_ARMS, MOONS_DATA, MLP_TRAINING, STOPPING, CHECKPOINTS, OUTPUT)
def moons(ctx: typer.Context, **settings: object) -> None:
    """Train an overfitting MLP on two moons and learn when it should have stopped.

    Without flags this is the published experiment without early stopping: 30 rows train a layer of 500 units for 4,000
    epochs. `--patience 200` stops it where the test loss has not improved for 200 epochs; the model with the best test
    accuracy is saved in either case, loaded again, and measured. `--case-study --seeds 30` gives the published table,
    with what was published beside means and intervals over seeds.
    """
    run_from_options(ctx, "moons")
