"""What a recorded run says of itself: its config.toml, its environment, and its results."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from stopcli.errors import ConfigError, shortened
from stopcli.runs.environment import describe_environment, package_versions
from stopcli.runs.files import LEVELS, write_json
from stopcli.runs.folder import RunFolder
from stopcli.runs.headline import Headline, base_name, rows_of
from stopcli.runs.metrics import Row
from stopcli.runs.summary import RECORDED, ModelValues, Values
from stopcli.stopping.rule import Rule

_HEADER = "# stopcli.Recorder recorded this run; the script that called it trains it again.\n"
# Their versions are recorded where the script has imported them.
_FRAMEWORKS = ("torch", "jax", "flax", "lightning", "transformers", "xgboost", "lightgbm", "pandas")
# TOML's integers.
_LARGEST = 2**63


def plain_settings(settings: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A user's settings as TOML holds them, without those that are None, which TOML has no word for.

    Args:
        own: the recorder's own arguments, which settings of the same name must agree with.

    Raises:
        ConfigError: they are no such values by name, or contradict the recorder's arguments.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError("settings", settings, "values by name, such as {'units': 32} or vars(args)")
    plain: dict[str, Any] = _plain(settings, "settings", 0)
    for name, value in own.items():
        if name in plain and plain[name] != value:
            expected = f"{value!r}, which is Recorder's own {name}, or no {name} there"
            raise ConfigError(f"settings[{name!r}]", plain[name], expected)
    return plain


def _plain(value: Any, name: str, level: int) -> Any:
    # Of NumPy, and tensors of one value.
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, Mapping) and level < LEVELS // 2:
        for key in value:
            if not isinstance(key, str):
                raise ConfigError(name, key, "names that are text")
        items = {key: _plain(item, f"{name}[{key!r}]", level + 1) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not None}
    if isinstance(value, (list, tuple)) and level < LEVELS // 2 and None not in value:
        return [_plain(item, f"{name}[{i}]", level + 1) for i, item in enumerate(value)]
    if isinstance(value, (PurePath, datetime.date, datetime.time)):
        return str(value)
    is_large = isinstance(value, int) and not -_LARGEST <= value < _LARGEST
    if value is None or (isinstance(value, (str, bool, int, float)) and not is_large):
        return value
    raise ConfigError(name, value, "text, a number, true or false, a date, or a list or a dictionary of these")


def config_toml(
    *,
    name: str,
    seed: int,
    epochs: int | None,
    headline: Headline | None,
    rule: Rule[Any] | None,
    tensorboard: bool,
    settings: Mapping[str, Any],
) -> str:
    """The text of a recorded run's config.toml. `headline` is None until it is known."""
    import tomli_w

    table: dict[str, Any] = {"command": RECORDED, "name": name, "seed": seed}
    if epochs is not None:
        table["epochs"] = epochs
    if headline is not None:
        table |= {"headline": headline.name, "mode": headline.direction, "unit": headline.unit}
    if rule is not None:
        table["rule"] = rule.describe()
    table["tensorboard"] = tensorboard
    if settings:
        table["settings"] = dict(settings)
    if rule is not None:
        table["rule_options"] = _without_none(rule.to_dict())
    return _HEADER + tomli_w.dumps(table)


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, (list, tuple)) else value


def write_environment(folder: RunFolder) -> None:
    """Record what a script runs with, as far as that is known without asking its framework."""
    environment = describe_environment()
    imported = package_versions([name for name in _FRAMEWORKS if name in sys.modules])
    environment["versions"] = {**environment["versions"], **imported}
    write_json(folder.environment, environment)


def model_values(names: Sequence[str], row: Row, epoch: int, monitor: str = "") -> ModelValues:
    """What was recorded in an epoch.

    Args:
        monitor: the metric that the epoch was chosen by; empty for the last one.
    """
    metrics = dict(zip(names, row, strict=False))
    values: dict[str, Values] = {}
    for part in ("train", "test", "val"):
        own = {
            base_name(name): value
            for name, value in metrics.items()
            if rows_of(name) == part and value is not None and name != "learning_rate"
        }
        if own or part == "train":
            values[part] = own
    return ModelValues(monitor=monitor, epoch=epoch, value=metrics.get(monitor), **values)


def description(settings: Mapping[str, Any], rule: Rule[Any] | None) -> tuple[str, ...]:
    """What was recorded, a line each."""
    texts = [f"{name} {value}" for name, value in settings.items() if name not in ("name", "seed")]
    lines = [f"Settings: {shortened(', '.join(texts))}."] if texts else []
    return ("Recorded by `stopcli.Recorder`.", *lines, f"Rule: {'none' if rule is None else rule.describe()}.")
