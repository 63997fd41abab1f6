"""What a run or a sweep writes down of itself when it begins, and when it is gone on with."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from stopcli.config import RunConfig
from stopcli.runs.environment import describe_environment
from stopcli.runs.files import read_checked, read_toml, write_json
from stopcli.runs.folder import RunFolder, utc_now
from stopcli.training.fingerprint import differences
from stopcli.training.session import Start

# Choose among TensorFlow's kernels, which sum in other orders.
_VARIABLES = ("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS")


def record_environment(
    config: RunConfig,
    folder: RunFolder,
    devices: Mapping[str, Any],
    start: Start = Start(),  # noqa: B008, a frozen value
    changed: Sequence[str] = (),
    ancestry: dict[str, Any] | None = None,
) -> tuple[str, ...]:
    """Write down with what a run or a sweep is made, or made further.

    Args:
        devices: what it computes on.
        changed: what of it is not as it was when it was begun, a line each.
        ancestry: of the weights that it begins from.

    Returns:
        What the user should be told: an earlier record that is damaged; each time the run went on where it computes
        otherwise than before.
    """
    environment = describe_environment(dict(devices))
    if ancestry:
        environment["init_from"] = ancestry
    rewritten = rewrite_config(folder, {name: getattr(config, name) for name in start.changed})
    made, told = _made_with(folder) if start.again else ({}, ())
    # A record that is damaged begins with this session, and says that it is not the first.
    if made or told:
        before = (made.get("resumed") or [{}])[-1].get("computes_with") or _computes_with(made)
        session = {
            "time": utc_now(),
            "from_epoch": start.point.epoch if start.point else 0,
            "argv": environment["argv"],
            "versions": environment["versions"],
            "computes_with": _computes_with(environment),
            "notes": [*rewritten, *start.notes, *changed],
            "computes_otherwise": _otherwise(before, _computes_with(environment)) if made and start.point else [],
        }
        environment = made or environment
        environment.setdefault("resumed", []).append(session)
        folder.log(f"resumes: {session}")
    else:
        folder.log(f"begins: {config}")
        for warning in config.warnings():
            folder.log(f"warning: {warning}")
    write_json(folder.environment, environment)
    otherwise = (
        f"after epoch {session.get('from_epoch', '?')} it went on where it computes otherwise"
        f" ({'; '.join(session['computes_otherwise'])}); the last digits may differ from those of an uninterrupted run"
        for session in environment.get("resumed", ())
        if session.get("computes_otherwise")
    )
    return (*told, *otherwise)


def _made_with(folder: RunFolder) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What an earlier session wrote down, empty for nothing; and what the user should be told of it.

    A file that is damaged is no reason to refuse a run whose states are whole. It is kept under another name.
    """
    made, damage = read_checked(folder.environment)
    if not damage:
        return made, ()
    kept = next(
        path for n in itertools.count(1) if not (path := folder.path / f"environment-damaged-{n}.json").exists()
    )
    folder.environment.rename(kept)
    told = f"{damage}, and is kept as {kept.name}; with what the run was made before is not known any more"
    folder.log(f"warning: {told}")
    return {}, (told,)


def rewrite_config(folder: RunFolder, settings: Mapping[str, Any]) -> list[str]:
    """Put some settings in the place of those in a folder's config.toml. Returns what has changed, a line each."""
    if not settings:
        return []
    import tomli_w

    before = read_toml(folder.config)
    now = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    changed = [name for name, value in now.items() if before.get(name) != value]
    if changed:
        # TOML has no word for None, which is what settings are that are not there.
        after = {name: value for name, value in {**before, **now}.items() if value is not None}
        folder.write_config(tomli_w.dumps(after))
    return [f"{name}: was {before.get(name, 'not set')!r}, is {_or_not_set(now[name])!r}" for name in changed]


def _or_not_set(value: Any) -> Any:
    return "not set" if value is None else value


def _otherwise(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How a session computes otherwise than the one before, a line each. What is not on record may be the same."""
    return differences(before, {name: value for name, value in now.items() if name in before})


def _computes_with(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What the last digits of a run's numbers hang on, beside its settings, versions and data, as far as known."""
    variables = environment.get("variables")
    known = {
        "processor": environment.get("cpu"),
        "GPUs": len(environment["gpus"]) if "gpus" in environment else None,
        "threads": environment.get("threads", {}).get("intra_op") or environment.get("cores"),
        **{name: None if variables is None else variables.get(name, "not set") for name in _VARIABLES},
    }
    return {name: value for name, value in known.items() if value is not None}
