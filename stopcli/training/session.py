"""What a run is run under: who watches it, who may stop it, where its time is counted, and from where it begins."""

from __future__ import annotations

from dataclasses import dataclass, field

from stopcli.training.interruption import StopRequest
from stopcli.training.observer import Observer, Silent
from stopcli.training.pacing import Stopwatch
from stopcli.training.resume_state import ResumePoint


@dataclass(frozen=True)
class Session:
    """One process's work on a run; a resumed run has several."""

    observer: Observer = field(default_factory=Silent)
    request: StopRequest = field(default_factory=StopRequest)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True)
class Start:
    """From where a run begins.

    Attributes:
        point: the saved position; None for the first epoch.
        again: whether the folder was written before.
        force: whether to go on although what the numbers depend on has changed.
        retry_failed: of a sweep, whether to go on with runs that failed by an error of their own.
        notes: what the record of the run should say of this start, such as the changes that were forced.
        changed: the settings that are others from now on, by name; the run's config.toml is then written anew.
    """

    point: ResumePoint | None = None
    again: bool = False
    force: bool = False
    retry_failed: bool = False
    notes: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
