"""The published case study: four arms of one training, and what was reported of them (J. Brownlee, 2018)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stopcli.configs.published import PublishedArm, published_arms


@dataclass(frozen=True)
class ArmValues:
    """The values of an arm, published or measured.

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
        name: in tables.
        settings: of its stopping rule; a run without flags has none.
        loads_saved: whether its model is the saved one, loaded from its file, rather than the last epoch's.
    """

    name: str
    published: ArmValues
    settings: Mapping[str, Any]
    loads_saved: bool


@functools.cache
def case_arms() -> tuple[CaseArm, ...]:
    """The arms in their published order."""
    return tuple(map(_case_arm, published_arms("moons").values()))


def _case_arm(arm: PublishedArm) -> CaseArm:
    saves = bool(arm.settings.get("checkpoint"))
    prefix = "saved_" if saves else ""
    published = ArmValues(
        int(arm.values["stop_epoch"]),
        int(arm.values["saved_epoch"]) if saves else None,
        arm.values[f"{prefix}train_accuracy"],
        arm.values[f"{prefix}test_accuracy"],
    )
    # The case study saves as a run without flags does, which is how the published arm saves.
    settings = {name: value for name, value in arm.settings.items() if not name.startswith("checkpoint")}
    return CaseArm(arm.title, published, settings, saves)


# Settings on which the published values depend. Of a rule that has stopped, the number of epochs is none of them.
PUBLISHED_SETTINGS = (
    *("samples", "noise", "train_size", "data_seed", "validation"),
    *("hidden", "batch_size", "optimizer", "learning_rate"),
)
