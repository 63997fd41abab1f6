"""What a run's numbers depend on, and how that differs from what was saved: checked before a run is resumed."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from stopcli.configs.base import RunConfig, settings_of
from stopcli.configs.options import settings_with
from stopcli.data.dataset import Splits
from stopcli.errors import RequestError
from stopcli.runs.environment import versions

# Settings that say where the data are. Whether these are the same is checked by their rows, with `data_fingerprint`.
PLACE_SETTINGS = frozenset({"dataset"})
# Packages whose other version may compute other numbers.
PACKAGES = ("tensorflow", "keras", "numpy")


def settings_fingerprint(config: RunConfig) -> dict[str, Any]:
    """The parts that are known before TensorFlow is: settings and versions."""
    # A saved fingerprint comes back from JSON, which knows only lists.
    free = settings_with(type(config), "free")
    settings = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in settings_of(config).items()
        if key not in free
    }
    installed = versions()
    return {
        **{f"setting {key}": value for key, value in settings.items()},
        **{f"version of {package}": installed[package] for package in PACKAGES},
    }


def data_fingerprint(parts: Splits) -> dict[str, str]:
    """A hash of every row that is trained on or measured."""
    digest = hashlib.sha256()
    for rows in (parts.train, parts.validation, parts.test):
        for array in (rows.x, rows.y):
            digest.update(f"{array.dtype} {array.shape} ".encode())
            # As it lies in memory: `tobytes` would hold all of it a second time.
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return {"data": digest.hexdigest()[:16]}


def differences(saved: Mapping[str, Any], now: Mapping[str, Any], *, without: Collection[str] = ()) -> list[str]:
    """How the parts that `now` has differ from the saved ones, a line each.

    Parts that only `saved` has are compared where they are of the same kind (a setting that was removed).

    Args:
        without: settings that may differ.
    """
    kinds = {key.split(" ")[0] for key in now}
    keys = [*now, *(key for key in saved if key not in now and key.split(" ")[0] in kinds)]
    may_differ = {f"setting {name}" for name in without}
    return [_was_is(key, key, saved, now) for key in keys if key not in may_differ and saved.get(key) != now.get(key)]


def settings_differences(saved: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """How some settings differ, a line each, in the order of their names."""
    keys = {name: f"setting {name}" for name in sorted(names)}
    return [_was_is(name, key, saved, now) for name, key in keys.items() if saved.get(key) != now.get(key)]


def _was_is(label: str, key: str, saved: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return f"{label}: was {saved.get(key, 'not set')!r}, is {now.get(key, 'not set')!r}"


def changed_error(changed: Sequence[str], *, hint: str = "") -> RequestError:
    """The error that shows what has changed since a run was started.

    Args:
        hint: what to do instead of forcing it.
    """
    lines = "\n  ".join(changed)
    forced = "--force resumes it anyway, and records the change."
    return RequestError(
        f"the resumed run would differ from the one that was started:\n  {lines}",
        hint=f"{hint} {forced}" if hint else forced,
    )
