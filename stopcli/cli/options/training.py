"""Options for the model and how it is trained."""

from __future__ import annotations

from typing import Annotated

from stopcli.cli.option_groups import Group, in_panel
from stopcli.configs.classifier import ModelName
from stopcli.configs.training import OptimizerName

option = in_panel("Training")

Depth = Annotated[int, option(help="Layers with weights, 6n + 2: 8, 14, 20, …")]
MixedPrecision = Annotated[
    bool,
    option("--mixed-precision/--no-mixed-precision", help="Compute in float16 where it is safe; for GPUs that profit."),
]
Model = Annotated[
    ModelName,
    option(help="The network; of the points of `--dataset moons`, mlp."),
]
Width = Annotated[float, option(help="minigooglenet: factor of every number of filters, > 0.")]
ResnetDepth = Annotated[int, option("--depth", help="resnet: layers with weights, 6n + 2: 8, 14, 20, …")]
MlpHidden = Annotated[int, option("--hidden", help="mlp: units of the hidden layer, ≥ 1.")]
Hidden = Annotated[int, option(help="Units of the hidden layer, ≥ 1.")]
Epochs = Annotated[int, option(help="Epochs at most, ≥ 1.")]
BatchSize = Annotated[int, option(help="Rows a step, ≥ 1.")]
Optimizer = Annotated[OptimizerName, option(help="Optimizer, with Keras's defaults.")]
Momentum = Annotated[float, option(help="sgd: its momentum, in [0, 1).")]
Nesterov = Annotated[bool, option("--nesterov/--no-nesterov", help="sgd: Nesterov's momentum.")]
LearningRate = Annotated[float, option(help="Learning rate, > 0.")]
Seed = Annotated[int, option(help="Seed of everything random in training, ≥ 0.")]
Seeds = Annotated[
    int,
    option(help="Runs, with seeds SEED, SEED + 1, …; more than 1 makes a sweep."),
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
