"""A sweep that is ended before any of its runs has finished. Trains nothing, and needs no TensorFlow."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from program import run, summary_of

from stopcli.configs.base import parse, to_toml
from stopcli.configs.clr import ClrConfig
from stopcli.configs.cutout_sweep import CutoutSweepConfig
from stopcli.configs.moons import MoonsConfig
from stopcli.errors import RequestError
from stopcli.recipes.base import LoadedConfig
from stopcli.recipes.moons import Moons
from stopcli.runner.sweep import RunJob, run_sweep
from stopcli.runs.folder import RunFolder
from stopcli.sweeps.layout import Layout
from stopcli.sweeps.plan import Job, plan_jobs
from stopcli.training.session import NullObserver, Session, StopRequest
from stopcli.training.state_file import data_fingerprint

SWEEPS = {
    "cutout-sweep": parse(CutoutSweepConfig, {"dataset": "digits", "m": (2, 4), "epochs": 12}),
    "clr": parse(ClrConfig, {"dataset": "digits", "policy": ("triangular",), "epochs": 12}),
    "moons": parse(MoonsConfig, {"seeds": 2, "epochs": 12}),
}


@pytest.mark.parametrize("config", SWEEPS.values(), ids=list(SWEEPS))
def test_before_a_run_has_finished_it_shows_how_far_runs_are_and_no_table_of_dashes(
    config: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs, request = plan_jobs(config), StopRequest()
    request.ask(signal.SIGINT)
    with RunFolder.create(root=Path(), command=config.command, run_dir=Path("sweep")) as folder:
        folder.write_config(to_toml(config))
        with RunFolder.create(root=folder.jobs, command="x", run_dir=folder.jobs / jobs[0].name) as job:
            job.write_config(to_toml(jobs[0].config))
            job.status.write("interrupted", "Ctrl-C", epoch=7)
        layout = Layout("in-process", 1, None)
        run_sweep(LoadedConfig(config, None), folder, layout, lambda _: None, Session(request=request))
    check_said(config, jobs)
    assert run("show", "sweep") == 0
    assert "7/12" in capsys.readouterr().out
    # Had its process been killed, the runs alone would tell.
    Path("sweep/summary.json").unlink()
    assert run("report", "sweep") == 0
    text = Path("sweep/report.md").read_text()
    assert f"| {jobs[0].name} | interrupted |" in text
    missing = f"{config.arm_label(jobs[1].arm)} (seed {jobs[1].config.seed} not begun)"
    assert f"Not finished: {missing}" in text


def check_said(config: Any, jobs: Sequence[Job[Any]]) -> None:
    """Hold what a sweep's folder says of jobs of which one was interrupted."""
    table = summary_of("sweep")["table"]
    assert table["columns"] == ["run", "state", "epoch"]
    assert table["rows"][:2] == [[jobs[0].name, "interrupted", "7/12"], [jobs[1].name, "not begun", "–"]]
    assert len(table["rows"]) == len(jobs)
    assert f"| {jobs[0].name} | interrupted | 7/12 |" in Path("sweep/report.md").read_text()
    assert summary_of("sweep")["conclusions"][0].startswith(f"Not finished: {config.arm_label(jobs[0].arm)} (seed 0 ")


def test_a_job_whose_rows_are_not_those_of_its_sweep_is_refused() -> None:
    config = SWEEPS["moons"]
    loaded, (job, *_) = Moons().load(config, NullObserver()), plan_jobs(config)
    rows = data_fingerprint(loaded.data)["data"]
    RunJob(Path(), rows={job.arm: rows})._check_rows(job, loaded)
    with pytest.raises(
        RequestError, match=r"no-stopping-seed0: data\(\) returned other rows than it did for the sweep"
    ):
        RunJob(Path(), rows={job.arm: rows[::-1]})._check_rows(job, loaded)
