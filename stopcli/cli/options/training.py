"""Options for the model and how it is trained."""

from __future__ import annotations

from typing import Annotated

import typer

from stopcli.cli.option_groups import Group
from stopcli.config import OptimizerName
from stopcli.recipes.train.network_settings import ModelName

PANEL = "Training"

Depth = Annotated[int, typer.Option(help="Layers with weights, 6n + 2: 8, 14, 20, …", rich_help_panel=PANEL)]
MixedPrecision = Annotated[
    bool,
    typer.Option(
        "--mixed-precision/--no-mixed-precision",
        help="Compute in float16 where it is safe; for GPUs that profit.",
        rich_help_panel=PANEL,
    ),
]
Model = Annotated[
    ModelName,
    typer.Option(help="The network; of the points of `--dataset moons`, mlp.", rich_help_panel=PANEL),
]
Width = Annotated[
    float, typer.Option(help="minigooglenet: factor of every number of filters, > 0.", rich_help_panel=PANEL)
]
ResnetDepth = Annotated[
    int, typer.Option("--depth", help="resnet: layers with weights, 6n + 2: 8, 14, 20, …", rich_help_panel=PANEL)
]
MlpHidden = Annotated[int, typer.Option("--hidden", help="mlp: units of the hidden layer, ≥ 1.", rich_help_panel=PANEL)]
Hidden = Annotated[int, typer.Option(help="Units of the hidden layer, ≥ 1.", rich_help_panel=PANEL)]
Epochs = Annotated[int, typer.Option(help="Epochs at most, ≥ 1.", rich_help_panel=PANEL)]
BatchSize = Annotated[int, typer.Option(help="Rows a step, ≥ 1.", rich_help_panel=PANEL)]
Optimizer = Annotated[OptimizerName, typer.Option(help="Optimizer, with Keras's defaults.", rich_help_panel=PANEL)]
Momentum = Annotated[float, typer.Option(help="sgd: its momentum, in [0, 1).", rich_help_panel=PANEL)]
Nesterov = Annotated[
    bool, typer.Option("--nesterov/--no-nesterov", help="sgd: Nesterov's momentum.", rich_help_panel=PANEL)
]
LearningRate = Annotated[float, typer.Option(help="Learning rate, > 0.", rich_help_panel=PANEL)]
Seed = Annotated[int, typer.Option(help="Seed of everything random in training, ≥ 0.", rich_help_panel=PANEL)]
Seeds = Annotated[
    int,
    typer.Option(help="Runs, with seeds SEED, SEED + 1, …; more than 1 makes a sweep.", rich_help_panel=PANEL),
]

_EPOCHS: Group = {"epochs": Epochs, "batch_size": BatchSize, "optimizer": Optimizer}
_SEEDS: Group = {"seed": Seed, "seeds": Seeds}

MLP_TRAINING: Group = {"hidden": Hidden, **_EPOCHS, "learning_rate": LearningRate, **_SEEDS}
# Without the model, which every command on images has its own options for.
IMAGE_TRAINING: Group = {
    **_EPOCHS,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "mixed_precision": MixedPrecision,
    **_SEEDS,
    "learning_rate": LearningRate,
}
RESNET_TRAINING: Group = {"depth": Depth, **IMAGE_TRAINING}
NETWORKS: Group = {"model": Model, "width": Width, "depth": ResnetDepth, "hidden": MlpHidden}
RANGE_TRAINING: Group = {
    "batch_size": BatchSize,
    "optimizer": Optimizer,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "mixed_precision": MixedPrecision,
    **_SEEDS,
}
