"""A job of a sweep in its folder: what is gone on with, what is left alone, and what a refusal leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from summaries import run_content

from stopcli.configs.base import parse
from stopcli.configs.moons import MoonsConfig
from stopcli.errors import CheckpointError, RequestError
from stopcli.runner import sweep as jobs
from stopcli.runner.sweep import RunJob
from stopcli.runs.folder import RunFolder
from stopcli.runs.run import Run
from stopcli.runs.status import StatusFile
from stopcli.sweeps.plan import Job, JobContext, collect, needs_run, plan_jobs
from stopcli.training.session import StopRequest


@pytest.fixture
def planned() -> Job[Any]:
    (job,) = plan_jobs(parse(MoonsConfig, {}))
    return job


def interrupted(job: Job[Any]) -> Path:
    with RunFolder.create(root=Path(), command="moons", run_dir=Path(job.name)) as folder:
        folder.write_config("")
        folder.status.write("interrupted", "Ctrl-C", epoch=7)
        return folder.path


def status(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((path / "status.json").read_text())
    return read


def run(job: Job[Any]) -> None:
    RunJob(Path().resolve())(job, JobContext(StopRequest()))


def test_a_refused_job_stays_as_it_was_and_can_be_forced(planned: Job[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    path = interrupted(planned)

    def refuse(*_: Any, **__: Any) -> None:
        raise RequestError("another version of Keras")

    monkeypatch.setattr(jobs, "prepare", refuse)
    with pytest.raises(RequestError):
        run(planned)
    assert (status(path)["state"], status(path)["epoch"]) == ("interrupted", 7)
    assert needs_run(Run.read(path), retry_failed=False)
    (result,) = collect([planned], Path(), {planned.name: "another version of Keras"})
    assert (result.state, result.reason) == ("failed", "another version of Keras")


def test_a_job_whose_states_are_damaged_has_failed(planned: Job[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    path = interrupted(planned)

    def damaged(*_: Any, **__: Any) -> None:
        raise CheckpointError("no saved state can be read")

    monkeypatch.setattr(jobs, "prepare", damaged)
    with pytest.raises(CheckpointError):
        run(planned)
    assert status(path)["state"] == "failed"
    assert not needs_run(Run.read(path), retry_failed=False)
    assert needs_run(Run.read(path), retry_failed=True)


@pytest.mark.parametrize(
    ("state", "outside", "reason", "left", "when_retried"),
    [
        ("finished", False, "completed", False, False),
        ("interrupted", False, "interrupted", True, True),
        ("paused", False, "time_budget", True, True),
        ("running", False, "", True, True),
        ("failed", True, "", True, True),
        ("failed", False, "", False, True),
        ("failed", False, "non_finite", False, False),
    ],
)
def test_which_jobs_are_gone_on_with(
    state: Any, outside: bool, reason: str, left: bool, when_retried: bool, tmp_path: Path
) -> None:
    StatusFile(tmp_path / "status.json").write(state, outside=outside)
    (tmp_path / "summary.json").write_text(
        json.dumps(run_content(stop={"reason": reason, "rule": "a rule", "epoch": 1}))
    )
    assert needs_run(Run.read(tmp_path), retry_failed=False) == left
    assert needs_run(Run.read(tmp_path), retry_failed=True) == when_retried


def test_a_job_that_was_never_begun_is_left(tmp_path: Path) -> None:
    assert needs_run(Run.read(tmp_path / "nowhere"), retry_failed=False)
