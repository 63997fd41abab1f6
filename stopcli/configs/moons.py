"""The settings of `stopcli moons`, and the arms of its case study."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le

from stopcli.configs.base import Count, Option, PublishedArm, Seed, published_arms, settings_with
from stopcli.configs.epochs import OptimizerSettings
from stopcli.configs.training import TrainingConfig
from stopcli.errors import ConfigError


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
    *("hidden", "batch_size", "precision", "optimizer", "learning_rate"),
)


# Shares that are split off where the user names none: a fifth of the training rows, half of the test rows.
DEFAULT_SHARES = {"split": 0.2, "holdout": 0.5}


@dataclass(frozen=True, kw_only=True)
class MoonsConfig(TrainingConfig, OptimizerSettings):
    """An overfitting MLP on two moons; as a case study, the four published arms of it from one training."""

    command: ClassVar[str] = "moons"
    help: ClassVar[str] = (
        "Without flags this is the published experiment without early stopping: 30 rows train a layer of 500 units "
        "for 4,000 epochs. `--patience 200` stops it where the test loss has not improved for 200 epochs; the model "
        "with the best test accuracy is saved in either case, loaded again, and measured. `--case-study --seeds 30` "
        "gives the published table, with what was published beside means and intervals over seeds."
    )
    quick: ClassVar[dict[str, Any]] = {"epochs": 1500}
    default_to_full: ClassVar[bool] = True

    samples: Annotated[int, Ge(2), Le(10_000_000), Option("Rows in all, ≥ 2.", "Data", ("test-rows",))] = 100
    noise: Annotated[float, Ge(0), Le(1e6), Option("Standard deviation of the noise, ≥ 0.", "Data", ("test-rows",))] = (
        0.2
    )
    train_size: Annotated[
        Count, Option("Rows that train; the others test. 1 … samples − 1.", "Data", ("test-rows",))
    ] = 30
    data_seed: Annotated[Seed, Option("Seed of the data set, ≥ 0.", "Data", ("test-rows",))] = 1
    hidden: Annotated[int, Ge(1), Le(1_000_000), Option("Units of the hidden layer, ≥ 1.", "Training")] = 500
    epochs: Count = 4000
    case_study: Annotated[
        bool,
        Option(
            "Train all epochs once and read the four published arms off it, as a table with the published figures: no "
            "stopping, patience 0, patience 200, patience 200 with the best model saved and loaded.",
            "Arms",
            common=True,
        ),
    ] = False

    @property
    def short_epochs(self) -> bool:
        return True

    @property
    def arm(self) -> str:
        return "case-study" if self.case_study else super().arm

    @property
    def unpublished(self) -> list[str]:
        """The settings, epochs aside, that are not those of the published case study."""
        return [name for name in PUBLISHED_SETTINGS if getattr(self, name) != getattr(MoonsConfig, name)]

    @property
    def share(self) -> float:
        """The share of rows that validate, where they are split off."""
        return self.validation_share or DEFAULT_SHARES.get(self.validation, 0.0)

    def check(self) -> None:
        self._check_case_study()
        super().check()
        self._check_data()

    def _check_case_study(self) -> None:
        """Raise where a setting says what the published arms say."""
        conflicting = self.non_default(*sorted(settings_with(type(self), "stopping", "checkpoints", "start")))
        if self.case_study and conflicting:
            expected = "nothing with case_study, whose arms are the published ones"
            raise ConfigError(conflicting[0], getattr(self, conflicting[0]), expected)

    def _check_data(self) -> None:
        if self.train_size >= self.samples:
            expected = f"1 to {self.samples - 1}, because samples is {self.samples} and some rows have to test"
            raise ConfigError("train_size", self.train_size, expected)
        if self.validation == "split" and self.train_size < 2:
            raise ConfigError("validation", "split", "a train_size of 2 or more to split")
        if self.validation == "holdout" and self.samples - self.train_size < 2:
            raise ConfigError("validation", "holdout", "2 or more rows beyond train_size to split")

    def late_settings(self) -> list[str]:
        arms = [replace(self, case_study=False, **arm.settings) for arm in case_arms()] if self.case_study else []
        return list(dict.fromkeys([*super().late_settings(), *(text for arm in arms for text in arm.late_settings())]))
