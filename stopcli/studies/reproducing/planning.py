"""From the files of published results to the sweeps that repeat them: settings, folders, and what is left to do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from stopcli.config import RunConfig, SweepSettings, settings_of
from stopcli.errors import RequestError, RunFolderError
from stopcli.paths import check_path
from stopcli.recipes.resuming import read_config
from stopcli.runs.files import read_json
from stopcli.runs.folder import check_is_run
from stopcli.runs.lock import holder, is_held
from stopcli.studies.reproducing.images import Images
from stopcli.studies.reproducing.published import Published, read_published
from stopcli.studies.reproducing.settings import check_arms, configs_of, needs_images
from stopcli.sweeps.collect import is_summed_up, pending_jobs
from stopcli.sweeps.plan import plan_jobs

ReproductionScale = Literal["quick", "full"]
Progress = Literal["new", "unfinished", "finished", "diverged"]

# How runs are executed and saved changes no number that is compared.
_FREE = {field.name for field in fields(SweepSettings)} | {"name", "save_every", "threads"}


@dataclass(frozen=True)
class Sweep:
    """Runs that are executed together, in a folder that is the same at each call.

    Attributes:
        experiment: its file's name, without the ending.
        arm: of the file; empty where the sweep's own arms are the file's.
        published: whether these are the published setting and data.
    """

    experiment: str
    arm: str
    config: Any
    folder: Path
    published: bool

    @property
    def name(self) -> str:
        return f"{self.experiment}/{self.arm}" if self.arm else self.experiment


@dataclass(frozen=True)
class Experiment:
    """A published result and the sweeps that repeat it.

    Attributes:
        path: of its file.
        notes: of the settings, a sentence without a full stop each.
    """

    path: Path
    published: Published
    sweeps: tuple[Sweep, ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.stem

    def sweep_of(self, arm: str) -> Sweep | None:
        """That runs an arm; None where none does at this scale."""
        for sweep in self.sweeps:
            if sweep.arm == arm or (not sweep.arm and arm in sweep.config.arms()):
                return sweep
        return None


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files of published results that are named, and those in folders that are, by name; each once.

    Raises:
        RequestError: there is none, or two have one name.
    """
    found: list[Path] = []
    for path in paths:
        check_path(path)
        if not path.exists():
            raise RequestError(f"{path}: no such file or folder")
        files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not files:
            raise RequestError(f"{path}: holds no .toml file")
        found += [file for file in files if file.resolve() not in {each.resolve() for each in found}]
    names = [file.stem for file in found]
    twice = [file for file in found if names.count(file.stem) > 1]
    if twice:
        raise RequestError(f"{twice[0]} and {twice[1]} have the same name, and would share their folders")
    return found


def read_all(paths: Sequence[Path]) -> dict[Path, Published]:
    """The published results in some files, each checked with its settings at both scales, before anything is done.

    Raises:
        RequestError: as for `files_in` and `read_published`, or settings that cannot be (file and key are told).
    """
    found = {path: read_published(path) for path in files_in(paths)}
    for path, published in found.items():
        full = configs_of(path, published, "full")
        check_arms(path, published, full)
        for config in full.values():
            if getattr(config, "dataset", "") == "auto":
                raise RequestError(f"{path}: config.dataset: missing; the published data are to be named")
        configs_of(path, published, "quick")
    return found


def plan(
    path: Path, published: Published, scale: ReproductionScale, images: Images | None, seeds: int | None, root: Path
) -> Experiment:
    """The sweeps of a published result.

    Args:
        images: what `--dataset` found; None where nothing needs them.
        seeds: instead of the file's.
        root: holds the folders of all of them.
    """
    found = images if needs_images(published) else None
    configs = configs_of(path, published, scale, found, seeds)
    is_full = scale == "full" or published.quick is None
    at = "full" if is_full else "quick"
    folder = root / (f"{at}-{found.label}" if found else at) / path.stem
    same_data = found is None or found.published
    sweeps = tuple(
        Sweep(path.stem, arm, config, folder / arm if arm else folder, is_full and same_data)
        for arm, config in configs.items()
    )
    return Experiment(path, published, sweeps, _notes(published, scale, found))


def _notes(published: Published, scale: str, images: Images | None) -> tuple[str, ...]:
    wanted = {**published.config, **((published.quick or {}) if scale == "quick" else {})}
    if images is None:
        return ()
    return tuple(
        f"{name} is {there:,} instead of {wanted[name]:,}: {images.label} has no more"
        for name, there in images.counts.items()
        if wanted.get(name, 0) > there
    )


def progress_of(sweep: Sweep) -> Progress:
    """How far a sweep is that may have been begun before.

    Raises:
        RunFolderError: its folder is being written, or is something else than would be run now.
    """
    folder = sweep.folder
    if not folder.exists():
        return "new"
    try:
        check_is_run(folder)
    except RunFolderError as error:
        raise RunFolderError(error.message, hint=f"If nobody is making it now, {_away(folder)}") from None
    if is_held(folder):
        raise RunFolderError(
            f"{folder} is being written by {holder(folder)}", hint="Wait until it has ended, or stop it first."
        )
    _check_same(sweep)
    state, summary = read_json(folder / "status.json").get("state"), read_json(folder / "summary.json")
    if not sweep.config.is_sweep:
        diverged = state == "failed" and (summary.get("stop") or {}).get("reason") == "non_finite"
        return "finished" if state == "finished" else "diverged" if diverged else "unfinished"
    jobs = plan_jobs(sweep.config)
    if pending_jobs(jobs, folder / "jobs", retry_failed=True) or not is_summed_up(folder, jobs):
        return "unfinished"
    return "finished" if state == "finished" else "diverged"


def _check_same(sweep: Sweep) -> None:
    """Raise where a folder holds runs of other settings: they are never mixed."""
    there, now = (_compared(config) for config in (read_config(sweep.folder), sweep.config))
    for name in sorted(now.keys() | there.keys()):
        if now.get(name) != there.get(name):
            was, wanted = _shown(there.get(name)), _shown(now.get(name))
            raise RunFolderError(
                f"{sweep.folder}: was made with {name} {was}, and now it is {wanted}",
                hint=f"Another --runs-dir keeps both; or {_away(sweep.folder)}",
            )


def _away(folder: Path) -> str:
    return f"move it away: {shlex.join(['mv', str(folder), f'{folder}-old'])}"


def _compared(config: RunConfig) -> dict[str, Any]:
    kept = {name: value for name, value in settings_of(config).items() if name not in _FREE}
    return {"command": config.command, **kept}


def _shown(value: object) -> str:
    return "not set" if value is None else repr(value)
