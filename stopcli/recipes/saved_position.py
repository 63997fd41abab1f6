"""The saved state that a run is resumed from: the newest that can be read and that matches the recorded metrics."""

from __future__ import annotations

from pathlib import Path

from stopcli.errors import CheckpointError, RecordError
from stopcli.runs.appended import check_prefix
from stopcli.training.resume_state import PassedOver, ResumePoint, ResumeStore

# Event files show what stands in metrics.csv, and are written again from there.
_DERIVED = "tensorboard/"


def find_position(run: Path, *, tensorboard: bool) -> tuple[ResumePoint | None, tuple[str, ...]]:
    """The position to resume from, and warnings about states that cannot be used; None where no state was saved.

    A state is used only where the files that the run appends to begin as they did when it was saved. So neither is the
    state of another run resumed, nor are epochs appended to a record that somebody has changed.

    Args:
        tensorboard: whether event files are written.

    Raises:
        RecordError: states can be read, and the run's record does not match any of them.
        CheckpointError: there are states, and none of them can be read.
    """
    loaded = ResumeStore(run / "checkpoints" / "resume").load(lambda point: _check_record(run, point))
    problems = [_problem(passed_over) for passed_over in loaded.passed_over]
    if loaded.point is not None:
        warnings = [f"{problem}; the state before it is used" for problem in problems]
        return loaded.point, (*warnings, *(_changed_events(run, loaded.point) if tensorboard else ()))
    if not problems:
        return None, ()
    new_run = f"stopcli run {run / 'config.toml'} starts over, in a new folder."
    # The oldest is the surest to be the run's own.
    for _, error in reversed(loaded.passed_over):
        if isinstance(error, RecordError):
            raise RecordError(error.message, hint=f"Restore the file as it was and resume; or {new_run}")
    raise CheckpointError(f"{run}: no saved state can be read: {'; '.join(problems)}", hint=new_run)


def _problem(passed_over: PassedOver) -> str:
    path, error = passed_over
    return f"{path}: does not match {error.message}" if isinstance(error, RecordError) else error.message


def _check_record(run: Path, point: ResumePoint) -> None:
    for name, prefix in point.files.items():
        if not name.startswith(_DERIVED):
            check_prefix(run / name, prefix)


def _changed_events(run: Path, point: ResumePoint) -> list[str]:
    """A warning for each event file that somebody has changed."""
    warnings = []
    for name, prefix in point.files.items():
        if name.startswith(_DERIVED):
            try:
                check_prefix(run / name, prefix)
            except RecordError as error:
                warnings.append(f"{error.message}; it is written again from metrics.csv")
    return warnings
