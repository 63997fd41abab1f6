"""The settings of `stopcli lr-range`, and the bounds that `stopcli clr --from-range` reads from a finished one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt

from stopcli.configs.base import Option, RunConfig, options_of, settings_with
from stopcli.configs.classifier import OWN_OPTIMIZER, QUICK, ModelShare, ModelValidation, NetworkSettings
from stopcli.configs.epochs import BatchSize, Optimizer, check_validation_share
from stopcli.configs.images import (
    DEFAULT_SHARE,
    Augment,
    AugmentSettings,
    DataSettings,
    Threads,
    augmentation_warnings,
)
from stopcli.configs.learning_rate import Nesterov, Rate, SgdMomentum
from stopcli.configs.precision import FLOAT32, Precision
from stopcli.configs.registry import command_line
from stopcli.configs.user_code import CodeSettings, check_code_share
from stopcli.errors import ConfigError, RequestError
from stopcli.models.architecture import CODE_ENDING, architectures
from stopcli.paths import quoted
from stopcli.runs.files import read_toml
from stopcli.runs.folder import check_is_run
from stopcli.runs.run import Run
from stopcli.runs.summary import FEWEST_UPDATES, RangeSummary
from stopcli.source import UNKNOWN, read_source

Ramp = Literal["exponential", "linear"]
# Settings of states to resume from, which a range test does not save.
_STATES = frozenset({"save_every", "init_from", "init_optimizer"})
# Where neither iterations nor epochs are given.
UPDATES = 100
MOST_UPDATES = 10_000_000


@dataclass(frozen=True, kw_only=True)
class LrRangeConfig(NetworkSettings, CodeSettings, DataSettings, AugmentSettings, RunConfig):
    """A training in which the learning rate rises from a small to a large value."""

    command: ClassVar[str] = "lr-range"
    help: ClassVar[str] = (
        "The test takes 100 updates, from 1e-7 to 10, and ends early where the loss runs away. It suggests where "
        "the loss falls fastest, where its valley is and a tenth of where it is lowest, and from these a lowest and "
        "a highest rate for cycles: `stopcli clr --from-range RUN` takes them. --seeds 5 shows how much they vary."
    )
    quick: ClassVar[dict[str, Any]] = {name: QUICK[name] for name in ("width", "depth", "limit")}

    not_offered: ClassVar[frozenset[str]] = _STATES | {"code_sha256", "code_hash"}
    not_repeated: ClassVar[frozenset[str]] = frozenset({"code_hash"})
    # Of what a model measures only its loss is of interest.
    metric: ClassVar[str] = ""
    mode: ClassVar[str] = "auto"

    start_lr: Annotated[Rate, Option("The first learning rate, > 0.", "Range", common=True)] = 1e-7
    end_lr: Annotated[Rate, Option("The last learning rate, > --start-lr.", "Range", common=True)] = 10.0
    iterations: Annotated[
        Annotated[int, Ge(FEWEST_UPDATES), Le(MOST_UPDATES)] | None,
        Option(f"Updates from the first to the last, ≥ {FEWEST_UPDATES}.", "Range", default=str(UPDATES), common=True),
    ] = None
    epochs: Annotated[
        Annotated[float, Gt(0), Le(MOST_UPDATES)] | None,
        Option("The same in epochs, > 0.", "Range", ("free",), default="by --iterations"),
    ] = None
    ramp: Annotated[Ramp, Option("How the rate rises.", "Range")] = "exponential"
    smoothing: Annotated[
        float, Ge(0), Lt(1), Option("Weight of the past in the smoothed loss, in [0, 1).", "Range")
    ] = 0.9
    stop_factor: Annotated[
        float, Gt(1), Option("Stop where the smoothed loss is this many times its lowest, > 1.", "Range")
    ] = 4.0
    batch_size: BatchSize = 64
    precision: Precision = FLOAT32
    optimizer: Optimizer = "sgd"
    momentum: SgdMomentum = 0.9
    nesterov: Nesterov = False
    augment: Augment = "nearest"
    threads: Threads = None
    validation: ModelValidation = "auto"
    validation_share: ModelShare = None

    @property
    def is_sweep(self) -> bool:
        # Its seeds take seconds each, and share one compiled loop.
        return False

    @property
    def arm(self) -> str:
        return f"{self.model_name}-{self.ramp}"

    @property
    def share(self) -> float:
        """The share of images that is split off, as where they are trained on afterwards."""
        return self.validation_share or DEFAULT_SHARE

    def updates(self, steps_per_epoch: int) -> int:
        """Updates of the test. Raises ConfigError where they are too few for a curve, or more than anyone can wait
        for."""
        if self.epochs is None:
            return self.iterations or UPDATES
        updates = math.ceil(self.epochs * steps_per_epoch)
        if not FEWEST_UPDATES <= updates <= MOST_UPDATES:
            expected = (
                f"{FEWEST_UPDATES} to {MOST_UPDATES:,} updates; with {steps_per_epoch} an epoch it is {updates:,}"
            )
            raise ConfigError("epochs", self.epochs, expected)
        return updates

    def check(self) -> None:
        super().check()
        self.check_network(self.dataset, self.validation)
        self.check_augmentation()
        if self.start_lr >= self.end_lr:
            raise ConfigError("start_lr", self.start_lr, f"less than end_lr ({self.end_lr:g})")
        self.check_share()
        if self.epochs is not None and self.iterations is not None:
            raise ConfigError("epochs", self.epochs, f"nothing beside iterations ({self.iterations}); give one of them")
        for name in sorted(_STATES):
            if getattr(self, name) != getattr(RunConfig, name):
                raise ConfigError(name, getattr(self, name), "nothing: a range test saves no states to resume from")

    def check_share(self) -> None:
        """Raise ConfigError where a share of rows is named that is not set aside."""
        if self.is_code:
            check_code_share(self)
        else:
            check_validation_share(self.validation, self.validation_share)

    def warnings(self) -> list[str]:
        return [*super().warnings(), *augmentation_warnings(self)]

    def describe_optimizer(self) -> str:
        """The optimizer, in words."""
        return OWN_OPTIMIZER if self.is_code else self.optimizer

    def describe_ramp(self) -> str:
        """How the learning rate rises, in words."""
        return f"learning rate {self.start_lr:g} to {self.end_lr:g}, {self.ramp}"


def read_bounds(run: Path) -> dict[str, float]:
    """`base_lr` and `max_lr` out of the folder of a range test. Raises RequestError where it is no such folder, is not
    finished, or has found none."""
    check_is_run(run)
    command = read_toml(run / "config.toml").get("command")
    if command != "lr-range":
        raise RequestError(f"{run}: received a run of {command}, expected one of lr-range")
    summary = Run.read(run).summary
    if not isinstance(summary, RangeSummary) or summary.state != "finished":
        raise RequestError(f"{run}: the range test is not finished", hint=f"stopcli resume {quoted(run)} continues it.")
    if summary.bounds is None:
        raise RequestError(f"{run}: found no learning rate that trains", hint="Try a wider --start-lr … --end-lr.")
    return asdict(summary.bounds)


def mismatch(run: Path, config: Any) -> str:
    """What is to be said where a range test was made of something else than its bounds are taken for; empty for
    nothing.

    Args:
        config: the settings that take the bounds.
    """
    tested = read_toml(run / "config.toml")
    unread = config.sizes_of_others() | config.without_meaning | {"settings"}
    changed = [
        f"{name} {tested[name]}"
        for name, option in options_of(LrRangeConfig).items()
        # A data set that is still to be found has no name yet.
        if "range" in option.roles
        and name not in unread
        and name in tested
        and getattr(config, name) not in (tested[name], "auto")
    ]
    own = {**_defaults(config.file), **config.settings} if config.is_code else {}
    changed += [f"{name} {value}" for name, value in _own_settings(tested).items() if own.get(name, value) != value]
    return f"the bounds of {run} were found with other settings: {', '.join(changed)}" if changed else ""


def _own_settings(tested: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those of a Python file, out of a config.toml."""
    settings = tested.get("settings", {})
    return settings if isinstance(settings, Mapping) else {}


def _defaults(file: str) -> Mapping[str, Any]:
    """The settings of a Python file with their defaults, as far as its text says them; none where it is gone."""
    try:
        defaults = read_source(Path(file)).defaults
    except RequestError:
        return {}
    return {name: value for name, value in defaults.items() if value is not UNKNOWN}


def clr_command(run: Path, name: str) -> list[str]:
    """The `clr` command that trains what a range test tested, between its bounds.

    Args:
        run: the folder of the range test.
        name: of the run, as typed.
    """
    tested = read_toml(run / "config.toml")
    sizes = {other.size for other in architectures().values() if other.size}
    size = architectures()[tested["model"]].size if tested.get("model") in architectures() else ""
    names = {"scale", *settings_with(LrRangeConfig, "range")} - (sizes - {size})
    settings = {key: value for key, value in tested.items() if key in names}
    return command_line({**settings, **_chosen(tested), "command": "clr"}, "--from-range", name)


# Settings of stopcli's with a file's model, on which the rates that train depend.
_OF_UPDATES: tuple[str, ...] = ("batch_size", "precision")
# What files mostly call the learning rate that they compile a model with.
_RATES = ("learning_rate", "lr")


def fit_command(run: Path, rate: float) -> list[str]:
    """The `fit` command that trains the Python file of a range test with a learning rate, where that is one of the
    file's settings; empty where it is none, or the model is of no file."""
    tested = read_toml(run / "config.toml")
    own = _chosen(tested)
    rates = [name for name in _RATES if isinstance(_own_settings(tested).get(name), float)]
    if not own or not rates:
        return []
    settings = {**own["settings"], rates[0]: float(f"{rate:.2g}")}
    rows = {name: tested[name] for name in _OF_UPDATES if name in tested}
    return command_line({"command": "fit", "file": tested["model"], "settings": settings, **rows})


def range_command(settings: Mapping[str, Any]) -> list[str]:
    """The `lr-range` command for the Python file of a training; empty where there is none.

    Args:
        settings: of the training, out of its config.toml.
    """
    file = str(settings.get("file") or settings.get("model") or "")
    if not file.endswith(CODE_ENDING):
        return []
    known = {name: settings[name] for name in _OF_UPDATES if name in settings}
    return command_line({"command": "lr-range", **known, **_chosen({**settings, "model": file})})


def _chosen(tested: Mapping[str, Any]) -> dict[str, Any]:
    """The Python file of a config.toml and those of its settings that are not the file's defaults, as `model` and
    `settings`; empty where the model is of no file."""
    file = str(tested.get("model", ""))
    if not file.endswith(CODE_ENDING):
        return {}
    defaults = _defaults(file)
    chosen = {name: value for name, value in _own_settings(tested).items() if defaults.get(name) != value}
    return {"model": file, "settings": chosen}
