"""The sweeps that repeat published results: settings, folders, and how far each is."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from stopcli.configs.base import RunConfig, published_folder, settings_of, settings_with
from stopcli.errors import RequestError, RunFolderError, did_you_mean
from stopcli.paths import check_path
from stopcli.quantities import counted
from stopcli.reproduce.settings import Size, check_arms, configs_of, settings_at, sizes_of
from stopcli.reproduce.sizes import ChosenSize
from stopcli.reproduce.spec import Images, PublishedResult, needs_images, read_published
from stopcli.runner.resume import read_config
from stopcli.runs.folder import check_is_run, holder, is_held
from stopcli.runs.run import Run
from stopcli.sweeps.plan import is_summed_up, pending_jobs, plan_jobs

# The smaller first.
ReproductionScale = Literal["quick", "overnight", "full"]
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
    """A published result and the sweeps that repeat it.

    Attributes:
        scale: at which it is run: `full` where its file has no smaller version.
        size: chosen for this machine; None where it has one size.
        notes: on the settings, a sentence without a full stop each.
    """

    published: PublishedResult
    scale: ReproductionScale
    sweeps: tuple[Sweep, ...]
    size: ChosenSize | None = None
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.published.name

    def describe_changes(self) -> str:
        """In which settings its runs differ from the published ones, but for the seeds; empty where they do not."""
        table = self.published.at_scale(self.scale)
        settings = {**(table.settings if table else {}), **(self.size.settings if self.size else {})}
        values = {name: getattr(self.sweeps[0].config, name) for name in settings if name != "seeds"}
        shown = {
            name: " ".join(map(str, value)) if isinstance(value, tuple) else value for name, value in values.items()
        }
        return ", ".join(f"{name} = {value}" for name, value in shown.items())

    def sweep_of(self, arm: str) -> Sweep | None:
        """The sweep that runs an arm; None where none does at this scale."""
        for sweep in self.sweeps:
            if sweep.arm == arm or (not sweep.arm and arm in sweep.config.arms()):
                return sweep
        return None


def read_all(paths: Sequence[Path]) -> list[PublishedResult]:
    """The published results in some files, in folders of them, or of some names, each checked with its settings at all
    scales and of all sizes; without a path, all that stopcli has. Raises RequestError where a path holds no file, two
    files have one name, or a file holds what it may not (with the key)."""
    results = [read_published(path) for path in _files_in(paths)]
    for published in results:
        full = configs_of(published, "full")
        check_arms(published, full)
        for config in full.values():
            if getattr(config, "dataset", "") == "auto":
                raise published.refusal("config.dataset: missing; name the published data")
        for scale in get_args(ReproductionScale):
            for size in sizes_of(published, scale) or [Size()]:
                configs_of(published, scale, size=size)
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


def scale_of(published: PublishedResult, scale: ReproductionScale) -> ReproductionScale:
    """The scale at which a published result is run where one is asked for: `full` where it has no smaller version.
    Raises RequestError where it has one for quick scale, but none for a night: the published one would take days."""
    if published.at_scale(scale) is not None:
        return scale
    if scale == "overnight" and published.quick is not None:
        raise published.refusal("overnight: missing; a result that has quick needs its settings for a night too")
    return "full"


def scale_folder(root: Path, scale: ReproductionScale, images: Images | None) -> Path:
    """The folder of all runs at a scale, on some images where they need any."""
    return root / (f"{scale}-{images.label}" if images else scale)


def plan(
    published: PublishedResult,
    scale: ReproductionScale,
    images: Images | None,
    seeds: int | None,
    root: Path,
    size: ChosenSize | None = None,
) -> Experiment:
    """The sweeps of a published result on the images that `--dataset` names (None where nothing needs them), their
    folders below `root`.

    Args:
        size: that was chosen for this machine, where there are several at this scale.
    """
    images = images if needs_images(published) else None
    scale = scale_of(published, scale)
    folder = scale_folder(root, scale, images) / published.name
    same_data = images is None or images.published
    of_size = Size("settings", size.settings) if size else Size()
    # A size may be that of the published setting.
    as_published = {arm: _trained(config) for arm, config in configs_of(published, "full", images, seeds).items()}
    sweeps = tuple(
        Sweep(
            published.name,
            arm,
            config,
            folder / arm if arm else folder,
            same_data and _trained(config) == as_published.get(arm),
        )
        for arm, config in configs_of(published, scale, images, seeds, of_size).items()
    )
    settings = settings_at(published, scale, of_size)
    label, counts = (images.label, images.counts) if images else ("", {})
    notes = tuple(
        f"{name} is {count:,} instead of {settings[name]:,}, because {label} has no more"
        for name, count in counts.items()
        if settings.get(name, 0) > count
    )
    return Experiment(published, scale, sweeps, size, notes)


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
    # Another number of seeds may have another size, which then differs too.
    for name in sorted(now.keys() | then.keys(), key=lambda name: (name != "seeds", name)):
        # What a run made of `auto` is on record, such as which images validate.
        if now.get(name) not in (then.get(name), "auto"):
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


def _trained(config: RunConfig) -> dict[str, Any]:
    """The settings of its runs, however many seeds of them there are."""
    return {name: value for name, value in _compared(config).items() if name != "seeds"}


def _shown(value: object) -> str:
    return "not set" if value is None else repr(value)
