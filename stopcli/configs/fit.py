"""The settings of `stopcli fit`: a Python file's model and data, its own settings, and the arms that they make."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Lt

from stopcli.configs.base import Mode, Option, Seed, Share
from stopcli.configs.file_settings import Table, Value, arm_names, check_names, label_of
from stopcli.configs.images import Threads
from stopcli.configs.training import SweepSettings, TrainingConfig, large_batch
from stopcli.errors import ConfigError
from stopcli.runs.headline import LOSS, Headline, base_name, headline_of
from stopcli.stopping.rule import Direction, natural_direction

FitValidation = Literal["auto", "split", "last", "test", "none"]
AUTO = "auto"
# More runs than anybody looks at, one by one.
_MOST_ARMS = 1000


@dataclass(frozen=True, kw_only=True)
class FitConfig(TrainingConfig, SweepSettings):
    """Training the model that a Python file builds, on the rows that it returns.

    The file is executed when the rows are read. What it says then is filled in: all its settings, its metrics, which of
    them counts, how it is computed. So the config.toml of a run says all of it without the file.
    """

    command: ClassVar[str] = "fit"
    help: ClassVar[str] = (
        "FILE.py has two functions: `data()` returns (x, y), `build(x, y)` a compiled Keras model. Their keyword-only "
        "arguments with a default, as `units` of `def build(x, y, *, units=64)`, are settings: `--set units=32` "
        "chooses a value, `--vary units=32,64` trains and compares several. Optimizer, loss and metrics are those of "
        "`compile`."
    )
    default_to_full: ClassVar[bool] = True
    extra_options: ClassVar[frozenset[str]] = frozenset({"dry_run"})
    not_offered: ClassVar[frozenset[str]] = frozenset(
        {"scale", "code_sha256", "code_hash", "model_metrics", "arm_name"}
    )

    file: Annotated[
        str,
        Option(
            "A Python file with the functions `data` and `build`.",
            "Data",
            metavar="FILE.py",
            is_path=True,
        ),
    ] = ""
    settings: Annotated[
        Mapping[str, Value],
        Option(
            "Values for settings of the file, a list: units=32 activation=relu.",
            "Training",
            metavar="NAME=VALUE …",
            default="those of the file",
            flags=("--set",),
            common=True,
        ),
    ] = Table()
    vary: Annotated[
        Mapping[str, tuple[Value, ...]],
        Option(
            "Settings of the file with several values each, a list: units=32,64 activation=relu,prelu. Each "
            "combination is an arm of a sweep; the first is what the others are compared with.",
            "Arms",
            metavar="NAME=VALUE,VALUE,… …",
            default="none",
            common=True,
        ),
    ] = Table()
    metric: Annotated[
        str,
        Option(
            "The metric that counts in tables and comparisons, one of those that the model is compiled with, or loss.",
            "Training",
            metavar="NAME",
            default="the first whose direction its name tells, else loss",
            common=True,
        ),
    ] = ""
    unit: Annotated[
        str,
        Option("The unit of its values, such as °C.", "Training", ("label", "free"), metavar="TEXT", default="none"),
    ] = ""
    validation: Annotated[
        FitValidation,
        Option(
            "Rows used for validation. auto: those that `data()` returns as validation, else split: a share of the "
            "rows that do not test; last: the same, the last of them; test: the test rows; none.",
            "Data",
            ("test-rows",),
            common=True,
        ),
    ] = "auto"  # type: ignore[assignment]
    validation_share: Annotated[
        Share | None,
        Option("The share of the rows that is set aside for validation, in (0, 1).", "Data", default="0.2"),
    ] = None
    test_share: Annotated[
        Annotated[float, Ge(0), Lt(1)] | None,
        Option(
            "The share of the rows that is set aside for testing, ≥ 0 and < 1, where `data()` returns no parts.",
            "Data",
            ("test-rows",),
            default="0.2",
        ),
    ] = None
    data_seed: Annotated[Seed, Option("Seed of which rows are set aside, ≥ 0.", "Data", ("test-rows",))] = 0
    monitor: str = AUTO
    checkpoint_monitor: str = AUTO
    loop: Annotated[
        Literal["auto", "epochs", "steps"],
        Option(
            "What a call of the compiled loop trains: many epochs, or steps of one; auto: measured at the start.",
            "Training",
            ("execution",),
        ),
    ] = "auto"
    xla: Annotated[
        Literal["auto", "yes", "no"],
        Option("Whether XLA compiles the loop; auto: measured at the start.", "Training", ("execution",)),
    ] = "auto"
    threads: Threads = None
    code_sha256: Annotated[
        str, Option("The SHA-256 of the file and the local modules that it imports.", "Data", ("label", "free"))
    ] = ""
    # What distinguishes experiments: a changed comment does not.
    code_hash: Annotated[str, Option("A hash of their code without comments and layout.", "Data", ("free",))] = ""
    model_metrics: Annotated[
        tuple[str, ...], Option("What the model measures beside the loss.", "Training", ("label", "free"))
    ] = ()
    arm_name: Annotated[str, Option("The arm of a sweep that the run is of.", "Arms", ("label", "free"))] = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", Table(self.settings))
        object.__setattr__(self, "vary", Table({name: tuple(values) for name, values in self.vary.items()}))
        if self.file:
            # A run may be resumed in another folder.
            object.__setattr__(self, "file", os.path.abspath(self.file))  # noqa: PTH100

    @property
    def is_loaded(self) -> bool:
        """Whether the file was executed, and what it says is filled in."""
        return bool(self.code_hash)

    @property
    def metrics_are_known(self) -> bool:
        return self.is_loaded

    @property
    def short_epochs(self) -> bool:
        return self.loop == "epochs"

    @property
    def layout_is_open(self) -> bool:
        return self.loop == AUTO

    @property
    def is_sweep(self) -> bool:
        return bool(self.vary) or super().is_sweep

    @property
    def measured_rows(self) -> tuple[str, ...]:
        """The rows that metrics are measured on after each epoch, as their columns name them."""
        return ("train",) if self.validation == "none" else ("train", "val")

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(
            name if rows == "train" else f"{rows}_{name}"
            for rows in self.measured_rows
            for name in (LOSS.name, *self.model_metrics)
        )

    @property
    def headline(self) -> Headline:
        """The metric that counts; the loss where neither the settings nor the model say which."""
        name = base_name(self.metric) or LOSS.name
        return headline_of(name, self._direction(name), self.unit) or replace(LOSS, unit=self.unit)

    def _direction(self, name: str) -> Direction | None:
        """The better direction of the metric that counts; None where neither its name nor a mode says it."""
        if natural := natural_direction(name):
            return natural
        modes: list[Mode] = [self.checkpoint_mode, self.mode]
        return next((mode for mode in modes if mode != "auto"), None)

    @property
    def monitored(self) -> tuple[str, Mode]:
        if self.is_loaded:
            return self.monitor, self.mode
        # As far as it is known before the file is executed.
        monitor = self._automatic_monitor("val") if self.monitor == AUTO else self.monitor
        unknown = self.mode == "auto" and natural_direction(monitor) is None
        return monitor, "min" if unknown else self.mode

    def _automatic_monitor(self, rows: str) -> str:
        """The loss; but where a mode has to say the direction of the metric that counts, that metric, so that the mode
        is of one metric."""
        name = base_name(self.metric)
        return (self.headline if name and natural_direction(name) is None else LOSS).column(rows)

    def with_model(self, code_hash: str, metrics: Sequence[str], metric: str) -> FitConfig:
        """The config with what the executed file and its compiled model say, and what is `auto` by that.

        Args:
            code_hash: of the file's code.
            metrics: what the model measures beside the loss, in its order.
            metric: the one of these that counts, or `loss`.

        Raises:
            ConfigError: a setting names a metric that is not measured, or whose direction is not known.
        """
        rows = self.measured_rows[-1]
        filled = replace(self, code_hash=code_hash, model_metrics=tuple(metrics), metric=metric)
        changes: dict[str, Any] = {}
        if self.monitor == AUTO:
            changes["monitor"] = filled._automatic_monitor(rows)
        if self.checkpoint_monitor == AUTO:
            changes["checkpoint_monitor"] = filled.headline.column(rows)
            if self.checkpoint_mode == "auto" and natural_direction(metric) is None:
                changes["checkpoint_mode"] = filled.headline.direction
        filled = replace(filled, **changes)
        filled.check()
        return filled

    @property
    def arm(self) -> str:
        return self.arm_name or self.rules

    def arms(self) -> Mapping[str, FitConfig]:
        """Every combination of the values in `vary`, the last name's changing fastest."""
        if not self.vary:
            return {self.arm: self}
        return {
            name: replace(self, settings={**self.settings, **choice}, vary={}, arm_name=name)
            for name, choice in arm_names(self.vary).items()
        }

    def arm_label(self, arm: str) -> str:
        choice = arm_names(self.vary).get(arm, {}) if self.vary else {}
        return ", ".join(label_of(name, value) for name, value in choice.items()) or super().arm_label(arm)

    def check(self) -> None:
        if not self.file:
            raise ConfigError("file", self.file, "the path of a Python file with the functions data and build")
        if self.scale == "quick":
            raise ConfigError("scale", self.scale, "full: a file's own settings say how large it is")
        check_names(self.settings, self.vary)
        arms = math.prod(map(len, self.vary.values()))
        if arms > _MOST_ARMS:
            raise ConfigError("vary", arms, f"at most {_MOST_ARMS:,} combinations of its values")
        super().check()

    def check_share(self) -> None:
        if self.validation_share is not None and self.validation in ("test", "none"):
            who = "the test rows validate" if self.validation == "test" else "no rows validate"
            expected = f"no share where {who} (choose --validation split or last)"
            raise ConfigError("validation_share", self.validation_share, expected)
        if self.validation == "test" and self.test_share == 0:
            raise ConfigError("validation", "test", "split, last or none where no rows test (test_share 0)")

    def notes_on_rows(self, parts: Any, noun: str) -> tuple[str, ...]:
        if parts.validation.count:
            return super().notes_on_rows(parts, noun)
        return tuple(filter(None, [large_batch(self, parts.train.count, noun)]))
