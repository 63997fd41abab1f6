"""Published numbers, from the files of `experiments/`, where each of them stands once."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stopcli.runs.files import read_toml

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
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


@functools.cache
def published_arms(experiment: str) -> dict[str, PublishedArm]:
    """The arms of a published result, by name.

    Args:
        experiment: its file's name, without the ending.
    """
    # A wheel holds the files within the package; in a checkout they lie beside it.
    folders = (_PACKAGE / "experiments", _PACKAGE.parent / "experiments")
    content = read_toml(next((path for path in folders if path.is_dir()), folders[0]) / f"{experiment}.toml")
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
