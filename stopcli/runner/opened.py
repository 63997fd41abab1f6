"""Runs in Python and in notebooks: `stopcli.open`, `stopcli.list_runs`, and the classes of what they return.

Imports no TensorFlow and no pandas until a model or a frame is requested.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from stopcli.configs.registry import COMMANDS
from stopcli.errors import CheckpointError, RequestError, RunFolderError, in_a_line, shown
from stopcli.paths import parse_path
from stopcli.quantities import counted
from stopcli.report.document import Document, Table, Warn
from stopcli.report.drawing import import_for_the_user
from stopcli.report.html import to_notebook_html
from stopcli.report.run_list import list_table
from stopcli.runs import run as saved
from stopcli.runs.folder import RunFolder, check_is_made_here, holds_no_run, runs_root
from stopcli.runs.listing import BestValue, Order, RunFilter
from stopcli.runs.metrics import Columns, read_metrics
from stopcli.runs.recording import Recording, is_recording, read_recording
from stopcli.runs.summary import AnalysisSummary, ModelValues, RangeSummary, RunSummary, SweepSummary

if TYPE_CHECKING:
    import keras
    import pandas


class _FolderWithReport(saved.Run):
    """What runs, sweeps, range tests and analyses have in common when they are opened."""

    @property
    def command(self) -> str:
        """That made it; empty where neither summary.json nor config.toml says."""
        return self.label("command")

    @property
    def name(self) -> str:
        """As `--name` gave it; empty for none."""
        return self.label("name")

    def _repr_html_(self) -> str:
        """The report as it is now, for a notebook."""
        from stopcli.runner.report import document_of

        if self.summary is None:
            # Its figures are drawn.
            import_for_the_user()
        with tempfile.TemporaryDirectory(prefix="stopcli-") as folder:
            try:
                document, drawn = document_of(self.path, Path(folder))
            except (RequestError, OSError) as error:
                document = Document(self.path.resolve().name, (Warn(f"{in_a_line(error)}."),), ())
                return to_notebook_html(document, self.path)
            return to_notebook_html(document, Path(folder) if drawn.pictures else self.path)


class Run(_FolderWithReport):
    """A training run in its folder, as it was when it was opened; its files are read when they are first used.

    Attributes:
        path: the folder.
        state: `running`, `finished`, `paused`, `interrupted`, `failed`, `died` or `damaged`; `reason` says why.
        summary: its results, such as `summary.stop.epoch` and `summary.best.test`; None where there are none yet.
        config: the command and all settings, as in config.toml.
        metrics: the columns of metrics.csv by name, float64, shape [epochs]; `epoch` counts from 1. Of a run that is
            running, the epochs that are complete.
    """

    summary: RunSummary | None

    @cached_property
    def metrics(self) -> Columns:
        """See above. Raises RequestError where metrics.csv is missing or damaged."""
        if self.state != "finished" and not (self.path / "metrics.csv").exists():
            raise RunFolderError(f"{self.path}: no epoch is recorded yet; its state is: {self.state}")
        return super().metrics

    def frame(self) -> pandas.DataFrame:
        """`metrics` as a pandas DataFrame, a row an epoch. Raises RequestError where metrics.csv is missing or
        damaged."""
        import pandas

        frame = pandas.DataFrame(self.metrics)
        # A CSV file may lack the step of some epochs.
        counts = [name for name in ("epoch", "step") if name in frame and frame[name].notna().all()]
        return frame.astype(dict.fromkeys(counts, "int64"))

    def model(self, which: Literal["best", "final", "refit"] | int = "best") -> keras.Model:
        """A saved model, loaded by Keras. Imports TensorFlow.

        Files that carry code, such as lambda layers, are refused, so that a folder from somebody else runs nothing.

        Args:
            which: the `best` epoch by `checkpoint_monitor`, the `final` one, the `refit`, or the number of an epoch,
                where the run was told to keep it.

        Raises:
            RunFolderError: the run has no such model.
            RequestError, CheckpointError: the file is damaged, or carries code.
        """
        from stopcli.training.model_files import load_model, own_code_of

        path = self._model_file(which)
        own = own_code_of(path)
        if own and "file" in self.settings:
            file = Path(self.settings["file"])
            # The file of a table's model has what encodes its rows, too, which `build` does not make.
            definitions = ", ".join(f"{name!r}: {name}" for name in own)
            hint = (
                f"With {file}: keras.saving.load_model({str(path)!r}, custom_objects={{{definitions}}}), "
                "which stopcli predict does; a class needs a get_config for it."
                if self.settings.get("table")
                else f"With {file}: model = build(x, y, …), of rows like its own; "
                f"model(x[:1]), which makes its weights; model.load_weights({str(path)!r})"
            )
            raise CheckpointError(
                f"{path}: the model has code of {file.name} ({', '.join(own)}), which is run only by who imports it",
                hint=hint,
            )
        return load_model(path)

    def _model_file(self, which: str | int) -> Path:
        folder = RunFolder(self.path)
        files: dict[str | int, Path] = {
            "best": folder.best_model,
            "final": folder.final_model,
            "refit": folder.refit_model,
        }
        for path in sorted(folder.checkpoints.glob("epoch_*.keras")):
            if match := re.fullmatch(r"epoch_(\d+)", path.stem):
                files[int(match[1])] = path
        models = {name: path for name, path in files.items() if path.is_file()}
        if which in models:
            return models[which]
        if not isinstance(which, int) and which not in files:
            expected = "best, final, refit or the number of an epoch"
            raise RequestError(f"which: received {shown(which)}, expected {expected}")
        model = f"model of epoch {which}" if isinstance(which, int) else f"{which} model"
        hint = f"It has: {', '.join(map(str, models))}." if models else ""
        raise RunFolderError(f"{self.path}: it has no {model}{self._why_no_models(models)}", hint=hint)

    def _why_no_models(self, models: Mapping[str | int, Path]) -> str:
        if models:
            return ""
        if self.command == "recorded":
            return "; what was recorded saves its own models"
        if self.settings.get("checkpoint") is False:
            return "; it was trained with --no-checkpoint"
        return (
            f" yet; its state is: {self.state}" if self.summary is None else "; there is none in its checkpoints folder"
        )


class CsvRun(Recording, Run):
    """A CSV file that another program wrote: a `Run` with metrics, and without settings, results and models."""

    summary: None

    def _model_file(self, which: str | int) -> Path:
        raise RequestError(f"{self.path}: a CSV file, which has no model")


class _FolderWithTable(_FolderWithReport):
    """What has a table of results."""

    @property
    def table(self) -> Table:
        """Its results, cells as text: `columns`, `rows`, `markdown()`, `csv()`. Raises RunFolderError where it has none
        yet."""
        if self.summary is None or isinstance(self.summary, RunSummary):
            raise RunFolderError(f"{self.path}: it has no results yet; its state is: {self.state}")
        return Table.from_summary(self.summary.table)

    def frame(self) -> pandas.DataFrame:
        """Its table.csv as a pandas DataFrame: the table with all digits. Raises RunFolderError where there are no
        results yet."""
        import pandas

        path = self.path / "table.csv"
        try:
            return pandas.read_csv(path)
        except FileNotFoundError:
            raise RunFolderError(f"{path}: no such file; its state is: {self.state}") from None
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{path}: cannot be read ({error})") from None


class Sweep(_FolderWithTable):
    """A sweep over seeds or arms in its folder, as it was when it was opened.

    Attributes:
        path, state, reason, config: as of a `Run`.
        summary: its results; None where there are none yet.
    """

    summary: SweepSummary | None

    @cached_property
    def runs(self) -> Runs[Run]:
        """Those that were started, in the order of the plan: by arm, then by seed."""
        planned = {job.name: i for i, job in enumerate(self.summary.jobs)} if self.summary else {}

        def order(name: str) -> tuple[int, list[int | str]]:
            # `m10` after `m2`.
            return planned.get(name, len(planned)), [
                int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)
            ]

        jobs = self.path / "jobs"
        names = sorted(saved.run_names(jobs), key=order)
        return Runs([(Run.read(jobs / name, self.path), None) for name in names])

    @property
    def arms(self) -> dict[str, Runs[Run]]:
        """Its runs by the name of their arm."""
        names = dict.fromkeys(run.arm for run in self.runs)
        return {name: Runs([(run, None) for run in self.runs if run.arm == name]) for name in names}

    @cached_property
    def metrics(self) -> Columns:
        """Raises RunFolderError: only its runs have metrics."""
        raise RunFolderError(f"{self.path}: a sweep, whose metrics are those of its runs: sweep.runs[0].metrics")

    def frame(self) -> pandas.DataFrame:
        """Its runs, as `Runs.frame`."""
        return self.runs.frame()


class RangeTest(_FolderWithTable):
    """A learning-rate range test in its folder, as it was when it was opened.

    Attributes:
        path, state, reason, config: as of a `Run`.
        summary: its results, such as `summary.bounds.base_lr`; None where there are none yet.
    """

    summary: RangeSummary | None

    @cached_property
    def curves(self) -> dict[int, Columns]:
        """By seed: `step`, `learning_rate` and `loss`, float64, shape [updates]. Raises RequestError where a file is
        damaged."""
        files = ((path, re.fullmatch(r"steps-seed(\d+)", path.stem)) for path in self.path.glob("steps-seed*.csv"))
        seeds = {int(match[1]): path for path, match in files if match}
        return {seed: read_metrics(seeds[seed]) for seed in sorted(seeds)}


class Analysis(_FolderWithTable):
    """What a comparison, a replay or a recommendation of runs found, in its folder.

    Attributes:
        path, state, reason: as of a `Run`.
        summary: its results, such as `summary.conclusions`; None where it failed.
    """

    summary: AnalysisSummary | None

    @property
    def progress(self) -> str:
        """A dash: nothing is trained."""
        return "–"


# In a line.
_NAMES_SHOWN = 3
# Columns of a frame of runs whose missing values must not make them fractions.
_COUNTS = ("seed", "epochs", "best_epoch", "final_epoch", "saved_epoch")

AnyKind = Run | Sweep | RangeTest | Analysis
AnyRun = TypeVar("AnyRun", bound=_FolderWithReport, covariant=True)


class Runs(Sequence[AnyRun]):
    """Runs in a sequence. In a notebook it is shown as the table of `stopcli list`."""

    def __init__(self, runs: Sequence[tuple[AnyRun, BestValue | None]], metric: str = "") -> None:
        """Runs, each with the value that it is sorted by, where they are sorted by a metric."""
        self._rows = tuple(runs)
        self._metric = metric

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> AnyRun: ...
    @overload
    def __getitem__(self, index: slice) -> Runs[AnyRun]: ...
    def __getitem__(self, index: int | slice) -> AnyRun | Runs[AnyRun]:
        return Runs(self._rows[index], self._metric) if isinstance(index, slice) else self._rows[index][0]

    def __iter__(self) -> Iterator[AnyRun]:
        return (run for run, _ in self._rows)

    def __repr__(self) -> str:
        names = [run.path.name for run in self[:_NAMES_SHOWN]] + ["…"] * (len(self) > _NAMES_SHOWN)
        return f"<{counted(len(self), 'run')}{': ' if names else ''}{', '.join(names)}>"

    def _repr_html_(self) -> str:
        return self.table._repr_html_()

    @property
    def table(self) -> Table:
        """The table of `stopcli list`, cells as text."""
        return list_table(self._rows, self._metric)

    def frame(self, *settings: str) -> pandas.DataFrame:
        """A row for each, as a pandas DataFrame: what it is, how it ended, and the metrics of its final and its saved
        model and of its refit, such as `test_accuracy`, `saved_test_accuracy` and `refit_test_accuracy`. What a run
        does not have is missing in its row.

        Args:
            settings: names in config.toml that become columns too, such as `"learning_rate"`; of one that is a column
                already, such as the epochs trained, `"setting_epochs"`.
        """
        import pandas

        frame = pandas.DataFrame([_row(run, settings) for run in self])
        if frame.empty:
            return frame
        counts = [name for name in _COUNTS if name in frame]
        frame = frame.astype(dict.fromkeys(counts, "Int64"))
        return frame.assign(started=pandas.to_datetime(frame["started"], utc=True))


def _row(run: _FolderWithReport, settings: Sequence[str]) -> dict[str, Any]:
    """A run in a frame: None where something is not known of it."""
    results, config = run.results, dict[str, Any]()
    with contextlib.suppress(RequestError):
        config = dict(run.config)
    stop = results and results.stop
    row: dict[str, Any] = {
        "run": run.path.name,
        "command": run.command,
        "name": run.name,
        "state": run.state,
        "reason": run.reason,
        "arm": run.arm if run.sweep else None,
        "seed": seed if type(seed := config.get("seed")) is int else None,
        "started": run.started,
        "epochs": results.epochs if results else run.status.epoch,
        "stop_reason": stop and stop.reason,
        "monitor": results and results.monitor,
        "best_epoch": stop and stop.best_epoch,
        "best_value": stop and stop.best_value,
        "train_seconds": results and results.train_seconds,
        **(_values(results.final, "") if results else {}),
        **(_values(results.best, "saved_") if results and results.best else {}),
        **(_values(results.refit.values, "refit_") if results and results.refit and results.refit.values else {}),
        "bytes": run.bytes_on_disk,
        "path": str(run.path),
    }
    # Those of a recorded run are a table of their own.
    config = {**config.get("settings", {}), **config}
    return row | {f"setting_{name}" if name in row else name: config.get(name) for name in settings}


def _values(model: ModelValues, prefix: str) -> dict[str, Any]:
    """A model's epoch and metrics, by the names that they have in table.csv."""
    values: dict[str, Any] = {f"{prefix or 'final_'}epoch": model.epoch}
    for part in ("train", "val", "test"):
        values |= {f"{prefix}{part}_{name}": value for name, value in (getattr(model, part) or {}).items()}
    return values


def open(path: str | os.PathLike[str], runs_dir: str | os.PathLike[str] | None = None) -> AnyKind:
    """Open a run, a sweep, a range test or an analysis of runs, to read what is in its folder; or a CSV file of metrics
    that another program wrote.

    Args:
        path: the folder or the file; or a run's name as `stopcli list` prints it, or as much of its beginning as no
            other run has, or `last`. In a sweep, `SWEEP/NAME` is one of its runs.
        runs_dir: the folder of the runs that names are looked up in; that of STOPCLI_RUNS_DIR, else `runs`, where it is
            None.

    Raises:
        RunFolderError: there is no such run, or several have names that begin so.
        RequestError: the system refuses the path, or the file is no CSV file with a column `epoch`.
    """
    folder = saved.resolve_run(_path(path), _root(runs_dir), analyses=True)
    if is_recording(folder):
        recording = read_recording(folder)
        return CsvRun(**{field.name: getattr(recording, field.name) for field in fields(recording)})
    check_is_made_here(folder)
    sweep = folder.parent.parent
    is_job = folder.parent.name == "jobs" and (sweep / "status.json").is_file()
    return _opened(saved.Run.read(folder, sweep if is_job else None))


def list_runs(
    runs_dir: str | os.PathLike[str] | None = None,
    *,
    command: str | Sequence[str] = (),
    name: str = "",
    state: str | Sequence[str] = (),
    sort: str = "started",
    reverse: bool = False,
) -> Runs[AnyKind]:
    """The runs in the runs folder, as `stopcli list` has them.

    Args:
        runs_dir: as of `open`.
        command, state: only runs of this command, or of any of several; in this state, or in any of several.
        name: only runs with this in the name of their folder or in that of `--name`; or a pattern, such as `*-night`.
        sort: `started` (the newest last), `name`, `size`, `epochs` (the largest first), `state`; or a metric, such as
            `val_loss`, by its best epoch: the best run first, those without it last.
        reverse: the other way round.

    Raises:
        ConfigError: there is no such command, state or column.
        RunFolderError: the folder cannot be read.
    """
    run_filter = RunFilter(_texts(command), name, _texts(state))
    runs = run_filter.select(saved.runs_in(_root(runs_dir)), COMMANDS)
    order = Order(sort, reverse)
    return Runs([(_opened(run), value) for run, value in order.sort(runs)], order.metric)


def _texts(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


def _opened(run: saved.Run) -> AnyKind:
    """A run as the class of its kind, which a damaged summary does not tell."""
    values = (run.path, run.status, run.summary, run.damages, run.sweep)
    kind: type[AnyKind] = Run
    if isinstance(run.summary, AnalysisSummary) or holds_no_run(run.path):
        kind = Analysis
    elif isinstance(run.summary, SweepSummary) or (run.path / "jobs").is_dir():
        kind = Sweep
    elif isinstance(run.summary, RangeSummary) or _FolderWithReport(*values).command == "lr-range":
        kind = RangeTest
    return kind(*values)


def _path(path: str | os.PathLike[str]) -> Path:
    # A shell would have put the home directory in.
    return parse_path(os.path.expanduser(os.fspath(path)))  # noqa: PTH111, it raises nothing where there is none


def _root(runs_dir: str | os.PathLike[str] | None) -> Path:
    return runs_root(None if runs_dir is None else _path(runs_dir))
