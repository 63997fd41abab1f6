"""The settings of `stopcli moons`; the defaults are the published ones (J. Brownlee, 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le

from stopcli.config import (
    CheckpointSettings,
    Count,
    OptimizerName,
    Positive,
    RunConfig,
    Seed,
    Share,
    StoppingSettings,
    ValidationRows,
)
from stopcli.data.shares import share_of
from stopcli.durations import parse_save_every
from stopcli.errors import ConfigError
from stopcli.stopping.direction import contradiction, resolve_direction

# Fewer rows than this are warned about: one of them is more than 5 % of the accuracy.
FEW_ROWS = 20
# Shares that are split off where the user names none: a fifth of the training rows, half of the test rows.
DEFAULT_SHARES = {"split": 0.2, "holdout": 0.5}


@dataclass(frozen=True, kw_only=True)
class MoonsConfig(StoppingSettings, CheckpointSettings, RunConfig):
    """An overfitting MLP on two moons."""

    command: ClassVar[str] = "moons"
    quick: ClassVar[dict[str, Any]] = {"epochs": 1500}
    full_is_short: ClassVar[bool] = True

    samples: Annotated[int, Ge(2), Le(10_000_000)] = 100
    noise: Annotated[float, Ge(0), Le(1e6)] = 0.2
    train_size: Count = 30
    data_seed: Seed = 1
    validation: ValidationRows = "test"
    validation_share: Share | None = None
    hidden: Annotated[int, Ge(1), Le(1_000_000)] = 500
    epochs: Count = 4000
    batch_size: Count = 32
    optimizer: OptimizerName = "adam"
    learning_rate: Positive = 0.001

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that rules can monitor."""
        return ("loss", "accuracy", "val_loss", "val_accuracy")

    @property
    def share(self) -> float:
        """The share of rows that validate, where they are split off."""
        return self.validation_share or DEFAULT_SHARES.get(self.validation, 0.0)

    @property
    def arm(self) -> str:
        """What distinguishes this run from the others of the experiment, as a part of a folder's name."""
        parts = []
        if self.patience is not None:
            parts.append(f"patience-{self.patience}")
        if self.threshold is not None:
            parts.append(f"threshold-{self.threshold:g}")
        return "-".join(parts) or "no-stopping"

    def check(self) -> None:
        super().check()
        parse_save_every(self.save_every)
        self._check_data()
        self._check_rules()

    def _check_data(self) -> None:
        if self.train_size >= self.samples:
            expected = f"1 to {self.samples - 1}, because samples is {self.samples} and some rows have to test"
            raise ConfigError("train_size", self.train_size, expected)
        if self.validation == "split" and self.train_size < 2:
            raise ConfigError("validation", "split", "a train_size of 2 or more to split")
        if self.validation == "holdout" and self.samples - self.train_size < 2:
            raise ConfigError("validation", "holdout", "2 or more rows beyond train_size to split")
        if self.validation_share is not None and self.validation == "test":
            expected = "no share where the test rows validate (choose --validation split or holdout)"
            raise ConfigError("validation_share", self.validation_share, expected)

    def _check_rules(self) -> None:
        for setting, mode_setting in (("monitor", "mode"), ("checkpoint_monitor", "checkpoint_mode")):
            metric = getattr(self, setting)
            if metric not in self.metrics:
                hint = "Test rows that are held out cannot be monitored." if metric.startswith("test_") else ""
                raise ConfigError(setting, metric, "one of " + ", ".join(self.metrics), hint=hint)
            resolve_direction(metric, getattr(self, mode_setting), setting=mode_setting)
        if self.start_from_epoch >= self.epochs:
            expected = f"less than epochs ({self.epochs}), else no epoch is ever watched"
            raise ConfigError("start_from_epoch", self.start_from_epoch, expected)
        if isinstance(self.checkpoint_every, int) and self.checkpoint_every > self.epochs:
            expected = f"at most epochs ({self.epochs}), else no epoch is ever kept"
            raise ConfigError("checkpoint_every", self.checkpoint_every, expected)

    def warnings(self) -> list[str]:
        told = [
            contradiction(self.monitor, self.mode),
            contradiction(self.checkpoint_monitor, self.checkpoint_mode),
        ]
        if self.patience is None:
            told += [
                f"{setting} has no effect without patience"
                for setting in ("min_delta", "baseline")
                if getattr(self, setting) not in (None, 0.0)
            ]
        if self.init_optimizer and not self.init_from:
            told.append("init_optimizer has no effect without init_from")
        rows = {"split": self.train_size, "holdout": self.samples - self.train_size}.get(self.validation)
        if rows is not None and self.checkpoint and share_of(rows, self.share) < FEW_ROWS:
            told.append(
                f"{share_of(rows, self.share)} rows validate, so the saved epoch is chosen by little; more rows, or "
                "checkpoint_monitor val_loss, choose better"
            )
        if not self.checkpoint and self.restore_best:
            told.append("restore_best measures the restored model, but with --no-checkpoint none is saved")
        if not self.checkpoint and self.checkpoint_every != "best":
            told.append("checkpoint_every has no effect with --no-checkpoint")
        return [warning for warning in told if warning]
