"""The saved state that a run goes on from: the newest that can be read and that goes with what the run has recorded."""

from __future__ import annotations

from pathlib import Path

from stopcli.errors import CheckpointError, RecordError
from stopcli.runs.appended import check_prefix
from stopcli.training.resume_state import PassedOver, ResumePoint, ResumeStore

# Event files show what stands in metrics.csv, and are written again from there.
_DERIVED = "tensorboard/"


def find_position(run: Path, *, tensorboard: bool) -> tuple[ResumePoint | None, tuple[str, ...]]:
    """Where a run goes on from, and what was passed over on the way there; None where no state was saved.

    A state is taken only where the files that the run appends to begin as they did when it was saved. So neither a
    state of another run is gone on from, nor are epochs appended to a record that somebody has changed.

    Args:
        tensorboard: whether event files are written.

    Raises:
        RecordError: states can be read, and the run's record is not as it was at any of them.
        CheckpointError: there are states, and none of them can be read.
    """
    found = ResumeStore(run / "checkpoints" / "resume").load(lambda point: _check_record(run, point))
    if found.point is not None:
        warnings = [f"{_words(each)}; the state before it is used" for each in found.passed_over]
        return found.point, (*warnings, *(_changed_events(run, found.point) if tensorboard else ()))
    again = f"stopcli run {run / 'config.toml'} begins again, in a new folder."
    # The oldest is the surest to be the run's own.
    for each in reversed(found.passed_over):
        if isinstance(each.error, RecordError):
            raise RecordError(each.error.message, hint=f"Put the file back as it was and resume; or {again}")
    if found.passed_over:
        told = "; ".join(_words(each) for each in found.passed_over)
        raise CheckpointError(f"{run}: no saved state can be read: {told}", hint=again)
    return None, ()


def _words(passed_over: PassedOver) -> str:
    path, error = passed_over
    return f"{path}: does not go with {error.message}" if isinstance(error, RecordError) else error.message


def _check_record(run: Path, point: ResumePoint) -> None:
    for name, prefix in point.files.items():
        if not name.startswith(_DERIVED):
            check_prefix(run / name, prefix)


def _changed_events(run: Path, point: ResumePoint) -> list[str]:
    warnings = []
    for name, prefix in point.files.items():
        if name.startswith(_DERIVED):
            try:
                check_prefix(run / name, prefix)
            except RecordError as error:
                warnings.append(f"{error.message}; it is written again from metrics.csv")
    return warnings
