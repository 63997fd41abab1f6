"""What a run or a sweep records of itself when it starts, and each time that it is resumed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from stopcli.configs.base import RunConfig
from stopcli.runs.environment import Environment, Session, describe_environment, read_environment
from stopcli.runs.files import read_toml, write_json
from stopcli.runs.folder import RunFolder, utc_now
from stopcli.training.fingerprint import differences
from stopcli.training.session import Start

# Choose among TensorFlow's kernels, which sum in other orders.
_VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS")


def record_environment(
    config: RunConfig,
    folder: RunFolder,
    devices: Environment,
    start: Start = Start(),  # noqa: B008, a frozen value
    changed: Sequence[str] = (),
    ancestry: dict[str, Any] | None = None,
) -> tuple[str, ...]:
    """Record what a run or a sweep is made with, or resumed with.

    Args:
        devices: what it computes on.
        changed: what differs from when it was started, a line each.
        ancestry: of the weights that it starts from.

    Returns:
        Warnings: that an earlier record is damaged; of each time the run was resumed where it computes differently.
    """
    environment = describe_environment(devices)
    if ancestry:
        environment["init_from"] = ancestry
    rewritten = rewrite_config(folder, {name: getattr(config, name) for name in start.changed})
    recorded, warnings = _recorded(folder) if start.resumed else ({}, ())
    # A record that is damaged starts with this session, and says that it is not the first.
    if recorded or warnings:
        before = (recorded.get("resumed") or [{}])[-1].get("computes_with") or _computes_with(recorded)
        now = _computes_with(environment)
        # What is not on record may be the same.
        otherwise = differences(before, {name: value for name, value in now.items() if name in before})
        session: Session = {
            "time": utc_now(),
            "from_epoch": start.state.epoch if start.state else 0,
            "argv": environment["argv"],
            "versions": environment["versions"],
            "computes_with": now,
            "notes": [*rewritten, *start.notes, *changed],
            "computes_otherwise": otherwise if recorded and start.state else [],
        }
        environment = recorded or environment
        environment.setdefault("resumed", []).append(session)
        folder.log(f"resumed: {session}")
    else:
        folder.log(f"started: {config}")
        for warning in config.warnings():
            folder.log(f"warning: {warning}")
    write_json(folder.environment, environment)
    otherwise_warnings = (
        f"after epoch {session.get('from_epoch', '?')} it was resumed where it computes differently"
        f" ({'; '.join(session['computes_otherwise'])}); the last digits may differ from those of an uninterrupted run"
        for session in environment.get("resumed", ())
        if session.get("computes_otherwise")
    )
    return (*warnings, *otherwise_warnings)


def _recorded(folder: RunFolder) -> tuple[Environment, tuple[str, ...]]:
    """What an earlier session recorded, empty for nothing; and warnings about it.

    A damaged file is no reason to refuse a run whose states are whole. It is kept under another name.
    """
    environment, damage = read_environment(folder.path)
    if not damage:
        return environment, ()
    copies = (folder.path / f"environment-damaged-{n}.json" for n in itertools.count(1))
    copy = next(path for path in copies if not path.exists())
    folder.environment.rename(copy)
    warning = f"{damage}, and is kept as {copy.name}; what the run was made with before is not known any more"
    folder.log(f"warning: {warning}")
    return {}, (warning,)


def rewrite_config(folder: RunFolder, settings: Mapping[str, Any]) -> list[str]:
    """Replace some settings in a folder's config.toml. Returns what has changed, a line each."""
    if not settings:
        return []
    import tomli_w

    before = read_toml(folder.config)
    now = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    changed = [name for name, value in now.items() if before.get(name) != value]
    if changed:
        # TOML has no word for None, which is the value of settings that are not set.
        after = {name: value for name, value in {**before, **now}.items() if value is not None}
        folder.write_config(tomli_w.dumps(after))
    values = {name: "not set" if value is None else value for name, value in now.items()}
    return [f"{name}: was {before.get(name, 'not set')!r}, is {values[name]!r}" for name in changed]


def _computes_with(environment: Environment) -> dict[str, Any]:
    """What the last digits of a run's numbers depend on, beside its settings, versions and data, as far as known."""
    variables = environment.get("variables")
    known = {
        "processor": environment.get("cpu"),
        "GPUs": len(environment["gpus"]) if "gpus" in environment else None,
        "threads": environment.get("threads", {}).get("intra_op") or environment.get("cores"),
        **{name: None if variables is None else variables.get(name, "not set") for name in _VARIABLES},
    }
    return {name: value for name, value in known.items() if value is not None}
