"""The commands that train: the class of each one's settings and of its recipe. Importing this imports neither."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stopcli.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from stopcli.configs.base import Role, RunConfig


class CommandClasses(NamedTuple):
    """Where a command's classes are, as `module:class`: text, so that nothing is imported before it is needed.

    Attributes:
        summary: what the help says of the command, in a sentence; empty where only `stopcli run` runs it.
        code_recipe: the recipe of a config whose model is a Python file; empty where that is the recipe too.
    """

    config: str
    recipe: str
    summary: str = ""
    code_recipe: str = ""


COMMANDS = {
    "moons": CommandClasses(
        "stopcli.configs.moons:MoonsConfig",
        "stopcli.recipes.moons:Moons",
        "Train an overfitting MLP on two moons and learn when it should have stopped.",
    ),
    "cifar-resnet": CommandClasses(
        "stopcli.configs.classifier:CifarResnetConfig",
        "stopcli.recipes.images:CifarResnet",
        "Train a ResNet v1 on CIFAR-10 or other images: augmentation, random erasing, learning-rate schedules.",
    ),
    "cutout-sweep": CommandClasses(
        "stopcli.configs.cutout_sweep:CutoutSweepConfig",
        "stopcli.recipes.cutout_sweep:CutoutSweep",
        "Train with M cutout copies of every image in a batch, for several M: what do they buy, at what cost?",
    ),
    "clr": CommandClasses(
        "stopcli.configs.clr:ClrConfig",
        "stopcli.recipes.clr:Clr",
        "Train under cyclical learning rates, against each other and against a fixed one: which policy ends better?",
        "stopcli.recipes.fit_rates:FitClr",
    ),
    "fit": CommandClasses(
        "stopcli.configs.fit:FitConfig",
        "stopcli.recipes.fit:Fit",
        "Train your own Keras model, which a Python file builds, or a network on a table.",
    ),
    "train": CommandClasses(
        "stopcli.configs.classifier:ClassifierConfig",
        "stopcli.recipes.images:Classifier",
        code_recipe="stopcli.recipes.fit_rates:FitUnderPolicy",
    ),
    "lr-range": CommandClasses(
        "stopcli.configs.lr_range:LrRangeConfig",
        "stopcli.recipes.lr_range:LrRange",
        "Find the bounds of a learning rate: train while it rises from update to update, and look at the loss.",
        "stopcli.recipes.fit_rates:FitLrRange",
    ),
}


def command_classes(command: object) -> CommandClasses:
    """The classes of a command that trains. Raises ConfigError where there is no such command."""
    # A config.toml may have anything there, a list too.
    if isinstance(command, str) and command in COMMANDS:
        return COMMANDS[command]
    # The overview of commands needs nothing of a run.
    from stopcli.runs.summary import RECORDED

    if command == RECORDED:
        expected = f"one of {', '.join(COMMANDS)}"
        hint = "stopcli.Recorder recorded this run; the script that called it trains it again."
        raise ConfigError("command", command, expected, hint=hint)
    hint = did_you_mean(str(command), COMMANDS)
    raise ConfigError("command", command, f"one of {', '.join(COMMANDS)}", hint=hint)


def config_class(command: object) -> type[RunConfig]:
    """The config class of a command, with the same errors as `command_classes`."""
    config: type[RunConfig] = pkgutil.resolve_name(command_classes(command).config)
    return config


def recorded_settings_with(command: str, *roles: Role) -> frozenset[str]:
    """The settings with one of some roles, of the command that a run's config.toml names."""
    from stopcli.configs.base import settings_with
    from stopcli.configs.training import TrainingConfig

    # A folder may be of a command that this version does not have.
    return settings_with(config_class(command) if command in COMMANDS else TrainingConfig, *roles)


def experiment_settings(command: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of settings read from a config.toml, those that a run shares with runs of other seeds of its experiment. Of runs
    that something else trained these are all that is not their name or their seed, whatever it is called."""
    from stopcli.runs.summary import FOREIGN, RECORDED

    if command == RECORDED:
        shared = {name: settings[name] for name in ("epochs", "rule") if name in settings}
        settings = {**shared, **_flat(settings.get("settings", {}))}
    if command in FOREIGN:
        return {name: value for name, value in settings.items() if name not in ("name", "seed")}
    if command in COMMANDS:
        from stopcli.configs.precision import with_precision

        settings = with_precision(settings)
    ignored = recorded_settings_with(command, "label", "seed", "execution")
    return _with_file_settings({name: value for name, value in settings.items() if name not in ignored})


def _with_file_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of a user's file by their own names, as far as no other has the name; and the file, or the
    table, by its name: which code it is, its hash tells, and a table grows."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {item if item not in settings else f"{name}.{item}": of_item for item, of_item in value.items()}
        else:
            is_path = name in ("file", "table") and isinstance(value, str)
            flat[name] = Path(value).name if is_path else value
    return flat


def _flat(table: Any, prefix: str = "") -> dict[str, Any]:
    """A table's values by name, those of a table in it as `table.name`."""
    if not isinstance(table, Mapping):
        return {prefix.removesuffix("."): table}
    return {name: item for key, value in table.items() for name, item in _flat(value, f"{prefix}{key}.").items()}


def command_line(settings: Mapping[str, Any], *more: str) -> list[str]:
    """The command and the options that train with settings read from a config.toml: those that are not the default at
    their scale, without name, seed and what does not change results. Empty where no command offers them.

    Args:
        more: options put right behind the command.
    """
    command = settings.get("command")
    if command not in COMMANDS or not COMMANDS[command].summary:
        return []
    from stopcli.configs.base import options_of

    config = config_class(command)
    settings = config.requested(settings)
    quick = config.quick if settings.get("scale") == "quick" else {}
    argv, arguments = list(more), dict[int, str]()
    if "scale" in settings and (config.has_quick_scale(settings) or quick):
        argv += ["--scale", str(settings["scale"])]
    for name, option in options_of(config).items():
        left_out = name in config.not_offered or name == "scale" or {"label", "execution", "layout"} & {*option.roles}
        default = quick.get(name, getattr(config, name))
        value = tuple(settings[name]) if isinstance(settings.get(name), list) else settings.get(name, default)
        if option.argument:
            arguments |= {option.argument: str(value)} if value else {}
        elif not left_out and value != default and name != "seed":
            argv += option_words(config, name, value)
    return [command, *(arguments[argument] for argument in sorted(arguments)), *argv]


def option_words(config: type[RunConfig], name: str, value: Any) -> list[str]:
    """The words of a command line that give a setting a value; none for None."""
    from stopcli.configs.base import options_of
    from stopcli.configs.file_settings import table_words
    from stopcli.configs.list_items import list_words

    flag = name.replace("_", "-")
    flags = (options_of(config)[name].flags or (f"--{flag}/--no-{flag}",))[0].split("/")
    if isinstance(value, bool):
        return [flags[0] if value else flags[-1]]
    if isinstance(value, Mapping):
        return [flags[0], *table_words(value)]
    if value is None:
        return []
    return [flags[0], *(list_words(map(str, value or ("none",))) if isinstance(value, tuple) else [str(value)])]
