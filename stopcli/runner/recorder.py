"""`stopcli.Recorder`: keeps the epochs of anybody's training as a run, and says when to stop."""

from __future__ import annotations

import atexit
import functools
import operator
import os
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from stopcli.configs.base import RunConfig
from stopcli.errors import ConfigError, MetricError, RequestError, RunError, in_a_line
from stopcli.quantities import counted, numbered
from stopcli.runner.epoch_log import EpochLog
from stopcli.runner.epoch_rules import EpochRules, check_names, single_number
from stopcli.runner.keras_hooks import KerasHooks
from stopcli.runner.recorded import config_toml, description, model_values, plain_settings, write_environment
from stopcli.runs.files import write_json
from stopcli.runs.folder import RunFolder, check_can_be_made, runs_root
from stopcli.runs.headline import headline_of
from stopcli.runs.metrics import Row, read_metrics
from stopcli.runs.status import RunState
from stopcli.runs.summary import RECORDED, ReportParts, RunSummary
from stopcli.stopping.rule import Rule, Verdict, mode_warning, resolve_direction

_STATES: dict[str, RunState] = {"non_finite": "failed", "failed": "failed", "interrupted": "interrupted"}


class Recorder(KerasHooks):
    """Records a training that is not stopcli's own as a run, and says when a rule stops it.

    By hand, with any framework::

        with Recorder("runs", name="by-hand", rule=Patience(20, monitor="val_rmse")) as run:
            for epoch in range(200):
                ...
                if run.epoch(loss=loss, val_rmse=error):
                    break

    or as a callback of Keras::

        recorder = Recorder("runs", name="lstm", seed=3, settings={"units": 32}, rule=Patience(20, monitor="val_loss"))
        model.fit(x, y, validation_data=(xv, yv), epochs=200, callbacks=[recorder])

    The folder is that of any run: `stopcli list`, `show`, `replay`, `compare` and `report` read it. It is made when the
    block or `fit` begins, when the first epoch is recorded, or when `path` is read, whichever is first. An epoch is on
    the disk within a second. A disk that is full ends no training: what waits is written when there is room, and what
    is lost in the end is warned of.

    Metrics are named as Keras names them: `rmse` of the rows that train, `val_rmse` of those that validate, `test_rmse`
    of those that choose nothing. Epochs are counted from 1, over several calls of `fit` too.

    Args:
        runs_dir: the folder of the runs; that of STOPCLI_RUNS_DIR, or `runs`, where it is left out.
        name: becomes a part of the folder's name.
        seed: of the training, ≥ 0. Runs that differ by it only are compared as seeds of one experiment.
        epochs: at most so many, ≥ 1: `epoch` is True at the last one. Left out, the script decides.
        settings: what the training depends on, by name: text, numbers, true or false, lists, dictionaries.
        rule: when to stop; None to record only.
        headline: the metric that counts, such as `rmse`, without the prefix of its rows. Left out, it is that of the
            rule, else the first metric whose direction is known, a loss only where there is no other.
        unit: of its values, such as `°C`.
        mode: `min` or `max`, where its name does not tell which is better.
        run_dir: the run's folder itself, which has to be new.
        tensorboard: whether TensorBoard files are written too.

    Raises:
        ConfigError: an argument has a value that it cannot have.
        RunFolderError: the folder cannot be made, or exists.
    """

    def __init__(
        self,
        runs_dir: str | os.PathLike[str] | None = None,
        *,
        name: str = "",
        seed: int = 0,
        epochs: int | None = None,
        settings: Mapping[str, Any] | None = None,
        rule: Rule[Any] | None = None,
        headline: str = "",
        unit: str = "",
        mode: str = "auto",
        run_dir: str | os.PathLike[str] | None = None,
        tensorboard: bool = False,
    ) -> None:
        super().__init__()
        texts = {"name": name, "headline": headline, "unit": unit}
        options = {"seed": seed, "epochs": epochs, "settings": settings, "rule": rule, "mode": mode}
        self._arguments: dict[str, Any] = {
            "runs_dir": runs_dir,
            "run_dir": run_dir,
            "tensorboard": tensorboard,
            **texts,
            **options,
        }
        for key, value in texts.items():
            if not isinstance(value, str) or not value.isprintable():
                raise ConfigError(key, value, "text in a line")
        if rule is not None and not isinstance(rule, Rule):
            raise ConfigError("rule", rule, "a stopping rule, such as Patience(20, monitor='val_loss')")
        # Absolute, because scripts change their working folder.
        self._root = runs_root(None if runs_dir is None else Path(runs_dir)).absolute()
        self._run_dir = None if run_dir is None else Path(run_dir).absolute()
        self.name, self.seed, self.rule, self.tensorboard = name, _whole("seed", seed, 0), rule, tensorboard
        self.epochs = None if epochs is None else _whole("epochs", epochs, 1)
        RunConfig(name=name, seed=self.seed).check()
        self.settings = plain_settings(settings or {}, {"name": name, "seed": self.seed, "epochs": self.epochs})
        if mode != "auto" and not headline:
            raise ConfigError("mode", mode, "a headline beside it: the metric whose direction it is")
        counting = headline_of(headline, resolve_direction(headline, mode), unit) if headline else None
        self._warnings = [*filter(None, [mode_warning(headline, mode)])] if headline else []
        self._rules = EpochRules(rule, counting, unit)
        check_can_be_made(self._root, self._run_dir)
        self._folder: RunFolder | None = None
        self._log: EpochLog | None = None
        self._process, self._names = 0, dict[str, None]()
        self._count, self._planned, self._last = 0, self.epochs, Row()
        self._since = self._seconds = 0.0
        self._in_block = self._closed = self._has_warned = False

    @property
    def path(self) -> Path:
        """The run's folder, which is made now where it was not made before."""
        return self._started().path

    @property
    def verdict(self) -> Verdict | None:
        """Why the rule, or a metric that is not finite, stopped the training; None where nothing did."""
        return self._rules.verdict

    @property
    def best_epoch(self) -> int:
        """The best epoch so far, 0 before there is one: by the rule's metric or, where a headline was given, by that,
        on the rows that validate or else on those that train."""
        return self._rules.best.state.epoch

    @property
    def is_best(self) -> bool:
        """Whether the last epoch is the best so far: the time to save the model."""
        return self._count > 0 and self.best_epoch == self._count

    def epoch(self, /, **metrics: Any) -> bool:
        """Record an epoch.

        Args:
            metrics: the same names in every epoch; numbers, or arrays and tensors of one value and no dimension. None
                for one that was not measured in this epoch, which rules on it skip.

        Returns:
            True where training is to stop now.

        Raises:
            MetricError: a metric is missing, is new, or is not a number.
            RunError: the run has ended.
        """
        if self._closed:
            raise RunError("this Recorder is closed; expected a new Recorder for another run")
        return self._record(metrics, strict=True)

    def close(self) -> None:
        """End the run where no `with` block ends it, such as in a notebook. A second time it does nothing."""
        self._end(None)

    def __enter__(self) -> Recorder:
        if self._closed:
            raise RunError("this Recorder is closed; expected a new Recorder for another run")
        self._started()
        self._in_block = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_block = False
        self._end(error)

    def __reduce__(self) -> Any:
        """Copies and pickles are of one that has not recorded yet: such as for the workers of a search."""
        if self._folder is not None:
            raise TypeError("a Recorder that has begun to record cannot be copied or pickled")
        return functools.partial(Recorder, **self._arguments), ()

    def __repr__(self) -> str:
        where = "not begun" if self._folder is None else f"{self._folder.path}, {counted(self._count, 'epoch')}"
        return f"<stopcli.Recorder: {where}>"

    def _started(self) -> RunFolder:
        """The folder, made where that has not happened yet."""
        if self._folder is None:
            folder = RunFolder.create(
                root=self._root, command=RECORDED, name=self.name, run_dir=self._run_dir, config=self._config()
            )
            folder.__enter__()
            try:
                write_environment(folder)
                folder.log(f"started: {self._config()}")
            except BaseException as error:
                folder.__exit__(type(error), error, error.__traceback__)
                raise
            self._begin(folder, EpochLog(folder, self._config if self.tensorboard else None))
        elif self._process != os.getpid():
            raise RunError(
                f"this Recorder records for process {self._process}, not for one that was forked from it; expected "
                "another Recorder here"
            )
        assert self._folder is not None
        return self._folder

    def _begin(self, folder: RunFolder, log: EpochLog) -> None:
        self._folder, self._log, self._process, self._closed = folder, log, os.getpid(), False
        self._since = time.perf_counter()
        self._earlier_error = _last_error()
        atexit.register(self._end_with_process)

    def _continue(self) -> None:
        """Open the folder again, for another call of `fit`."""
        before, folder = self._log, self._folder
        assert before is not None
        assert folder is not None
        if self.verdict is not None or self._count == self.epochs:
            reason = self.verdict.rule if self.verdict else f"all of its {counted(self._count, 'epoch')} are recorded"
            raise RequestError(f"{folder.path} has ended ({reason}); expected a new Recorder for another fit")
        folder = RunFolder.reopen(folder.path)
        folder.__enter__()
        try:
            folder.status.write("running", epoch=self._count)
            log = EpochLog(folder, self._config if self.tensorboard else None, before)
        except BaseException as error:
            folder.__exit__(type(error), error, error.__traceback__)
            raise
        self._begin(folder, log)

    def _config(self) -> str:
        return config_toml(
            name=self.name,
            seed=self.seed,
            epochs=self._planned,
            headline=self._rules.headline,
            rule=self.rule,
            tensorboard=self.tensorboard,
            settings=self.settings,
        )

    def _record(self, metrics: Mapping[str, Any], *, strict: bool) -> bool:
        """Record an epoch. `strict`: whether its metrics have to be those of the epochs before."""
        folder, log, epoch = self._started(), self._log, self._count + 1
        assert log is not None
        if self.verdict is not None or self._count == self.epochs:
            reason = self.verdict.rule if self.verdict else "it was the last"
            raise RunError(
                f"training went on after epoch {self._count} ({reason}); expected it to end where epoch() returns True"
            )
        is_known = metrics.keys() == self._names.keys()
        if not is_known:
            check_names(metrics, self._names, epoch, strict=strict)
        values = {
            name: value if type(value) is float else single_number(name, value, epoch)
            for name, value in metrics.items()
        }
        if not is_known:
            self._add_names(folder, log, values)
        row = tuple([values.get(name) for name in log.names])
        now = time.perf_counter()
        log.add(row, now - self._since)
        self._seconds += now - self._since
        self._since, self._count, self._last = now, epoch, row
        headline = self._rules.headline
        self._rules.update(epoch, log.names, row)
        if self._rules.headline is not headline:
            self._rewrite_config(folder)
        # Last: Ctrl-C while it waits for the disk leaves all of the epoch, or nothing.
        log.flush_in_time()
        if log.problem and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"{folder.path}: epochs cannot be written ({log.problem}); training goes on, and they are written when "
                "there is room",
                RuntimeWarning,
                stacklevel=3,
            )
        return self.verdict is not None or epoch == self.epochs

    def _add_names(self, folder: RunFolder, log: EpochLog, values: Mapping[str, Any]) -> None:
        """Take the metrics of the first epoch, or new ones of a later epoch of Keras's."""
        names = dict.fromkeys([*self._names, *values])
        may_come = self._rules.check_monitors(
            [*values], self._count + 1, validated=not self._in_fit or self._was_validated
        )
        if may_come and not self._names:
            self._warn(f"epoch 1 has no {may_come[0]}, because it was not validated; rules on it skip such epochs")
        if names != self._names:
            self._rules.set_names([*names])
            log.names.extend(name for name in names if name not in self._names)
            self._names = names
            self._rewrite_config(folder)

    def _rewrite_config(self, folder: RunFolder) -> None:
        """Have in config.toml what is only known by now: the metric that counts, the epochs that `fit` plans."""
        try:
            folder.write_config(self._config())
        except OSError as error:
            self._warn(f"config.toml cannot be written ({in_a_line(error)})")

    def _warn(self, text: str) -> None:
        """Warn now, and in the results. A sentence without a full stop."""
        self._warnings.append(text)
        warnings.warn(f"stopcli.Recorder: {text}", RuntimeWarning, stacklevel=4)

    def _end(self, error: BaseException | None, reason: str = "") -> None:
        """End the run: with what was raised, or because of something else that the results give as the reason."""
        folder, log = self._folder, self._log
        if folder is None or log is None or self._closed or self._process != os.getpid():
            return
        self._closed = True
        atexit.unregister(self._end_with_process)
        try:
            log.close()
            verdict = self._ending(error, reason)
            if log.waiting:
                lost = f"metrics.csv lacks {numbered('epoch', log.waiting)}: {log.problem}"
                self._warn(lost)
                verdict = Verdict("failed", lost, self._count)
            elif not self._count and error is None:
                self._warn(f"{folder.path}: no epoch was recorded")
            state = _STATES.get(verdict.reason, "finished")
            # First, so that it is right whatever happens while figures are drawn.
            folder.status.write(state, _reason(verdict), epoch=self._count, outside=bool(log.waiting))
            if self._count:
                self._write_results(folder, log, verdict, state)
        except OSError as problem:
            self._warn(f"{folder.path}: the results cannot be written ({in_a_line(problem)})")
        except Exception as problem:
            # The training has succeeded, and whatever the script does next must not be lost for a report.
            folder.note(traceback.format_exc())
            self._warn(f"{folder.path}: the results cannot be written ({in_a_line(problem)}); its log.txt says where")
        finally:
            folder.__exit__(None, None, None)

    def _ending(self, error: BaseException | None, reason: str) -> Verdict:
        """Why the run ends."""
        count, planned = self._count, self._planned
        if isinstance(error, Exception):
            return Verdict("failed", in_a_line(error), count)
        if error is not None:
            return Verdict("interrupted", "Ctrl-C" if isinstance(error, KeyboardInterrupt) else in_a_line(error), count)
        if self.verdict is not None:
            return self.verdict
        if not count:
            return Verdict("failed", "no epoch was recorded", 0)
        if reason and count != planned:
            return Verdict("interrupted", reason, count)
        if planned is not None and count < planned:
            return Verdict("script", "the script ended the training", count)
        return Verdict("completed", counted(count, "epoch"), count)

    def _end_with_process(self) -> None:
        """At the end of a process that did not end the run itself."""
        error = _last_error()
        self._end(None if error is self._earlier_error else error, "the end of the process, before Recorder.close()")

    def _write_results(self, folder: RunFolder, log: EpochLog, verdict: Verdict, state: RunState) -> None:
        # Only now: it imports what draws and writes reports.
        from stopcli.report.drawing import import_for_the_user
        from stopcli.runner.report import recorded_figures, write_results
        from stopcli.training.session import Stopwatch

        import_for_the_user()
        headline = self._rules.headline
        assert headline is not None
        best, by_rule = self._rules.best, self._rules.best_by_rule
        values, steps = functools.partial(model_values, log.names), self._steps_per_epoch
        seconds, validation = round(self._seconds, 3), round(self._validation_seconds, 3)
        summary = RunSummary(
            command=RECORDED,
            name=self.name,
            state=state,
            scale="",
            dataset="",
            seed=self.seed,
            epochs=self._count,
            max_epochs=self._planned,
            steps=steps and steps * self._count,
            steps_per_epoch=steps,
            parameters=None,
            copies=1,
            rows=None,
            monitor=by_rule.monitor,
            stop=verdict.with_best(by_rule.monitor, by_rule.state.epoch, by_rule.state.value),
            final=values(self._last, self._count),
            best=values(best.row, best.state.epoch, best.monitor) if best.state.epoch else None,
            test_interval={"final": None, "best": None},
            selection=None,
            run_dir=str(folder.path),
            warnings=tuple(self._warnings),
            samples_per_second=None,
            train_seconds=round(seconds - validation, 3),
            validation_seconds=validation or None,
            train_and_validation_seconds=seconds,
            projected_train_seconds=None,
            arm=self.name,
            headline=headline,
        )
        stopwatch, title = Stopwatch(self._seconds), f"{self.name or folder.path.name}, seed {self.seed}"
        stopwatch.move("startup", "train", self._seconds)
        lines = description(self.settings, self.rule)
        # The figures take seconds, in which somebody may press Ctrl-C again.
        write_json(folder.summary, replace(summary, report=ReportParts(title, lines, (), ())))
        write_results(
            folder,
            summary,
            lines,
            stopwatch,
            title=title,
            files={},
            figures=lambda: recorded_figures(summary, read_metrics(folder.metrics, recorded=True), title),
        )

    # What KerasHooks calls.

    def _begin_fit(self) -> None:
        if self._closed:
            self._continue()
        self._started()
        self._since = time.perf_counter()

    def _plan(self, epochs: int) -> None:
        planned = self._count + epochs
        if self.epochs is None and planned != self._planned:
            self._planned = planned
            self._rewrite_config(self._started())

    def _record_logs(self, metrics: Mapping[str, Any]) -> bool:
        if self._log is not None:
            self._log.steps_per_epoch = self._steps_per_epoch or self._log.steps_per_epoch
        try:
            return self._record(metrics, strict=False)
        except MetricError as error:
            # Keras ends the fit without another hook.
            if not self._in_block:
                self._end(error)
            raise

    def _end_fit(self) -> None:
        if not self._in_block:
            self._end(None)


def _whole(name: str, value: object, least: int) -> int:
    """An option that is a whole number, NumPy's too. Raises ConfigError where it is not, or is less than `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < least:
        raise ConfigError(name, value, f"a whole number ≥ {least}")
    return operator.index(value)


def _reason(verdict: Verdict) -> str:
    return verdict.rule if verdict.reason in _STATES else ""


def _last_error() -> BaseException | None:
    """The last exception that nothing has caught, which ends a script."""
    error: BaseException | None = getattr(sys, "last_value", None)
    return error
