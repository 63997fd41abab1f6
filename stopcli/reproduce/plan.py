"""The sweeps that repeat published results: settings, folders, and how far each is."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stopcli.configs.base import RunConfig, published_folder, settings_of, settings_with
from stopcli.errors import RequestError, RunFolderError, did_you_mean
from stopcli.paths import check_path
from stopcli.quantities import counted
from stopcli.reproduce.spec import Images, PublishedResult, check_arms, configs_of, needs_images, read_published
from stopcli.runner.resume import read_config
from stopcli.runs.folder import check_is_run, holder, is_held
from stopcli.runs.run import Run
from stopcli.sweeps.plan import is_summed_up, pending_jobs, plan_jobs

ReproductionScale = Literal["quick", "full"]
Progress = Literal["new", "unfinished", "finished", "diverged"]


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

    def describe(self, progress: Progress) -> str:
        """What is about to be done for it, in a line."""
        runs = len(self.config.arms()) * self.config.most_seeds
        next_step = {
            "new": "to be run in",
            "unfinished": "to be resumed in",
            "finished": "already finished in",
            "diverged": "some of which diverged and none of which is left to run, in",
        }[progress]
        return f"{self.name}: {counted(runs, 'run')} of {self.config.command}, {next_step} {self.folder}"


@dataclass(frozen=True)
class Experiment:
    """A published result, the sweeps that repeat it, and notes on the settings: a sentence without a full stop each."""

    published: PublishedResult
    sweeps: tuple[Sweep, ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.published.name

    def sweep_of(self, arm: str) -> Sweep | None:
        """The sweep that runs an arm; None where none does at this scale."""
        for sweep in self.sweeps:
            if sweep.arm == arm or (not sweep.arm and arm in sweep.config.arms()):
                return sweep
        return None


def read_all(paths: Sequence[Path]) -> list[PublishedResult]:
    """The published results in some files, in folders of them, or of some names, each checked with its settings at both
    scales; without a path, all that stopcli has. Raises RequestError where a path holds no file, two files have one
    name, or a file holds what it may not (with the key)."""
    results = [read_published(path) for path in _files_in(paths)]
    for published in results:
        full = configs_of(published, "full")
        check_arms(published, full)
        for config in full.values():
            if getattr(config, "dataset", "") == "auto":
                raise published.refusal("config.dataset: missing; name the published data")
        configs_of(published, "quick")
    return results


def _file_or_folder(path: Path) -> Path:
    """A path, or where nothing has it, the file of the published result with this name."""
    check_path(path)
    if path.exists():
        return path
    published = {file.stem: file for file in sorted(published_folder().glob("*.toml"))}
    if str(path) in published:
        return published[str(path)]
    names = f"The published results are {', '.join(published)}."
    raise RequestError(f"{path}: no such file or folder", hint=did_you_mean(str(path), published) or names)


def _files_in(paths: Sequence[Path]) -> list[Path]:
    """The files, and those in the folders, by name; each once."""
    files: dict[Path, Path] = {}
    for path in map(_file_or_folder, paths or [published_folder()]):
        named = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not named:
            raise RequestError(f"{path}: holds no .toml file")
        for file in named:
            files.setdefault(file.resolve(), file)
    by_name: dict[str, Path] = {}
    for file in files.values():
        other = by_name.setdefault(file.stem, file)
        if other is not file:
            raise RequestError(f"{other} and {file} have the same name, and would share their folders")
    return list(files.values())


def plan(
    published: PublishedResult, scale: ReproductionScale, images: Images | None, seeds: int | None, root: Path
) -> Experiment:
    """The sweeps of a published result on the images that `--dataset` names (None where nothing needs them), their
    folders below `root`."""
    images = images if needs_images(published) else None
    is_full = scale == "full" or published.quick is None
    scale_folder = "full" if is_full else "quick"
    folder = root / (f"{scale_folder}-{images.label}" if images else scale_folder) / published.name
    same_data = images is None or images.published
    sweeps = tuple(
        Sweep(published.name, arm, config, folder / arm if arm else folder, is_full and same_data)
        for arm, config in configs_of(published, scale, images, seeds).items()
    )
    settings = {**published.config, **((published.quick or {}) if scale == "quick" else {})}
    label, counts = (images.label, images.counts) if images else ("", {})
    notes = tuple(
        f"{name} is {count:,} instead of {settings[name]:,}, because {label} has no more"
        for name, count in counts.items()
        if settings.get(name, 0) > count
    )
    return Experiment(published, sweeps, notes)


def progress_of(sweep: Sweep) -> Progress:
    """How far a sweep is, which an earlier call may have started. Raises RunFolderError where its folder is being
    written, or holds something else than would be run now."""
    folder = sweep.folder
    if not folder.exists():
        return "new"
    try:
        check_is_run(folder)
    except RunFolderError as error:
        raise RunFolderError(error.message, hint=f"If nobody is making it now, {_move_away(folder)}") from None
    if is_held(folder):
        raise RunFolderError(
            f"{folder} is being written by {holder(folder)}", hint="Wait until it has ended, or stop it first."
        )
    _check_same(sweep)
    run = Run.read(folder)
    finished = run.status.state == "finished"
    if sweep.config.is_sweep:
        jobs = plan_jobs(sweep.config)
        done = not pending_jobs(jobs, folder / "jobs", retry_failed=True) and is_summed_up(run, jobs)
    else:
        done = finished or run.diverged
    if not done:
        return "unfinished"
    return "finished" if finished else "diverged"


def _check_same(sweep: Sweep) -> None:
    """Raise where a folder holds runs of other settings: they are never mixed."""
    then, now = _compared(read_config(sweep.folder)), _compared(sweep.config)
    for name in sorted(now.keys() | then.keys()):
        if now.get(name) != then.get(name):
            raise RunFolderError(
                f"{sweep.folder}: made with {name} {_shown(then.get(name))}, now {_shown(now.get(name))}",
                hint=f"Another --runs-dir keeps both; or {_move_away(sweep.folder)}",
            )


def _move_away(folder: Path) -> str:
    return f"move it away: {shlex.join(['mv', str(folder), f'{folder}-old'])}"


def _compared(config: RunConfig) -> dict[str, Any]:
    # How runs are executed and saved changes no number that is compared.
    ignored = settings_with(type(config), "execution") | {"name"}
    settings = {name: value for name, value in settings_of(config).items() if name not in ignored}
    return {"command": config.command, **settings}


def _shown(value: object) -> str:
    return "not set" if value is None else repr(value)
