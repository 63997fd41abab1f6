"""The published case study: four arms of one training, and what was reported of them (J. Brownlee, 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figures:
    """What is told of an arm, published or measured.

    Attributes:
        stopped_at: the epoch at which training stopped.
        saved_epoch: of the saved model; None where the arm's model is that of the last epoch.
        train_accuracy, test_accuracy: of the arm's model.
    """

    stopped_at: int
    saved_epoch: int | None
    train_accuracy: float
    test_accuracy: float


@dataclass(frozen=True)
class CaseArm:
    """An arm of the case study.

    Attributes:
        name: what it is called in tables.
        settings: in which it differs from a run without flags.
        loads_saved: whether its model is the saved one, loaded from its file, rather than the last epoch's.
    """

    name: str
    published: Figures
    settings: Mapping[str, Any] = field(default_factory=dict)
    loads_saved: bool = False


ARMS = (
    CaseArm("no stopping", Figures(4000, None, 1.000, 0.914)),
    CaseArm("patience 0", Figures(219, None, 0.967, 0.814), {"patience": 0}),
    CaseArm("patience 200", Figures(1033, None, 1.000, 0.943), {"patience": 200}),
    CaseArm("patience 200, best saved", Figures(1044, 879, 1.000, 0.943), {"patience": 200}, loads_saved=True),
)
# Settings on which the published figures depend. Of a rule that has stopped, the number of epochs is none of them.
PUBLISHED_SETTINGS = (
    *("samples", "noise", "train_size", "data_seed", "validation"),
    *("hidden", "batch_size", "optimizer", "learning_rate"),
)
