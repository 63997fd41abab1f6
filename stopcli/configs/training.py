"""The settings of every training: when it stops, what it saves, how its runs are executed; and their checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le, Lt

from stopcli.configs.base import (
    ONLY_SWEEPS,
    Count,
    Mode,
    Natural,
    Option,
    RunConfig,
    settings_with,
)
from stopcli.configs.epochs import EpochSettings, LogSettings, check_validation_share
from stopcli.errors import ConfigError, did_you_mean
from stopcli.quantities import agreeing, counted, parse_save_every
from stopcli.runs.headline import ACCURACY, LOSS, Headline
from stopcli.stopping import AnyOf, BestEpoch, NonFinite, Patience, Threshold
from stopcli.stopping.combine import RULE_METRICS, mode_warnings, parse_rule, rule_examples, smoothed
from stopcli.stopping.patience import check_min_delta
from stopcli.stopping.rule import Rule, mode_warning, resolve_direction

if TYPE_CHECKING:
    from stopcli.data.dataset import Splits

ExecutorName = Literal["auto", "in-process", "processes", "ray"]
Smoothing = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, kw_only=True)
class StoppingSettings:
    """When training stops, and which epoch counts as the best for stopping."""

    patience: Annotated[
        Natural | None,
        Option(
            "Stop after this many epochs without an improvement, ≥ 0.",
            "Stopping",
            ("stopping",),
            default="no stopping: all epochs run",
            common=True,
        ),
    ] = None
    monitor: Annotated[str, Option("The metric that stopping monitors.", "Stopping", ("stopping",))] = "val_loss"
    mode: Annotated[
        Mode, Option("Whether lower or higher is better; auto: by the metric.", "Stopping", ("stopping",))
    ] = "auto"
    min_delta: Annotated[
        float | str,
        Option(
            "A change of no more than this is no improvement: a number ≥ 0, or a share of the best value (1%).",
            "Stopping",
            ("stopping",),
            used_with="patience",
            metavar="X|P%",
        ),
    ] = 0.0
    baseline: Annotated[
        float | None,
        Option(
            "Only improvements beyond this value reset the wait.",
            "Stopping",
            ("stopping",),
            used_with="patience",
            default="none",
        ),
    ] = None
    start_from_epoch: Annotated[
        Natural, Option("Number of first epochs that stopping ignores, ≥ 0.", "Stopping", ("stopping",))
    ] = 0
    threshold: Annotated[
        float | None,
        Option(
            "Stop at the first epoch whose monitored metric reaches this value.",
            "Stopping",
            ("stopping",),
            default="none",
        ),
    ] = None
    stop: Annotated[
        tuple[str, ...],
        Option(
            f"Also stop by these rules, a list; the first that fires counts: {rule_examples()}. {RULE_METRICS}",
            "Stopping",
            ("stopping",),
            metavar="RULE …",
            default="none",
            common=True,
        ),
    ] = ()
    smooth: Annotated[
        Smoothing | None,
        Option(
            "Let rules see their metrics smoothed: an exponential moving average with this weight of the past, ≥ 0 and "
            "< 1, corrected for its start. Which models are saved is decided on the values themselves.",
            "Stopping",
            ("stopping",),
            default="none",
        ),
    ] = None
    restore_best: Annotated[
        bool,
        Option("End with the model of the best monitored epoch, not of the last.", "Stopping", ("stopping",)),
    ] = False


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """How a sweep's runs are executed. None of it changes a number of theirs."""

    executor: Annotated[
        ExecutorName,
        Option(
            "What executes the runs of a sweep: processes of this machine (auto), this process, or a Ray cluster.",
            "Sweep",
            ("execution", "layout"),
            used_with=ONLY_SWEEPS,
        ),
    ] = "auto"
    jobs: Annotated[
        Annotated[int, Ge(1), Le(1024)] | None,
        Option(
            "Runs of a sweep at a time, ≥ 1.",
            "Sweep",
            ("execution", "layout"),
            used_with=ONLY_SWEEPS,
            default="one per core; a single one on a GPU",
        ),
    ] = None
    ray_address: Annotated[
        str,
        Option(
            "The Ray cluster of a sweep: auto for this machine's, or its head's HOST or HOST:PORT.",
            "Sweep",
            ("execution", "layout"),
            used_with=ONLY_SWEEPS,
            metavar="auto|HOST",
            default="one started on this machine",
        ),
    ] = ""
    keep_going: Annotated[
        bool,
        Option(
            "Whether the other runs of a sweep continue when one fails.",
            "Sweep",
            ("execution",),
            used_with=ONLY_SWEEPS,
            flags=("--keep-going/--fail-fast",),
        ),
    ] = True


@dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """Which epochs' models are kept."""

    checkpoint: Annotated[bool, Option("Save models.", "Checkpoints", ("checkpoints",))] = True
    checkpoint_monitor: Annotated[
        str, Option("The metric by which the best model is saved.", "Checkpoints", ("checkpoints",))
    ] = ACCURACY.column("val")
    checkpoint_mode: Annotated[
        Mode, Option("Whether lower or higher is better; auto: by the metric.", "Checkpoints", ("checkpoints",))
    ] = "auto"
    checkpoint_every: Annotated[
        Count | Literal["best", "all"],
        Option(
            "Besides the best epoch's model, also keep every epoch's, or every N-th.",
            "Checkpoints",
            ("checkpoints",),
            metavar="best|all|N",
        ),
    ] = "best"


# Fewer rows than this are warned about: one of them is more than 5 % of a share.
FEW_ROWS = 20

# Characters of the rules in a folder's name.
_LONGEST_RULES = 100

# What a row is called where it is no image.
POINT = "row"


@dataclass(frozen=True)
class StopPlan:
    """When an experiment stops and which epochs are kept.

    Attributes:
        rule: decides when training stops.
        best_monitored: the best epoch for stopping, which `restore_best` goes back to.
        restore_best: whether the final model is that of the best epoch.
        best_checkpoint: the best epoch for checkpoints; None where none are written.
        checkpoint_every: also keep every so many epochs' model; None for only the best.
    """

    rule: Rule[Any]
    best_monitored: BestEpoch
    restore_best: bool = False
    best_checkpoint: BestEpoch | None = None
    checkpoint_every: int | None = None

    @property
    def monitors(self) -> set[str]:
        """Every metric that is read."""
        best = [self.best_monitored, *([self.best_checkpoint] if self.best_checkpoint else [])]
        return {*self.rule.monitors, *(epoch.monitor for epoch in best)}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(LogSettings, EpochSettings, StoppingSettings, CheckpointSettings, RunConfig):
    """Training with stopping rules and checkpoints."""

    @property
    def short_epochs(self) -> bool:
        """Whether a call of the loop runs many epochs, and any epoch's state can be had by training up to it again."""
        return False

    @property
    def headline(self) -> Headline:
        """The metric that counts."""
        return ACCURACY

    @property
    def metrics_are_known(self) -> bool:
        """Whether `metrics` says what will be measured; else what the settings say of metrics is checked later."""
        return True

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that rules can monitor."""
        return tuple(metric.column(rows) for rows in ("train", "val") for metric in (LOSS, self.headline))

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
        for text in self.stop:
            plain = text.replace("%", "-percent").replace(",", "-and-")
            parts.append(re.sub(r"[^\w.]+", "-", plain).strip("-"))
        name = "-".join(parts) or "no-stopping"
        # A seed and more stand beside it in a folder's name, which has at most 255 bytes.
        return name if len(name) <= _LONGEST_RULES else f"{name[:_LONGEST_RULES]}-and-more"

    @property
    def stopping_names(self) -> frozenset[str]:
        """The settings that say when training is cut off and nothing else. Others of them can be replayed over what a
        run has on record, and the resumed run is what it would have been with them from its start."""
        return settings_with(type(self), "stopping")

    @property
    def monitored(self) -> tuple[str, Mode]:
        """The metric that rules monitor, and its mode."""
        return self.monitor, self.mode

    def requested_rules(self) -> list[tuple[str, Rule[Any]]]:
        """The rules that the settings name, each with the setting and its value, such as `patience 200`."""
        monitor, mode = self.monitored
        smooth = self.smooth
        rules: list[tuple[str, Rule[Any]]] = []
        if self.patience is not None:
            more = (self.min_delta, self.baseline, self.start_from_epoch)
            rule: Rule[Any] = Patience(self.patience, monitor, mode, *more)
            rules.append((f"patience {self.patience}", smoothed(rule, smooth)))
        if self.threshold is not None:
            rule = Threshold(self.threshold, monitor, mode)
            rules.append((f"threshold {self.threshold:g}", smoothed(rule, smooth)))
        return [*rules, *((f"stop {text}", parse_rule(text, monitor, mode, smooth)) for text in self.stop)]

    def evaluated_rule(self, rule: Rule[Any], steps_per_epoch: int) -> Rule[Any]:
        """A rule as it is evaluated: after every epoch."""
        return rule

    def stop_plan(self, steps_per_epoch: int) -> StopPlan:
        """When training stops and which epochs are kept. A metric that is not finite ends a run in any case."""
        rules = [self.evaluated_rule(rule, steps_per_epoch) for _, rule in self.requested_rules()]
        every = self.checkpoint_every
        return StopPlan(
            AnyOf((NonFinite(self.metrics), *rules)),
            BestEpoch(self.monitor, self.mode, self.start_from_epoch),
            self.restore_best,
            BestEpoch(self.checkpoint_monitor, self.checkpoint_mode) if self.checkpoint else None,
            {"best": None, "all": 1}.get(every, every) if self.checkpoint else None,  # type: ignore[arg-type]
        )

    def arms(self) -> Mapping[str, TrainingConfig]:
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
        self.check_share()
        if self.metrics_are_known:
            self._check_monitors()
        self._check_rules()

    def check_share(self) -> None:
        """Raise ConfigError where a share of rows is named, and none is split off to validate."""
        check_validation_share(self.validation, self.validation_share)

    def _check_monitors(self) -> None:
        for setting, mode_setting in (("monitor", "mode"), ("checkpoint_monitor", "checkpoint_mode")):
            metric = getattr(self, setting)
            if metric not in self.metrics:
                held_out = metric.startswith("test_")
                hint = "Test rows that are held out cannot be monitored." if held_out else ""
                hint = hint or did_you_mean(metric, self.metrics)
                raise ConfigError(setting, metric, "one of " + ", ".join(self.metrics), hint=hint)
            resolve_direction(metric, getattr(self, mode_setting), setting=mode_setting)

    def _check_rules(self) -> None:
        check_min_delta(self.min_delta)
        recorded = self.metrics if self.metrics_are_known else None
        for text in self.stop:
            monitors = parse_rule(text, *self.monitored, recorded=recorded).monitors
            missing = set() if recorded is None else {*monitors} - {*recorded}
            if missing:
                raise ConfigError("stop", text, f"a rule on a recorded metric; {sorted(missing)[0]} is not recorded")
        if self.start_from_epoch >= self.epochs:
            expected = f"less than epochs ({self.epochs}), else no epoch is ever monitored"
            raise ConfigError("start_from_epoch", self.start_from_epoch, expected)
        if isinstance(self.checkpoint_every, int) and self.checkpoint_every > self.epochs:
            expected = f"at most epochs ({self.epochs}), else no epoch is ever saved"
            raise ConfigError("checkpoint_every", self.checkpoint_every, expected)

    def warnings(self) -> list[str]:
        warnings = [
            mode_warning(self.monitor, self.mode),
            mode_warning(self.checkpoint_monitor, self.checkpoint_mode),
        ]
        rules = [rule for _, rule in self.requested_rules()]
        warnings += [warning for warning in mode_warnings(rules) if warning not in warnings]
        if self.smooth and not rules:
            warnings.append("smooth has no effect without a rule (patience, threshold or stop)")
        if not self.checkpoint and self.restore_best:
            warnings.append("restore_best measures the restored model, but with --no-checkpoint none is saved")
        if not self.checkpoint and self.checkpoint_every != "best":
            warnings.append("checkpoint_every has no effect with --no-checkpoint")
        warnings += self.late_settings()
        return [*super().warnings(), *(warning for warning in warnings if warning)]

    def late_settings(self) -> list[str]:
        """Warnings about settings that take effect too late, such as a rule that cannot stop training early."""
        return [
            f"{label} cannot stop a training of {counted(self.epochs, 'epoch')} early: it can stop one after epoch "
            f"{rule.earliest_stop:,} at the earliest"
            for label, rule in self.requested_rules()
            if rule.earliest_stop >= max(self.epochs, 2)
        ]

    def notes_on_rows(self, parts: Splits, noun: str) -> tuple[str, ...]:
        """Warnings about the number of rows, once it is known.

        Args:
            noun: what a row is, such as `image`.
        """
        few = parts.validation.count
        warnings = [large_batch(self, parts.train.count, noun)]
        if few < FEW_ROWS and (self.checkpoint or self.rules != "no-stopping"):
            what = "the saved epoch" if self.checkpoint else "the epoch to stop at"
            other = "" if self.checkpoint_monitor == "val_loss" else " or checkpoint_monitor val_loss"
            warnings.append(
                f"{counted(few, noun)} {agreeing(few, 'validates', 'validate')}, so {what} is chosen on little "
                f"evidence; use more {noun}s{other}"
            )
        return tuple(filter(None, warnings))


def large_batch(config: Any, rows: int, noun: str) -> str:
    """A warning where a batch has room for more rows than there are to train on; empty where it has not.

    Args:
        config: has a `batch_size`.
        noun: what a row is. Points are few, and the published network takes all of them in a batch, so there is no
            warning about the default.
    """
    if config.batch_size <= rows or (noun == POINT and not config.non_default("batch_size")):
        return ""
    return (
        f"batch_size {config.batch_size:,} is more than the {counted(rows, noun)} to train on, so an epoch is a "
        "single update"
    )
