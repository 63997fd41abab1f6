"""What a run or a sweep writes down of itself when it begins, and when it is gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stopcli.config import RunConfig
from stopcli.runs.environment import describe_environment
from stopcli.runs.files import write_json
from stopcli.runs.folder import RunFolder
from stopcli.runs.status import utc_now
from stopcli.training.session import Start


def begin(
    config: RunConfig,
    folder: RunFolder,
    devices: Mapping[str, Any],
    start: Start = Start(),  # noqa: B008, a frozen value
    changed: Sequence[str] = (),
    ancestry: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write down with what a run or a sweep is made, or made further. Returns the content of environment.json.

    Args:
        devices: what it computes on.
        changed: what of it is not as it was when it was begun, a line each.
        ancestry: of the weights that it begins from.
    """
    environment = describe_environment(dict(devices))
    if ancestry:
        environment["init_from"] = ancestry
    if start.again and folder.environment.exists():
        session = {
            "time": utc_now(),
            "from_epoch": start.point.epoch if start.point else 0,
            "argv": environment["argv"],
            "versions": environment["versions"],
            "notes": [*start.notes, *changed],
        }
        environment = json.loads(folder.environment.read_text(encoding="utf-8"))
        environment.setdefault("resumed", []).append(session)
        folder.log(f"resumes: {session}")
    else:
        folder.log(f"begins: {config}")
        for warning in config.warnings():
            folder.log(f"warning: {warning}")
    write_json(folder.environment, environment)
    return environment
