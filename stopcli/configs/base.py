"""The settings that runs share, how they are checked, and how they are read and written as TOML.

A config is a frozen dataclass with one field a setting.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from stopcli.configs.stop_plan import requested_rules
from stopcli.errors import ConfigError
from stopcli.quantities import agreeing, counted, parse_save_every
from stopcli.stopping.combine import parse_rule
from stopcli.stopping.rule import Rule, mode_warning, resolve_direction

if TYPE_CHECKING:
    from stopcli.data.dataset import Splits


# Epochs and steps are int32 inside the compiled loop.
Count = Annotated[int, Ge(1), Lt(2**31)]
Natural = Annotated[int, Ge(0), Lt(2**31)]
Seed = Annotated[int, Ge(0), Lt(2**31)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Gt(0), Lt(1)]
Mode = Literal["auto", "min", "max"]
Scale = Literal["quick", "full", "auto"]
OptimizerName = Literal["sgd", "rmsprop", "adam"]
ExecutorName = Literal["auto", "in-process", "processes", "ray"]
ValidationRows = Literal["test", "split", "holdout"]

# In bytes: the longest name still leaves room for the time and the command within a file system's 255.
NAME_LENGTH = 80


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of every command that trains."""

    command: ClassVar[str]
    # What `--scale quick` changes. Settings that are not named keep their default, which is the published value.
    quick: ClassVar[dict[str, Any]] = {}
    # Whether the published setting takes a minute or less on a laptop, so that `--scale auto` means full.
    default_to_full: ClassVar[bool] = False

    name: str = ""
    scale: Scale = "auto"
    seed: Seed = 0
    seeds: Annotated[int, Ge(1), Le(10_000)] = 1
    save_every: str = "auto"
    init_from: str = ""
    init_optimizer: bool = False

    def check(self) -> None:
        """Raise ConfigError where settings contradict each other."""
        if len(self.name.encode()) > NAME_LENGTH or not all(c.isalnum() or c in "._-" for c in self.name):
            expected = (
                f"at most {NAME_LENGTH} bytes of letters, digits, '.', '_', '-': it becomes part of a folder's name"
            )
            raise ConfigError("name", self.name, expected)
        if self.seed + self.seeds > 2**31:
            raise ConfigError("seeds", self.seeds, f"seed + seeds ≤ 2**31 (seed is {self.seed})")

    def warnings(self) -> list[str]:
        """What the user should know about these settings before the run, a sentence each."""
        return []

    def non_default(self, *names: str) -> list[str]:
        """Those of some settings that have neither their default nor what the scale makes of them."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        at_scale = self.quick if self.scale == "quick" else {}
        return [
            name for name in names if getattr(self, name) not in (defaults[name], at_scale.get(name, defaults[name]))
        ]

    @property
    def is_sweep(self) -> bool:
        """Whether these settings describe several runs."""
        return self.seeds > 1

    @property
    def schedule_depends_on_epochs(self) -> str:
        """The setting by which what is trained in an epoch depends on how many there are in all; empty for none."""
        return ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoppingSettings:
    """When training stops, and which epoch counts as the best for stopping."""

    patience: Natural | None = None
    monitor: str = "val_loss"
    mode: Mode = "auto"
    min_delta: NonNegative = 0.0
    baseline: float | None = None
    start_from_epoch: Natural = 0
    threshold: float | None = None
    stop: tuple[str, ...] = ()
    restore_best: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """How a sweep's runs are executed. None of it changes a number of theirs."""

    executor: ExecutorName = "auto"
    jobs: Annotated[int, Ge(1), Le(1024)] | None = None
    ray_address: str = ""
    keep_going: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
    """Which epochs' models are kept."""

    checkpoint: bool = True
    checkpoint_monitor: str = "val_accuracy"
    checkpoint_mode: Mode = "auto"
    checkpoint_every: Count | Literal["best", "all"] = "best"


def check_validation_share(validation: str, share: float | None) -> None:
    """Raise ConfigError where a share of rows is named, and none is split off to validate."""
    if share is not None and validation in ("test", "folder"):
        who = "the test rows validate" if validation == "test" else "the images of a folder validate"
        expected = f"no share where {who} (choose --validation split or holdout)"
        raise ConfigError("validation_share", share, expected)


AnyConfig = TypeVar("AnyConfig", bound=RunConfig)


@functools.cache
def _checker(config_class: Any) -> Any:
    """A pydantic model with the fields of a config class.

    The config classes themselves stay plain dataclasses: their defaults can be read without pydantic, whose import
    takes 70 ms that --help need not spend, and which checks dataclasses strictly only as instances, not as dicts.
    """
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(config_class, include_extras=True)
    checked: dict[str, Any] = {
        field.name: (hints[field.name], field.default) for field in dataclasses.fields(config_class)
    }
    rules = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return create_model(f"{config_class.__name__}Checker", __config__=rules, **checked)


def parse(config_class: type[AnyConfig], settings: dict[str, Any]) -> AnyConfig:
    """A checked config from settings by name. What is not named keeps its default.

    Raises:
        ConfigError: a setting is unknown, has the wrong type or range, or contradicts another.
    """
    from pydantic import ValidationError

    # TOML has arrays alone; what we have of them are pairs.
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    try:
        checked = _checker(config_class).model_validate(settings)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _config_error(config_class, settings, error.errors()) from None
    config = config_class(**dict(checked))
    config.check()
    return config


def _config_error(config_class: type[RunConfig], settings: dict[str, Any], details: list[Any]) -> ConfigError:
    first = details[0]
    setting = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        known = setting_names(config_class)
        close = difflib.get_close_matches(setting, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else ""
        return ConfigError(setting, settings[setting], f"no such setting of {config_class.command}", hint=hint)
    # A setting that may be of several types (a number, or one of some words) fails once for each of them.
    same = [d["msg"] for d in details if d["loc"][0] == setting]
    expected = " or ".join(dict.fromkeys(m.removeprefix("Input should be ") for m in same))
    received, location = settings.get(setting), first["loc"][1:]
    if (
        isinstance(received, tuple)
        and location
        and isinstance(location[0], int)
        and isinstance(received[location[0]], str)
    ):
        # Of a list of words, the one that is wrong.
        received = received[location[0]]
    return ConfigError(setting, received, expected)


def setting_names(config_class: type[RunConfig]) -> list[str]:
    return [field.name for field in dataclasses.fields(config_class)]


def resolve(
    config_class: type[AnyConfig], explicit: dict[str, Any], has_gpu: Callable[[], bool] = lambda: False
) -> AnyConfig:
    """A config from the settings that were given, the rest filled in as `scale` says.

    Args:
        explicit: the settings that the user named; they win over the scale.
        has_gpu: whether there is a GPU; asked where the scale depends on it, and the settings are right.
    """

    def at(scale: str) -> AnyConfig:
        filled = config_class.quick if scale == "quick" else {}
        return parse(config_class, {**filled, **explicit, "scale": scale})

    if explicit.get("scale", "auto") != "auto":
        return at(explicit["scale"])
    if config_class.default_to_full:
        return at("full")
    quick = at("quick")
    return at("full") if has_gpu() else quick


def settings_of(config: RunConfig) -> dict[str, Any]:
    """All settings by name, defaults too, without those that are None (TOML has no word for it)."""
    return {key: value for key, value in dataclasses.asdict(config).items() if value is not None}


def to_toml(config: RunConfig) -> str:
    """The config as the text of a config.toml that `stopcli run` runs again."""
    import tomli_w

    return tomli_w.dumps({"command": config.command, **settings_of(config)})


# Fewer rows than this are warned about: one of them is more than 5 % of the accuracy.
FEW_ROWS = 20
# What a row is called where it is no image.
POINT = "row"


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(StoppingSettings, CheckpointSettings, RunConfig):
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

    def evaluated_rule(self, rule: Rule[Any], steps_per_epoch: int) -> Rule[Any]:
        """A rule as it is asked whether to stop: after every epoch."""
        return rule

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
        warnings = [
            mode_warning(self.monitor, self.mode),
            mode_warning(self.checkpoint_monitor, self.checkpoint_mode),
        ]
        if self.patience is None:
            warnings += [
                f"{setting} has no effect without patience"
                for setting in ("min_delta", "baseline")
                if getattr(self, setting) not in (None, 0.0)
            ]
        if self.init_optimizer and not self.init_from:
            warnings.append("init_optimizer has no effect without init_from")
        if not self.checkpoint and self.restore_best:
            warnings.append("restore_best measures the restored model, but with --no-checkpoint none is saved")
        if not self.checkpoint and self.checkpoint_every != "best":
            warnings.append("checkpoint_every has no effect with --no-checkpoint")
        warnings += self.late_settings()
        return [*super().warnings(), *(warning for warning in warnings if warning)]

    def late_settings(self) -> list[str]:
        """What is to be said of settings that come too late to change anything, such as rules to save an epoch."""
        return [
            f"{label} stops no training of {counted(self.epochs, 'epoch')} before its end: it can after epoch "
            f"{rule.earliest_stop:,} at the earliest"
            for label, rule in requested_rules(self)
            if rule.earliest_stop >= max(self.epochs, 2)
        ]

    def notes_on_rows(self, parts: Splits, noun: str) -> tuple[str, ...]:
        """What is to be said of how many rows there are, once they are known.

        Args:
            noun: what a row is, such as `image`.
        """
        few = parts.validation.count
        warnings = [large_batch(self, parts.train.count, noun)]
        if few < FEW_ROWS and (self.checkpoint or self.rules != "no-stopping"):
            what = "the saved epoch" if self.checkpoint else "the epoch to stop at"
            other = "" if self.checkpoint_monitor == "val_loss" else ", or checkpoint_monitor val_loss,"
            warnings.append(
                f"{counted(few, noun)} {agreeing(few, 'validates', 'validate')}, so {what} is chosen by little; more "
                f"{noun}s{other} choose better"
            )
        return tuple(filter(None, warnings))


def large_batch(config: Any, rows: int, noun: str) -> str:
    """What is to be said where a batch has room for more rows than there are to train on; empty where it has not.

    Args:
        config: has a `batch_size`.
        noun: what a row is. Points are few, and all of them in a batch is how their network is published: of a batch
            size that nobody chose nothing is said.
    """
    if config.batch_size <= rows or (noun == POINT and not config.non_default("batch_size")):
        return ""
    return (
        f"batch_size {config.batch_size:,} is more than the {counted(rows, noun)} to train on, so an epoch is a "
        "single update"
    )
