"""Deleting runs, and what finished runs need no more: planned first, then deleted run by run, whole or not at all.

What goes gets a hidden name in the runs folder at once, and is deleted under that name: a process that is killed leaves
no half run, and what it left is deleted by `empty_trash`. Links are deleted, never followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stopcli.errors import RequestError, ResourceError, RunFolderError, system_words
from stopcli.paths import check_path, quoted
from stopcli.quantities import counted, format_bytes
from stopcli.runs.files import read_toml
from stopcli.runs.folder import (
    RUN_FILES,
    TRASH_PREFIX,
    RunFolder,
    check_is_made_here,
    folder_bytes,
    hold_folder,
    holder,
    is_held,
)
from stopcli.runs.run import LAST, Run, resolve_run, run_argument, run_names
from stopcli.runs.status import Status, read_status
from stopcli.runs.summary import AnalysisSummary, SweepSummary

Kind = Literal["states", "epoch-models", "failed", "analyses", "runs"]
"""What `plan_pruning` can delete: the resume states and the models of every N-th epoch of finished runs; whole folders
of failed runs, of analyses of runs, of runs that have ended."""

_TRASH_NAME = re.compile(re.escape(TRASH_PREFIX) + "[0-9a-f]{16}")
_PART_NAMES = {"states": "resume states", "epoch-models": "epoch models"}


@dataclass(frozen=True)
class Removal:
    """What is to be deleted of a run.

    Attributes:
        run: its folder, directly in the runs folder.
        state: of the run.
        what: in words.
        size: in bytes, as the run's own size is measured.
        status: of the run when this was planned; None for a link to a run.
        parts: files and folders of models and states, of the run or of the runs of a sweep; empty for the whole run.
    """

    run: Path
    state: str
    what: str
    size: int
    status: Status | None = None
    parts: tuple[Path, ...] = ()

    @property
    def weights(self) -> tuple[Path, ...]:
        """What goes of it that another run may have been started from: the run, or its models. Behind a link they
        stay."""
        models = tuple(part for part in self.parts if part.suffix == ".keras")
        return models if self.parts or (self.status is None and self.run.is_symlink()) else (self.run,)


def run_to_remove(named: Path, root: Path, *, asks: bool = True) -> Path:
    """The folder that a RUN on the command line means, where it may be deleted: a run, a sweep or an analysis that lies
    directly in the runs folder, and that no process holds.

    Args:
        asks: whether the user sees its full name before it is deleted. Else its beginning is not enough: a command that
            is repeated after it has deleted `p1` would delete `p10`.

    Raises:
        RunFolderError: it is something else.
        RequestError: the system refuses the path.
    """
    check_path(named)
    # Elsewhere, a file in a run's folder means the run.
    if named.is_file() or named.name in RUN_FILES:
        raise RunFolderError(f"{named}: a file, expected a run's folder or its name")
    resolved = resolve_run(named, root, analyses=True)
    check_is_made_here(resolved)
    # `.` and `..` have no name of their own.
    path = Path(os.path.abspath(resolved))  # noqa: PTH100
    if not path.samefile(resolved):
        # Behind a link, `..` leads elsewhere than it reads.
        path = resolved.resolve()
    if sweep := sweep_around(path.parent):
        name = run_argument(sweep)
        raise RunFolderError(
            f"{named}: one of the runs of the sweep {name}, which are deleted together",
            hint=f"stopcli rm {quoted(name)}",
        )
    if not root.is_dir() or not path.parent.samefile(root):
        raise RunFolderError(
            f"{path}: not in the runs folder ({root}), and stopcli deletes nothing elsewhere",
            hint=f"--runs-dir {quoted(path.parent)} names the folder that it is in.",
        )
    run = root / path.name
    if not asks and run.name != named.name != LAST and not named.exists():
        raise RunFolderError(
            f"{named}: the beginning of a name, and without asking only runs that are named in full are deleted",
            hint=f"stopcli rm --yes {quoted(run_argument(run))}",
        )
    _check_may_go_whole(run)
    return run


def sweep_around(folder: Path) -> Path | None:
    """The sweep whose runs a folder holds, also where a link leads there; None for another folder."""
    jobs = folder.resolve()
    return jobs.parent if jobs.name == "jobs" and (jobs.parent / "status.json").is_file() else None


def _check_may_go_whole(run: Path, *, is_ours: bool = False) -> None:
    """Raise RunFolderError where a process writes a run's folder or those of a sweep's runs, or where there is another
    run in it, which nobody has named.

    Args:
        is_ours: whether this process holds the run.
    """
    for folder in filter(is_held, [*([] if is_ours else [run]), *_jobs_of(run)]):
        message = f"{folder} is being written by {holder(folder)}, and is not deleted"
        raise RunFolderError(message, hint="Wait until it has ended, or stop it first.")
    if inside := _run_inside(run):
        raise RunFolderError(f"{run}: not deleted, for another run is in it: {inside}", hint="Move or delete it first.")


def _run_inside(run: Path) -> Path | None:
    """A run in the folder of another that is none of its jobs; None for none, and behind a link to a run."""
    if run.is_symlink():
        return None
    known = {run, *_jobs_of(run)}
    folders = (Path(folder) for folder, _, names in os.walk(run) if "status.json" in names)
    return next((folder for folder in folders if folder not in known), None)


def plan_removal(run: Path) -> Removal:
    """The removal of a whole folder, or of a link to one."""
    read = Run.read(run)
    if run.is_symlink():
        return Removal(run, read.state, "a link to it", run.lstat().st_size)
    what = "run"
    if isinstance(read.summary, SweepSummary):
        what = f"sweep of {counted(len(read.summary.jobs), 'run')}"
    elif isinstance(read.summary, AnalysisSummary):
        what = read.summary.command
    return Removal(run, read.state, what, read.bytes_on_disk, read_status(run))


def plan_pruning(runs: Iterable[Run], kinds: Collection[Kind]) -> tuple[list[Removal], list[Path]]:
    """What of some runs is to be deleted, and the folders that stay because a process holds them.

    Runs that can be resumed lose nothing: those that were paused, interrupted or killed, that failed for a reason
    outside of them, and sweeps with such runs. Neither do links to runs, and runs that cannot be read; nor does one go
    whole that has another run in its folder.
    """
    removals, in_use = [], []
    for run in runs:
        if run.path.is_symlink():
            continue
        goes_whole = _goes_whole(run, kinds) and _run_inside(run.path) is None
        removal = plan_removal(run.path) if goes_whole else _plan_parts(run, kinds)
        if removal is not None and (is_held(run.path) or any(map(is_held, _jobs_of(run.path)))):
            in_use.append(run.path)
        elif removal is not None:
            removals.append(removal)
    return removals, in_use


def _goes_whole(run: Run, kinds: Collection[Kind]) -> bool:
    if isinstance(run.summary, AnalysisSummary):
        return "analyses" in kinds
    # One that was resumed by itself, after the sweep had ended.
    if any(_can_be_resumed(Run.read(job)) for job in _jobs_of(run.path)):
        return False
    # Of a sweep that has failed, some runs may have finished.
    is_failed = run.state == "failed" and not run.status.outside and not getattr(run.summary, "finished", 0)
    return (is_failed and not {"failed", "runs"}.isdisjoint(kinds)) or (run.finished and "runs" in kinds)


def _can_be_resumed(run: Run) -> bool:
    return not run.finished and (run.state != "failed" or bool(run.status.outside))


def _plan_parts(run: Run, kinds: Collection[Kind]) -> Removal | None:
    """What goes of a run that stays; None for nothing."""
    if not run.finished or isinstance(run.summary, AnalysisSummary):
        return None
    owners = [run.path, *(job for job in _jobs_of(run.path) if Run.read(job).finished)]
    parts, names = [], []
    for kind in (kind for kind in _PART_NAMES if kind in kinds):
        of_kind = [part for owner in owners for part in _parts_of(owner, kind)]
        if of_kind:
            parts += of_kind
            names.append(_PART_NAMES[kind])
    size = sum(map(_bytes_of, parts))
    return Removal(run.path, run.state, ", ".join(names), size, run.status, tuple(parts)) if parts else None


def _parts_of(owner: Path, kind: str) -> list[Path]:
    """The states or the epoch models in a run's own checkpoints; the states of its refit, too. None where a link leads
    to them."""
    checkpoints = owner / "checkpoints"
    if checkpoints.is_symlink() or not checkpoints.is_dir():
        return []
    if kind == "states":
        folders = RunFolder(owner).resume, RunFolder(owner).refit / "checkpoints"
        return [states for states in folders if states.is_dir() and not states.is_symlink()]
    return sorted(checkpoints.glob("epoch_*.keras"))


def _bytes_of(part: Path) -> int:
    if part.is_dir():
        return folder_bytes(part)
    # Another prune may delete it now.
    with contextlib.suppress(FileNotFoundError):
        return part.lstat().st_size
    return 0


def _jobs_of(run: Path) -> list[Path]:
    """The folders of a sweep's runs; none of a single run."""
    jobs = run / "jobs"
    folders = jobs.iterdir() if jobs.is_dir() and not jobs.is_symlink() else ()
    return sorted(path for path in folders if path.is_dir() and not path.is_symlink())


def remove(removal: Removal) -> bool:
    """Delete what was planned, while nobody else can write the run. Returns whether there was anything to delete: two
    processes may delete at once.

    Raises:
        RunFolderError: the run is held, or has changed since this was planned. Nothing was deleted.
        ResourceError: the system refuses.
    """
    if not any(map(os.path.lexists, removal.parts or [removal.run])):
        return False
    try:
        if removal.run.is_symlink() and removal.status is None:
            removal.run.unlink()
            return True
        with hold_folder(removal.run) as lock:
            if read_status(removal.run) != removal.status:
                raise RunFolderError(f"{removal.run}: has changed since, and is not deleted")
            for part in removal.parts:
                _remove_part(part, removal.run)
            if not removal.parts:
                _check_may_go_whole(removal.run, is_ours=True)
                if os.name == "nt":
                    # Windows renames no folder with an open file in it.
                    lock.release()
                _delete(_to_trash(removal.run, removal.run.parent))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise ResourceError(f"{removal.run}: cannot be deleted: {system_words(error)}{where}") from error
    return True


def _remove_part(part: Path, run: Path) -> None:
    """Delete the states or an epoch's model of a run, which is held, or of one of its jobs. That there were states
    stays on record."""
    owner = part.parents[1]
    with hold_folder(owner) if owner != run else contextlib.nullcontext():
        status = read_status(owner)
        if status is None or status.state != "finished":
            raise RunFolderError(f"{owner}: has changed since, and loses nothing")
        if part.is_dir():
            _delete(_to_trash(part, run.parent))
            RunFolder(owner).pruned.touch()
        else:
            part.unlink()


def _to_trash(path: Path, root: Path) -> Path:
    trash = root / f"{TRASH_PREFIX}{secrets.token_hex(8)}"
    return path.rename(trash)


def _delete(folder: Path) -> None:
    """Delete a folder and everything in it. Two processes may do so at once."""

    def pass_over_missing(function: Any, path: str, error: Any) -> None:
        reason = error[1] if isinstance(error, tuple) else error
        if not isinstance(reason, FileNotFoundError):
            raise reason

    handler: dict[str, Any] = {"onexc" if sys.version_info >= (3, 12) else "onerror": pass_over_missing}
    for attempts_left in (2, 1, 0):
        try:
            shutil.rmtree(folder, **handler)
        except OSError as error:
            # Whoever asks whether a process holds the folder may make its lock again in between.
            if error.errno != errno.ENOTEMPTY or not attempts_left:
                raise
        else:
            return


def empty_trash(root: Path) -> str:
    """Delete what a process that was killed has left under a hidden name. Returns a sentence on it, without a full
    stop; empty where there was nothing.

    Raises:
        ResourceError: the system refuses.
    """
    size = 0
    for trash in sorted(root.glob(f"{TRASH_PREFIX}*")):
        # A folder that somebody else has named so; or of a process that is deleting it now.
        if not _TRASH_NAME.fullmatch(trash.name) or trash.is_symlink() or is_held(trash):
            continue
        size += folder_bytes(trash)
        try:
            _delete(trash)
        except OSError as error:
            raise ResourceError(f"{trash}: cannot be deleted: {system_words(error)} ({error.filename})") from error
    return f"Also deleted: {format_bytes(size)} that an earlier rm or prune left when it was killed" if size else ""


def started_from(removed: Sequence[Path], root: Path) -> list[str]:
    """A sentence, without a full stop, on each other run in a folder that was started from the weights of a removed run
    or model. They need them only where they have not saved a state yet."""
    names = {os.path.realpath(path): str(path.relative_to(root)) for path in removed}
    sentences = []
    for name in run_names(root):
        config = root / name / "config.toml"
        if name in names.values() or not config.is_file():
            continue
        try:
            start = str(read_toml(config).get("init_from") or "")
        except RequestError:
            continue
        for path, removed_name in names.items():
            if start and (start == path or start.startswith(path + os.sep)):
                sentences.append(f"{name} was started from the weights of {removed_name}")
    return sentences
