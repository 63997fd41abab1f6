"""The settings of every recipe that trains for some epochs under rules, and the checks that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from stopcli.config import (
    CheckpointSettings,
    Count,
    OptimizerName,
    Positive,
    RunConfig,
    Share,
    StoppingSettings,
    ValidationRows,
    check_validation_share,
)
from stopcli.errors import ConfigError
from stopcli.quantities import agreeing, counted, parse_save_every
from stopcli.stopping.combine import parse_rule
from stopcli.stopping.rule import Rule, mode_warning, resolve_direction
from stopcli.training.stop_plan import requested_rules

if TYPE_CHECKING:
    from stopcli.data.dataset import Splits

# Fewer rows than this are warned about: one of them is more than 5 % of the accuracy.
FEW_ROWS = 20
# What a row is called where it is no image.
POINT = "row"


@dataclass(frozen=True, kw_only=True)
class TrainedConfig(StoppingSettings, CheckpointSettings, RunConfig):
    """Training with stopping rules and checkpoints."""

    # Whether a call of the loop runs many epochs, and any epoch's state can be had by training up to it again.
    short_epochs: ClassVar[bool] = False

    validation: ValidationRows = "test"
    validation_share: Share | None = None
    epochs: Count = 100
    batch_size: Count = 32
    optimizer: OptimizerName = "adam"
    learning_rate: Positive = 0.001
    # Changes no number of the run, but is no matter of one session: a resumed run has to go on with it.
    tensorboard: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that rules can monitor."""
        return ("loss", "accuracy", "val_loss", "val_accuracy")

    @property
    def arm(self) -> str:
        """What distinguishes this run from the others of the experiment, as a part of a folder's name."""
        return self.rules

    @property
    def rules(self) -> str:
        """The rules that stop it, as a part of a folder's name."""
        parts = []
        if self.patience is not None:
            parts.append(f"patience-{self.patience}")
        if self.threshold is not None:
            parts.append(f"threshold-{self.threshold:g}")
        parts += [text.replace(":", "-") for text in self.stop]
        return "-".join(parts) or "no-stopping"

    @property
    def stopping_names(self) -> frozenset[str]:
        """The settings that say when training is cut off and nothing else. Others of them can be replayed over what a
        run has on record, and the run goes on as if it had had them from its beginning."""
        return frozenset(field.name for field in fields(StoppingSettings))

    def asked(self, rule: Rule[Any], steps_per_epoch: int) -> Rule[Any]:
        """A rule as it is asked whether to stop: after every epoch."""
        return rule

    def arms(self) -> Mapping[str, TrainedConfig]:
        """What a sweep compares, by name: the settings of each, for all seeds."""
        return {self.arm: self}

    @property
    def reference_arm(self) -> str:
        """The arm of a sweep that its others are compared with, by name: whichever runs have finished."""
        return next(iter(self.arms()))

    def arm_label(self, arm: str) -> str:
        """What an arm of a sweep is called in tables, figures and sentences."""
        return arm.replace("-", " ")

    @property
    def cost(self) -> float:
        """How much there is to compute in a run, in any unit that is the same for all arms of a sweep."""
        return 1.0

    def check(self) -> None:
        super().check()
        parse_save_every(self.save_every)
        check_validation_share(self.validation, self.validation_share)
        self._check_rules()

    def _check_rules(self) -> None:
        for setting, mode_setting in (("monitor", "mode"), ("checkpoint_monitor", "checkpoint_mode")):
            metric = getattr(self, setting)
            if metric not in self.metrics:
                hint = "Test rows that are held out cannot be monitored." if metric.startswith("test_") else ""
                raise ConfigError(setting, metric, "one of " + ", ".join(self.metrics), hint=hint)
            resolve_direction(metric, getattr(self, mode_setting), setting=mode_setting)
        for text in self.stop:
            missing = set(parse_rule(text, self.monitor, self.mode).monitors) - set(self.metrics)
            if missing:
                raise ConfigError("stop", text, f"no rule of {sorted(missing)[0]}, which there is none of")
        if self.start_from_epoch >= self.epochs:
            expected = f"less than epochs ({self.epochs}), else no epoch is ever watched"
            raise ConfigError("start_from_epoch", self.start_from_epoch, expected)
        if isinstance(self.checkpoint_every, int) and self.checkpoint_every > self.epochs:
            expected = f"at most epochs ({self.epochs}), else no epoch is ever kept"
            raise ConfigError("checkpoint_every", self.checkpoint_every, expected)

    def warnings(self) -> list[str]:
        told = [
            mode_warning(self.monitor, self.mode),
            mode_warning(self.checkpoint_monitor, self.checkpoint_mode),
        ]
        if self.patience is None:
            told += [
                f"{setting} has no effect without patience"
                for setting in ("min_delta", "baseline")
                if getattr(self, setting) not in (None, 0.0)
            ]
        if self.init_optimizer and not self.init_from:
            told.append("init_optimizer has no effect without init_from")
        if not self.checkpoint and self.restore_best:
            told.append("restore_best measures the restored model, but with --no-checkpoint none is saved")
        if not self.checkpoint and self.checkpoint_every != "best":
            told.append("checkpoint_every has no effect with --no-checkpoint")
        told += self.late_settings()
        return [*super().warnings(), *(warning for warning in told if warning)]

    def late_settings(self) -> list[str]:
        """What is to be said of settings that come too late to change anything, such as rules to save an epoch."""
        return [
            f"{words} stops no training of {counted(self.epochs, 'epoch')} before its end: it can after epoch "
            f"{rule.earliest_stop:,} at the earliest"
            for words, rule in requested_rules(self)
            if rule.earliest_stop >= max(self.epochs, 2)
        ]

    def notes_on_rows(self, parts: Splits, thing: str) -> tuple[str, ...]:
        """What is to be said of how many rows there are, once they are known.

        Args:
            thing: what a row is, such as `image`.
        """
        few = parts.validation.count
        told = [large_batch(self, parts.train.count, thing)]
        if few < FEW_ROWS and (self.checkpoint or self.rules != "no-stopping"):
            what = "the saved epoch" if self.checkpoint else "the epoch to stop at"
            other = "" if self.checkpoint_monitor == "val_loss" else ", or checkpoint_monitor val_loss,"
            told.append(
                f"{counted(few, thing)} {agreeing(few, 'validates', 'validate')}, so {what} is chosen by little; more "
                f"{thing}s{other} choose better"
            )
        return tuple(filter(None, told))


def large_batch(config: Any, rows: int, thing: str) -> str:
    """What is to be said where a batch has room for more rows than there are to train on; empty where it has not.

    Args:
        config: has a `batch_size`.
        thing: what a row is. Points are few, and all of them in a batch is how their network is published: of a batch
            size that nobody chose nothing is said.
    """
    if config.batch_size <= rows or (thing == POINT and not config.chosen("batch_size")):
        return ""
    return (
        f"batch_size {config.batch_size:,} is more than the {counted(rows, thing)} to train on, so an epoch is a "
        "single update"
    )
