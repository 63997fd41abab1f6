"""The settings that a published result's file makes at a scale, checked as those of any command are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stopcli.config import RunConfig, resolve
from stopcli.errors import ConfigError, RequestError
from stopcli.recipes.recipe import config_class
from stopcli.recipes.trained import TrainedConfig
from stopcli.studies.reproducing.images import Images
from stopcli.studies.reproducing.published import Published, suggestion

# The data of a file that `--dataset` may put others in the place of.
REPLACEABLE = "cifar10"
# What `reproduce` says itself.
_NOT_IN_FILES = ("scale", "name")


def needs_images(published: Published) -> bool:
    """Whether `--dataset` says what it is trained on."""
    return published.config.get("dataset") == REPLACEABLE


def configs_of(
    path: Path, published: Published, scale: str, images: Images | None = None, seeds: int | None = None
) -> dict[str, RunConfig]:
    """The settings of each sweep by its arm; of the empty arm, where the command's own arms are the file's.

    Args:
        path: of the file, for errors.
        images: to train on, in the place of the published ones; limits are no more than there are.
        seeds: instead of the file's.

    Raises:
        RequestError: a setting cannot be; its table and name are told.
    """
    kind = _command(path, published)
    tables = _tables(path, published, scale)
    given: dict[str, Any] = {}
    for settings in tables.values():
        given |= settings
    given["scale"] = "quick" if "quick" in tables else "full"
    if images is not None:
        limits = {name: given[name] for name in images.counts if isinstance(given.get(name), int)}
        given |= {name: min(limit, images.counts[name]) for name, limit in limits.items()}
        given["dataset"] = images.name
    if seeds is not None:
        given["seeds"] = seeds

    def of(arm: str, settings: dict[str, Any]) -> RunConfig:
        try:
            return resolve(kind, {**given, **settings})
        except ConfigError as error:
            if error.setting == "seeds" and seeds is not None:
                raise
            places = {**tables, **({f"arms.{arm}.settings": settings} if arm else {})}
            named = [place for place, those in places.items() if error.setting in those]
            place = named[-1] if named else f"{given['scale']} scale"
            raise RequestError(f"{path}: {place}.{error.message}", hint=error.hint) from None

    shared = of("", {})
    if not isinstance(shared, TrainedConfig):
        raise RequestError(f"{path}: config.command: {kind.command} trains no arms that could be compared")
    # A command that compares arms by itself is a sweep even with one seed.
    if not replace(shared, seeds=1).is_sweep:
        return {arm.name: of(arm.name, arm.settings) for arm in published.arms}
    for arm in published.arms:
        if arm.settings:
            raise RequestError(f"{path}: arms.{arm.name}.settings: the arms are those that {kind.command} makes itself")
    return {"": shared}


def check_arms(path: Path, published: Published, configs: Mapping[str, Any]) -> None:
    """Raise RequestError where a command makes its arms itself, and the file speaks of one that it does not make."""
    shared = configs.get("")
    if shared is None:
        return
    there = list(shared.arms())
    for arm in published.arms:
        if arm.name not in there:
            raise RequestError(
                f"{path}: arms: received {arm.name!r}, which {shared.command} does not make with these settings",
                hint=suggestion(arm.name, there),
            )


def _command(path: Path, published: Published) -> type[RunConfig]:
    if "command" not in published.config:
        raise RequestError(f"{path}: config.command: missing")
    try:
        return config_class(published.config["command"])
    except RequestError as error:
        raise RequestError(f"{path}: config.{error.message}") from None


def _tables(path: Path, published: Published, scale: str) -> dict[str, dict[str, Any]]:
    """The file's tables that make the settings of all arms at a scale, the later on top of the earlier."""
    tables = {"config": {name: value for name, value in published.config.items() if name != "command"}}
    if scale == "quick" and published.quick is not None:
        tables["quick"] = published.quick
    of_arms = {f"arms.{arm.name}.settings": arm.settings for arm in published.arms}
    for table, settings in {**tables, **of_arms}.items():
        taken = [name for name in _NOT_IN_FILES if name in settings]
        if taken:
            raise RequestError(f"{path}: {table}.{taken[0]}: `stopcli reproduce` says it, no file")
    return tables
