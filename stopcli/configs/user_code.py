"""The settings that every command has of a user's Python file: its own ones, its rows, what its model measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Ge, Lt

from stopcli.configs.base import Mode, Option, RunConfig
from stopcli.configs.file_settings import Table
from stopcli.configs.training import TrainingConfig, large_batch
from stopcli.errors import ConfigError
from stopcli.runs.headline import LOSS, Headline, base_name, headline_of, rows_of
from stopcli.source import Value
from stopcli.stopping.combine import parse_rule
from stopcli.stopping.rule import Direction, natural_direction

# Which of a file's rows validate.
CodeValidation = Literal["auto", "split", "last", "test", "none"]
AUTO = "auto"
# What the executed file says, which no option sets.
FILLED = frozenset({"code_sha256", "code_hash", "model_metrics", "exact"})
NOT_EXACT = (
    "the same steps from the same weights gave other numbers the second time, so this run cannot be repeated or "
    "resumed to the bit"
)

# In characters: it stands in the heads of tables.
_LONGEST_UNIT = 20

Completion = Callable[[Mapping[str, Value]], Mapping[str, Value]]
AnySettings = TypeVar("AnySettings", bound="CodeSettings")


@dataclass(frozen=True, kw_only=True)
class CodeSettings(RunConfig):
    """A file's own settings, how many of its rows test, and which code it was."""

    settings: Annotated[
        Mapping[str, Value],
        Option(
            "Values for settings of FILE.py, a list: units=32 activation=relu. To run a run again with another one: "
            "`stopcli run RUN --set settings.units=64`.",
            "Training",
            ("code", "range"),
            metavar="NAME=VALUE …",
            default="those of the file",
            flags=("--set",),
            common=True,
        ),
    ] = Table()
    test_share: Annotated[
        Annotated[float, Ge(0), Lt(1)] | None,
        Option(
            "The share of the rows that is set aside for testing, ≥ 0 and < 1, where `data()` returns no parts.",
            "Data",
            ("test-rows", "code"),
            default="0.2",
        ),
    ] = None
    code_sha256: Annotated[
        str, Option("The SHA-256 of the file and the local modules that it imports.", "Data", ("label", "free", "code"))
    ] = ""
    # What distinguishes experiments: a changed comment does not.
    code_hash: Annotated[str, Option("A hash of their code without comments and layout.", "Data", ("free", "code"))] = (
        ""
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", Table(self.settings))

    @property
    def file(self) -> str:
        """The path of the file; empty where the model is of no file."""
        raise NotImplementedError

    @property
    def data_name(self) -> str:
        return Path(self.file).name if self.is_code else super().data_name

    @property
    def first_arm(self: AnySettings) -> AnySettings:
        """The settings of a run, of the arm that others are compared with."""
        return self

    def with_all_settings(self: AnySettings, complete: Completion) -> AnySettings:
        """The config with all settings of the file.

        Args:
            complete: from some of them to all, each of its default's type. Raises ConfigError.
        """
        return replace(self, settings=complete(self.settings))

    @property
    def is_loaded(self) -> bool:
        """Whether the file was executed, and what it says is filled in."""
        return bool(self.code_hash)


AnyCode = TypeVar("AnyCode", bound="CodeTrainingConfig")


@dataclass(frozen=True, kw_only=True)
class CodeTrainingConfig(CodeSettings, TrainingConfig):
    """Training the model that a file builds, where it is one that a file builds (`is_code`).

    The file is executed when its rows are read. What it says then is filled in: all its settings, its metrics, which of
    them counts. So the config.toml of a run says all of it without the file.
    """

    metric: Annotated[
        str,
        Option(
            "The metric that counts in tables and comparisons, one of those that the model is compiled with, or loss.",
            "Training",
            ("code",),
            metavar="NAME",
            default="the first whose direction its name tells, else loss",
            common=True,
        ),
    ] = ""
    unit: Annotated[
        str,
        Option(
            "The unit of its values, such as °C.", "Training", ("label", "free", "code"), metavar="TEXT", default="none"
        ),
    ] = ""
    xla: Annotated[
        Literal["auto", "yes", "no"],
        Option("Whether XLA compiles the loop; auto: measured at the start.", "Training", ("execution", "code")),
    ] = "auto"
    model_metrics: Annotated[
        tuple[str, ...], Option("What the model measures beside the loss.", "Training", ("label", "free", "code"))
    ] = ()

    exact: Annotated[
        bool | None,
        Option(
            "Whether steps gave the same numbers when they were trained again.", "Training", ("label", "free", "code")
        ),
    ] = None

    # By the hash of its bytes a file is known, whatever is filled in anew.
    not_repeated: ClassVar[frozenset[str]] = FILLED - {"code_sha256"}

    @property
    def loop(self) -> str:
        """What a call of the compiled loop trains: `epochs`, or `steps` of one; `auto` where that is measured."""
        return "auto"

    def with_loop(
        self: AnyCode, loop: Literal["epochs", "steps"], xla: Literal["yes", "no"], *, exact: bool
    ) -> AnyCode:
        """The config with what was measured of the loop."""
        return replace(self, xla=xla, exact=exact)

    @property
    def first_arm(self: AnyCode) -> AnyCode:
        arms: Mapping[str, Any] = self.arms()
        arm: AnyCode = arms[self.reference_arm]
        return arm

    @property
    def metrics_are_known(self) -> bool:
        return self.is_loaded if self.is_code else super().metrics_are_known

    @property
    def is_loaded(self) -> bool:
        # The network of a table has no code of its own.
        return super().is_loaded or bool(self.model_metrics)

    @property
    def measured_rows(self) -> tuple[str, ...]:
        """The rows that metrics are measured on after each epoch, as their columns name them."""
        return ("train",) if str(self.validation) == "none" else ("train", "val")

    @property
    def metrics(self) -> tuple[str, ...]:
        if not self.is_code:
            return super().metrics
        return tuple(
            name if rows == "train" else f"{rows}_{name}"
            for rows in self.measured_rows
            for name in (LOSS.name, *self.model_metrics)
        )

    @property
    def headline(self) -> Headline:
        """The metric that counts; the loss where neither the settings nor the model say which."""
        if not self.is_code:
            return super().headline
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
        if self.is_loaded or not self.is_code:
            return super().monitored
        # As far as it is known before the file is executed.
        monitor = self._automatic_monitor(self.measured_rows[-1]) if self.monitor == AUTO else self.monitor
        unknown = self.mode == "auto" and natural_direction(monitor) is None
        return monitor, "min" if unknown else self.mode

    def _automatic_monitor(self, rows: str) -> str:
        """The loss; but where a mode has to say the direction of the metric that counts, that metric, so that the mode
        is of one metric."""
        name = base_name(self.metric)
        return (self.headline if name and natural_direction(name) is None else LOSS).column(rows)

    def with_model(self: AnyCode, code_hash: str, metrics: Sequence[str], metric: str) -> AnyCode:
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
            changes["checkpoint_monitor"] = column_of(
                rows, filled.saved_by({**vars(filled), "metric": filled.headline.name})
            )
            if self.checkpoint_mode == "auto" and natural_direction(metric) is None:
                changes["checkpoint_mode"] = filled.headline.direction
        filled = replace(filled, **changes)
        filled.check()
        return filled

    def check(self) -> None:
        if not self.unit.isprintable() or len(self.unit) > _LONGEST_UNIT:
            raise ConfigError("unit", self.unit, f"at most {_LONGEST_UNIT} printable characters, such as °C")
        if self.is_code:
            self._check_validates()
        super().check()

    def _check_validates(self) -> None:
        """Raise ConfigError where a setting reads metrics of rows that validate, and none do."""
        if "val" in self.measured_rows:
            return
        of_rules = [name for text in self.stop for name in parse_rule(text, *self.monitored).monitors]
        for setting, names in (
            ("monitor", [self.monitor]),
            ("checkpoint_monitor", [self.checkpoint_monitor]),
            ("stop", of_rules),
        ):
            if name := next((name for name in names if rows_of(name) == "val"), ""):
                hint = f"With validation none no rows validate, so there is no {name}."
                raise ConfigError(
                    setting, getattr(self, setting), "a metric of the training rows, such as loss", hint=hint
                )

    def warnings(self) -> list[str]:
        return [*super().warnings(), *([NOT_EXACT] if self.exact is False else [])]

    @classmethod
    def saved_by(cls, settings: Mapping[str, Any]) -> str:
        """The metric whose best epoch is saved where no setting says it: the one that counts.

        Args:
            settings: of a run whose metrics are known.
        """
        return str(settings.get("metric", ""))

    @classmethod
    def requested(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        if not (settings.get("code_hash") or settings.get("model_metrics")):
            return dict(settings)
        names, rows = settings.get("model_metrics", ()), "train" if settings.get("validation") == "none" else "val"
        metric = str(settings.get("metric", ""))
        by_name = natural_direction(metric) is not None
        filled = {
            "validation": "split",
            "monitor": LOSS.column(rows) if by_name else None,
            "checkpoint_monitor": column_of(rows, cls.saved_by(settings)),
            "metric": default_metric(names),
        }
        return {name: value for name, value in settings.items() if name not in filled or value != filled[name]}

    def check_share(self) -> None:
        if self.is_code:
            check_code_share(self)
        else:
            super().check_share()

    def notes_on_rows(self, parts: Any, noun: str) -> tuple[str, ...]:
        if parts.validation.count or not self.is_code:
            return super().notes_on_rows(parts, noun)
        return tuple(filter(None, [large_batch(self, parts.train.count, noun)]))


def column_of(rows: str, metric: str) -> str:
    """The column of a metric, measured on the rows that train (`train`) or on others."""
    return metric if rows == "train" else f"{rows}_{metric}"


def default_metric(names: Sequence[str]) -> str:
    """The metric that counts where nobody says which: the first whose direction its name tells, but for the losses of
    outputs; else the loss."""
    known = (name for name in names if not name.endswith("_loss") and natural_direction(name) is not None)
    return next(known, LOSS.name)


def check_code_share(config: Any) -> None:
    """Raise ConfigError where a share of a file's rows is named that is not set aside.

    Args:
        config: has `validation`, `validation_share` and `test_share`.
    """
    if config.validation_share is not None and config.validation in ("test", "none"):
        who = "the test rows validate" if config.validation == "test" else "no rows validate"
        expected = f"no share where {who} (choose --validation split or last)"
        raise ConfigError("validation_share", config.validation_share, expected)
    if config.validation == "test" and config.test_share == 0:
        raise ConfigError("validation", "test", "split, last or none where no rows test (test_share 0)")
