"""The settings of what an epoch trains on and an update does, in the order in which config.toml has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from stopcli.configs.base import Count, Option, Positive, Share
from stopcli.configs.precision import FLOAT32, Precision
from stopcli.errors import ConfigError

OptimizerName = Literal["sgd", "rmsprop", "adam"]
BatchSize = Annotated[Count, Option("Rows per update, ≥ 1.", "Training", ("range",))]
Optimizer = Annotated[OptimizerName, Option("Optimizer, with Keras's defaults.", "Training", ("range", "network"))]
ValidationRows = Literal["test", "split", "holdout"]


@dataclass(frozen=True, kw_only=True)
class EpochSettings:
    """Which rows validate, and how often, in what portions and in what numbers the others train."""

    validation: Annotated[
        ValidationRows,
        Option(
            "Rows used for validation: the test rows (as published); split: a share of the training rows; holdout: a "
            "share of the test rows. The remaining test rows stay untouched.",
            "Data",
            common=True,
        ),
    ] = "test"
    validation_share: Annotated[
        Share | None,
        Option(
            "The share set aside for validation, in (0, 1).",
            "Data",
            default="0.2 for split, 0.5 for holdout",
        ),
    ] = None
    epochs: Annotated[Count, Option("Most epochs to train, ≥ 1.", "Training", ("free",), common=True)] = 100
    batch_size: BatchSize = 32
    precision: Precision = FLOAT32


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(EpochSettings):
    """How an update changes the weights, where no compiled model says it."""

    optimizer: Optimizer = "adam"
    learning_rate: Annotated[Positive, Option("Learning rate, > 0.", "Training", common=True)] = 0.001


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What is written beside the records that every run has."""

    # Changes no number of the run, but is no matter of one session: a resumed run has to continue with it.
    tensorboard: Annotated[
        bool,
        Option(
            "Also write each run's curves for TensorBoard, to its tensorboard/ folder, while it trains.",
            "Run and output",
            ("execution", "free"),
            flags=("--tensorboard",),
        ),
    ] = False


def check_validation_share(validation: str, share: float | None) -> None:
    """Raise ConfigError where a share of rows is named, and none is split off to validate."""
    if share is not None and validation not in ("split", "holdout"):
        who = "the images of a folder validate" if validation == "folder" else "the test rows validate"
        expected = f"no share where {who} (choose --validation split or holdout)"
        raise ConfigError("validation_share", share, expected)
