"""The settings with which the runs of a published result are started, from its file's tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stopcli.configs.base import RunConfig, resolve
from stopcli.configs.clr import ClrConfig
from stopcli.configs.registry import config_class
from stopcli.configs.training import TrainingConfig
from stopcli.errors import ConfigError, RequestError
from stopcli.reproduce.spec import ALL_IMAGES, Images, PublishedResult, suggestion

# Settings that only `stopcli reproduce` chooses.
_NOT_IN_FILES = ("scale", "name")


@dataclass(frozen=True)
class Size:
    """One of the sizes that a published result can have at a scale.

    Attributes:
        origin: where its settings stand, for errors: a table of the published result's file, such as
            `overnight.sizes.2`, counted from 1, or a file of its own.
        settings: on top of the scale's.
    """

    origin: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def sizes_of(published: PublishedResult, scale: str) -> list[Size]:
    """The sizes that its file gives it at a scale, the largest first; none where it has one size."""
    table = published.at_scale(scale)
    sizes = (table.sizes or []) if table else []
    return [Size(f"{scale}.sizes.{number}", settings) for number, settings in enumerate(sizes, start=1)]


def settings_at(published: PublishedResult, scale: str, size: Size) -> dict[str, Any]:
    """The settings that all its arms have."""
    return {name: value for table in _tables(published, scale, size).values() for name, value in table.items()}


def _gamma_for(settings: Mapping[str, Any], images: Images) -> float:
    """What comes to the same, over the updates of the images that there are, as gamma comes to over those for which it
    was chosen."""
    gamma: float = settings.get("gamma", ClrConfig.gamma)
    batch_size: int = settings.get("batch_size", ClrConfig.batch_size)
    intended = settings.get("limit", ALL_IMAGES["limit"])
    there = min(intended, images.counts.get("limit", intended))
    times = math.ceil(intended / batch_size) / math.ceil(there / batch_size)
    return math.pow(gamma, times)


def configs_of(
    published: PublishedResult,
    scale: str,
    images: Images | None = None,
    seeds: int | None = None,
    size: Size = Size(),
) -> dict[str, Any]:
    """The config of each sweep by its arm; of the empty arm where the command makes the file's arms itself.

    Args:
        images: to train on, in the place of the published ones; limits are lowered to what there is.
        seeds: instead of the file's.
        size: one of several that it can have at this scale.

    Raises:
        RequestError: a setting is wrong; the error names its table and key.
    """
    command_config, tables = command_config_of(published), _tables(published, scale, size)
    settings = settings_at(published, scale, size)
    # A night's runs have the published settings but for those that are named.
    settings["scale"] = "quick" if "quick" in tables else "full"
    if images is not None:
        if command_config is ClrConfig and scale != "full":
            settings["gamma"] = _gamma_for(settings, images)
        for name, count in images.counts.items():
            if isinstance(settings.get(name), int):
                settings[name] = min(settings[name], count)
        settings["dataset"] = images.name
    if seeds is not None:
        if seeds < 1:
            # The commands themselves take `auto` too.
            raise ConfigError("seeds", seeds, "at least 1")
        settings["seeds"] = seeds

    def config_of(arm: str, of_arm: dict[str, Any]) -> RunConfig:
        try:
            return resolve(command_config, {**settings, **of_arm})
        except ConfigError as error:
            if error.setting == "seeds" and seeds is not None:
                raise
            named = {**tables, **({f"arms.{arm}.settings": of_arm} if arm else {})}
            source = f"{settings['scale']} scale"
            for table, values in named.items():
                source = table if error.setting in values else source
            raise published.refusal(f"{source}.{error.message}", error.hint) from None

    shared = config_of("", {})
    if not isinstance(shared, TrainingConfig):
        raise published.refusal(f"config.command: {shared.command} trains no arms that could be compared")
    # A command that compares arms by itself is a sweep even with one seed.
    if not replace(shared, seeds=1).is_sweep:
        return {arm.name: config_of(arm.name, arm.settings) for arm in published.arms}
    for arm in published.arms:
        if arm.settings:
            raise published.refusal(f"arms.{arm.name}.settings: the arms are those that {shared.command} makes itself")
    return {"": shared}


def check_arms(published: PublishedResult, configs: dict[str, Any]) -> None:
    """Raise RequestError where a command makes its arms itself, and the file names one that it does not make."""
    shared = configs.get("")
    if shared is None:
        return
    known = list(shared.arms())
    for arm in published.arms:
        if arm.name not in known:
            raise published.refusal(
                f"arms: received {arm.name!r}, which {shared.command} does not make with these settings",
                suggestion(arm.name, known),
            )


def command_config_of(published: PublishedResult) -> type[RunConfig]:
    """The config class of its command. Raises RequestError where it names none that exists."""
    if "command" not in published.config:
        raise published.refusal("config.command: missing")
    try:
        return config_class(published.config["command"])
    except RequestError as error:
        raise published.refusal(f"config.{error.message}") from None


def _tables(published: PublishedResult, scale: str, size: Size) -> dict[str, dict[str, Any]]:
    """The tables that make the settings of all arms at a scale, the later on top of the earlier."""
    tables = {"config": {name: value for name, value in published.config.items() if name != "command"}}
    at_scale = published.at_scale(scale)
    if at_scale is not None:
        tables[scale] = at_scale.settings
    if size.settings:
        tables[size.origin] = dict(size.settings)
    for table, settings in {**tables, **{f"arms.{arm.name}.settings": arm.settings for arm in published.arms}}.items():
        for name in _NOT_IN_FILES:
            if name in settings:
                raise published.refusal(f"{table}.{name}: chosen by `stopcli reproduce`, not by a file")
    return tables
