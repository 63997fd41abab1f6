"""What settings are beside their types: options of the command line with a role; read, checked and written as TOML."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from stopcli.errors import ConfigError, did_you_mean, expectation
from stopcli.runs.files import read_toml

# The panels of the help, in their order.
PANELS = (
    *("Arms", "Data", "Training", "Learning rate", "Range", "Augmentation"),
    *("Stopping", "Checkpoints", "Sweep", "Run and output"),
)

# What a setting changes, where that is something else than what is trained:
#   label      nothing: it names the run, or says where its other settings come from.
#   seed       which of several runs of one experiment it is.
#   execution  how a run is computed and what is written beside its results; its numbers at most in the last digits.
#   layout     how the runs of a sweep share machines; may be another one each time that the sweep is resumed.
#   stopping   when training is cut off, and nothing else: can be replayed over what a run has recorded.
#   free       nothing that a resumed run would have to keep.
#   test-rows  which rows test.
#   images     of images alone: points of a plane have nothing of it.
#   start      what training starts from.
#   checkpoints  which models are saved.
#   range      which learning rates train, beside the data.
#   network    of the networks and the data sets that stopcli has itself: a Python file has its own.
#   code       of the model and the data of a Python file.
#   table      of a table whose rows are trained on.
Role = Literal[
    "label", "seed", "execution", "layout", "stopping", "free", "test-rows", "images", "start", "checkpoints",
    "range", "network", "code", "table",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Option:
    """How a setting is offered, and what it changes.

    Attributes:
        help: of its option.
        panel: of the help in which it stands, one of PANELS.
        roles: what it changes, where that is something else than what is trained.
        used_with: another setting without which it has no effect, or another's name and the value it needs.
        metavar: how the help shows the value; empty for the type's name.
        default: how the help shows a default that is None or empty.
        flags: of the option, where they are not made from the name.
        is_path: whether it is a path, which becomes absolute: a run may be resumed in another folder.
        argument: which argument of the command it is, from 1, a path without a flag; 0 for an option.
        choices: names that a value can be, where it can be a path too.
        path_ending: how values end that are paths, beside the names; empty for none.
        common: whether most runs need it, so that the short help shows it.
    """

    help: str
    panel: str
    roles: tuple[Role, ...] = ()
    used_with: str | tuple[str, str] = ""
    metavar: str = ""
    default: str | bool | None = None
    flags: tuple[str, ...] = ()
    is_path: bool = False
    argument: int = 0
    choices: tuple[str, ...] = ()
    path_ending: str = ""
    common: bool = False

    @property
    def is_argument(self) -> bool:
        return bool(self.argument)

    def takes_path(self, value: object) -> bool:
        """Whether a value is a path."""
        return self.is_path or bool(self.path_ending and str(value).endswith(self.path_ending))


def options_of(config_class: Any) -> Mapping[str, Option]:
    """The options of a config class's settings by name, in the order of its fields. Raises TypeError where a setting
    has none."""
    return _options(config_class)


@functools.cache
def _options(config_class: Any) -> Mapping[str, Option]:
    options: dict[str, Option] = {}
    # A subclass that only changes a setting's type or default keeps its option.
    for ancestor in reversed(config_class.__mro__):
        for name, annotation in inspect.get_annotations(ancestor, eval_str=True).items():
            for item in getattr(annotation, "__metadata__", ()):
                if isinstance(item, Option):
                    options[name] = item
    names = [field.name for field in dataclasses.fields(config_class)]
    if missing := [name for name in names if name not in options]:
        raise TypeError(f"{config_class.__name__}: {missing[0]} has no Option in its annotation")
    return {name: options[name] for name in names}


def settings_with(config_class: Any, *roles: Role) -> frozenset[str]:
    """The settings of a config class that have one of some roles."""
    return frozenset(name for name, option in options_of(config_class).items() if {*roles} & {*option.roles})


def setting_type(config_class: Any, name: str) -> Any:
    """The type of a setting, without its ranges and its option; None is a part of it where the setting may be unset."""
    return _types(config_class)[name]


@functools.cache
def _types(config_class: Any) -> Mapping[str, Any]:
    return get_type_hints(config_class)


def is_table(config_class: Any, name: str) -> bool:
    """Whether a setting is a table of values by name."""
    return get_origin(setting_type(config_class, name)) is collections.abc.Mapping


def takes_several(config_class: Any, name: str) -> bool:
    """Whether each name of a table has several values."""
    return get_origin(get_args(setting_type(config_class, name))[1]) is tuple


# Epochs and steps are int32 inside the compiled loop.
Count = Annotated[int, Ge(1), Lt(2**31)]
Natural = Annotated[int, Ge(0), Lt(2**31)]
Seed = Annotated[int, Ge(0), Lt(2**31)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Gt(0), Lt(1)]
Mode = Literal["auto", "min", "max"]
Scale = Literal["quick", "full", "auto"]

# Beside `used_with`: of a single run, the setting has no effect.
ONLY_SWEEPS = "a sweep"

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
    # What the help says of the command, after the sentence of `registry.COMMANDS`.
    help: ClassVar[str] = ""
    # Options of the command that are no settings: dry_run, from_range.
    extra_options: ClassVar[frozenset[str]] = frozenset()
    # Settings that the command line does not offer, because what it offers instead sets them.
    not_offered: ClassVar[frozenset[str]] = frozenset()
    # Settings that say what a run was, which a new run with its config.toml finds out by itself.
    not_repeated: ClassVar[frozenset[str]] = frozenset()

    # Their order is that of config.toml.
    name: Annotated[
        str,
        Option(
            "A name for the run, which becomes a part of its folder's name.",
            "Run and output",
            ("label", "free"),
            default=False,
        ),
    ] = ""
    scale: Annotated[
        Scale,
        Option(
            "full: the published setting; quick: the same, smaller; auto: full where it takes a minute or a GPU is "
            "there. Every other flag wins over it.",
            "Run and output",
            ("label", "free"),
            common=True,
        ),
    ] = "auto"
    seed: Annotated[Seed, Option("Seed of everything random in training, ≥ 0.", "Training", ("seed",))] = 0
    seeds: Annotated[
        Annotated[int, Ge(1), Le(10_000)] | Literal["auto"],
        Option(
            "Number of runs, with seeds SEED, SEED + 1, …; more than one makes a sweep. auto: of a sweep with arms, "
            "until every comparison is decided.",
            "Training",
            ("seed",),
            metavar="N|auto",
            common=True,
        ),
    ] = 1
    save_every: Annotated[
        str,
        Option(
            "Save the exact state every N epochs, or every so often (30s, 5m), and at the end; auto: for at most 2 % "
            "of the time.",
            "Checkpoints",
            ("execution", "free"),
            metavar="auto|N|TIME",
        ),
    ] = "auto"
    init_from: Annotated[
        str,
        Option(
            "Start from the weights of a run's best model, or of a .keras file.",
            "Checkpoints",
            ("start",),
            metavar="PATH",
            default="drawn by the seed",
            is_path=True,
        ),
    ] = ""
    init_optimizer: Annotated[
        bool,
        Option("Also take the optimizer's state from there.", "Checkpoints", ("start",), used_with="init_from"),
    ] = False

    def check(self) -> None:
        """Raise ConfigError where settings contradict each other."""
        if len(self.name.encode()) > NAME_LENGTH or not all(c.isalnum() or c in "._-" for c in self.name):
            expected = (
                f"at most {NAME_LENGTH} bytes of letters, digits, '.', '_', '-': it becomes part of a folder's name"
            )
            raise ConfigError("name", self.name, expected)
        if self.seeds == "auto" and not self.auto_seeds:
            hint = "Two sweeps with a number of seeds each are compared by: stopcli compare RUN RUN"
            raise ConfigError("seeds", "auto", f"a number, because {self.command} has one arm", hint=hint)
        if self.seed + self.most_seeds > 2**31:
            raise ConfigError("seeds", self.seeds, f"seed + seeds ≤ 2**31 (seed is {self.seed})")

    def warnings(self) -> list[str]:
        """What the user should know about these settings before the run, a sentence each."""
        options = options_of(type(self))
        conditions = {name: options[name].used_with for name in self.non_default(*options) if options[name].used_with}
        return [f"{name} has no effect {why}" for name, used in conditions.items() if (why := self._unmet(used))]

    def _unmet(self, used_with: str | tuple[str, str]) -> str:
        """Why a setting has no effect, as the end of a sentence; empty where it has one."""
        if used_with == ONLY_SWEEPS:
            return "" if self.is_sweep else "on a single run"
        if isinstance(used_with, tuple):
            other, needed = used_with
            return "" if getattr(self, other) == needed else f"with {other} {getattr(self, other)}"
        value = getattr(self, used_with)
        # A patience of 0 is one.
        is_unset = value is None or value is False or value in ("", ())
        return f"without {used_with}" if is_unset else ""

    def non_default(self, *names: str) -> list[str]:
        """Those of some settings that have neither their default nor what the scale makes of them."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        at_scale = self.quick if self.scale == "quick" else {}
        return [
            name for name in names if getattr(self, name) not in (defaults[name], at_scale.get(name, defaults[name]))
        ]

    @classmethod
    def at_scale(cls, scale: str, explicit: Mapping[str, Any]) -> Mapping[str, Any]:
        """What settings that are not named are at a scale, where that is not their default.

        Args:
            explicit: the settings that are named.
        """
        return cls.quick if scale == "quick" else {}

    @classmethod
    def has_quick_scale(cls, explicit: Mapping[str, Any]) -> bool:
        """Whether `--scale auto` may mean quick, by the settings that are named."""
        return not cls.default_to_full

    @classmethod
    def requested(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings read from a run's config.toml, without those that are what the run made of nothing."""
        return dict(settings)

    @property
    def without_meaning(self) -> frozenset[str]:
        """The settings that say nothing of this run, whatever they are. Its config.toml leaves them out."""
        return frozenset()

    @property
    def is_code(self) -> bool:
        """Whether the model and the data are those of a Python file."""
        return False

    @property
    def data_setting(self) -> str:
        """The setting that says where the data are; of a command that has none, the name of that which others have."""
        return "dataset"

    @property
    def data_name(self) -> str:
        """The data set, also of a command that has no setting for it; the name of the user's file that has the data."""
        return str(getattr(self, self.data_setting, self.command))

    @property
    def is_sweep(self) -> bool:
        """Whether these settings describe several runs."""
        return self.most_seeds > 1

    @property
    def auto_seeds(self) -> bool:
        """Whether the number of seeds follows from what the first of them show."""
        return False

    @property
    def most_seeds(self) -> int:
        """Seeds of each arm; where their number is not fixed, the most."""
        assert self.seeds != "auto", "checked"
        return self.seeds

    @property
    def first_round(self) -> int:
        """Seeds that are trained before anything can be decided: all of a fixed number."""
        return self.most_seeds

    @property
    def measured_settings(self) -> tuple[str, ...]:
        """Options that a run decides by measuring where they are `auto`, so that another run may decide otherwise."""
        return ()

    @property
    def layout_is_open(self) -> bool:
        """Whether how a sweep's runs share machines depends on what is measured when its data are read."""
        return False

    @property
    def schedule_depends_on_epochs(self) -> str:
        """The setting by which what is trained in an epoch depends on how many there are in all; empty for none."""
        return ""


# What to say to whoever names a setting as it was called before.
_RENAMED = {"mixed_precision": 'It is precision now: "float16" stands for true, "float32" for false.'}

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
    """A checked config from settings by name. What is not named keeps its default. Raises ConfigError where a setting
    is unknown, has the wrong type or range, or contradicts another."""
    from pydantic import ValidationError

    # TOML has arrays alone; what we have of them are pairs.
    settings = {key: _with_tuples(value) for key, value in settings.items()}
    try:
        checked = _checker(config_class).model_validate(settings)  # type: ignore[arg-type]
    except ValidationError as error:
        raise _config_error(config_class, settings, error.errors()) from None
    config = config_class(**dict(checked))
    config.check()
    return config


def _with_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _config_error(config_class: type[RunConfig], settings: dict[str, Any], details: list[Any]) -> ConfigError:
    first = details[0]
    setting = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        expected = f"a setting that {config_class.command} has"
        hint = _RENAMED.get(setting) or did_you_mean(setting, options_of(config_class))
        return ConfigError(setting, settings[setting], expected, hint=hint)
    # A setting that may be of several types (a number, or one of some words) fails once for each of them.
    expected = " or ".join(dict.fromkeys(expectation(fault) for fault in details if fault["loc"][0] == setting))
    received, location = settings.get(setting), first["loc"][1:]
    index = location[0] if location else None
    if isinstance(received, tuple) and isinstance(index, int) and isinstance(next(iter(received[index:]), None), str):
        # Of a list of words, the one that is wrong.
        received = received[index]
    near = did_you_mean(received, re.split(", | or ", expected)) if isinstance(received, str) else ""
    return ConfigError(setting, received, expected, hint=near)


def resolve(
    config_class: type[AnyConfig], explicit: dict[str, Any], has_gpu: Callable[[], bool] = lambda: False
) -> AnyConfig:
    """A config from the settings that were given, the rest filled in as `scale` says.

    Args:
        explicit: the settings that the user named; they win over the scale.
        has_gpu: whether there is a GPU; asked where the scale depends on it, and the settings are right.
    """

    def at(scale: str) -> AnyConfig:
        return parse(config_class, {**config_class.at_scale(scale, explicit), **explicit, "scale": scale})

    if explicit.get("scale", "auto") != "auto":
        return at(explicit["scale"])
    if not config_class.has_quick_scale(explicit):
        return at("full")
    quick = at("quick")
    return at("full") if has_gpu() else quick


def settings_of(config: RunConfig) -> dict[str, Any]:
    """All settings by name, defaults too, without those that are None (TOML has no word for it) or have no meaning."""
    settings = dataclasses.asdict(config)
    return {key: value for key, value in settings.items() if value is not None and key not in config.without_meaning}


def to_toml(config: RunConfig) -> str:
    """The config as the text of a config.toml that `stopcli run` runs again."""
    import tomli_w

    # An empty table says no more than none.
    settings = {name: value for name, value in settings_of(config).items() if value != {}}
    return tomli_w.dumps({"command": config.command, **settings})


_PACKAGE = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class PublishedArm:
    """An arm of a published result.

    Attributes:
        title: its name in tables.
        settings: in which it differs from the others.
        values: what was reported of it for these settings, by measure.
    """

    title: str
    settings: Mapping[str, Any]
    values: Mapping[str, float]


def published_folder() -> Path:
    """The folder of the published results: within the package in a wheel, beside it in a checkout."""
    folders = (_PACKAGE / "experiments", _PACKAGE.parent / "experiments")
    return next((folder for folder in folders if folder.is_dir()), folders[0])


@functools.cache
def published_arms(experiment: str) -> dict[str, PublishedArm]:
    """The arms of a published result, by name.

    Args:
        experiment: its file's name, without the ending.
    """
    content = read_toml(published_folder() / f"{experiment}.toml")
    return {
        arm["name"]: PublishedArm(
            arm["title"],
            arm.get("settings", {}),
            {
                reported["measure"]: reported["value"]
                for reported in arm["reported"]
                if "value" in reported and "elsewhere" not in reported
            },
        )
        for arm in content["arms"]
    }
