"""The settings that the file of a published result gives its runs at a scale, checked as those of any command are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stopcli.config import RunConfig, resolve
from stopcli.errors import ConfigError, RequestError
from stopcli.recipes.recipe import config_class
from stopcli.recipes.trained import TrainedConfig
from stopcli.studies.reproducing.images import Images
from stopcli.studies.reproducing.published import Published, suggestion

# The data of a file in whose place `--dataset` may put others.
REPLACEABLE = "cifar10"
# Settings that only `stopcli reproduce` chooses.
_NOT_IN_FILES = ("scale", "name")


def needs_images(published: Published) -> bool:
    """Whether `--dataset` chooses what it is trained on."""
    return published.config.get("dataset") == REPLACEABLE


def configs_of(
    published: Published, scale: str, images: Images | None = None, seeds: int | None = None
) -> dict[str, Any]:
    """The config of each sweep by its arm; of the empty arm where the command makes the file's arms itself.

    Args:
        images: to train on, in the place of the published ones; limits are lowered to what there is.
        seeds: instead of the file's.

    Raises:
        RequestError: a setting is wrong; the error names its table and key.
    """
    command_config = _config_class(published)
    tables = _tables(published, scale)
    settings = {name: value for table in tables.values() for name, value in table.items()}
    settings["scale"] = "quick" if "quick" in tables else "full"
    if images is not None:
        for name, count in images.counts.items():
            if isinstance(settings.get(name), int):
                settings[name] = min(settings[name], count)
        settings["dataset"] = images.name
    if seeds is not None:
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
    if not isinstance(shared, TrainedConfig):
        raise published.refusal(f"config.command: {shared.command} trains no arms that could be compared")
    # A command that compares arms by itself is a sweep even with one seed.
    if not replace(shared, seeds=1).is_sweep:
        return {arm.name: config_of(arm.name, arm.settings) for arm in published.arms}
    for arm in published.arms:
        if arm.settings:
            raise published.refusal(f"arms.{arm.name}.settings: the arms are those that {shared.command} makes itself")
    return {"": shared}


def check_arms(published: Published, configs: dict[str, Any]) -> None:
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


def _config_class(published: Published) -> type[RunConfig]:
    if "command" not in published.config:
        raise published.refusal("config.command: missing")
    try:
        return config_class(published.config["command"])
    except RequestError as error:
        raise published.refusal(f"config.{error.message}") from None


def _tables(published: Published, scale: str) -> dict[str, dict[str, Any]]:
    """The file's tables that make the settings of all arms at a scale, the later on top of the earlier."""
    tables = {"config": {name: value for name, value in published.config.items() if name != "command"}}
    if scale == "quick" and published.quick is not None:
        tables["quick"] = published.quick
    for table, settings in {**tables, **{f"arms.{arm.name}.settings": arm.settings for arm in published.arms}}.items():
        for name in _NOT_IN_FILES:
            if name in settings:
                raise published.refusal(f"{table}.{name}: chosen by `stopcli reproduce`, not by a file")
    return tables
