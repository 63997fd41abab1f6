"""What a reproduction makes of folders as they may be found, and what it leaves; of runs that were written by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from program import run
from summaries import sweep_content
from written_runs import write_run

from stopcli.configs.base import to_toml
from stopcli.data.dataset import Examples, ImageSet
from stopcli.errors import RequestError, ResourceError, RunFolderError
from stopcli.reproduce import run as reproduction
from stopcli.reproduce.plan import Experiment, Sweep, plan, progress_of, read_all
from stopcli.reproduce.report import ReportContext, check_destination, write_reproduction
from stopcli.reproduce.results import results_of
from stopcli.reproduce.run import Plan, make_plan, reproduce
from stopcli.reproduce.spec import Images
from stopcli.sweeps.plan import plan_jobs
from stopcli.training.session import StopRequest

FILE = """
title = "T"
question = "Q?"
baseline = "a"
source = { text = "S", url = "https://example.org" }
config = { command = "moons", seeds = 3 }
[[arms]]
name = "a"
title = "A"
reported = [
  { measure = "saved_test_accuracy", value = 0.95, band = [0.9, 1.0], why = "w" },
  { measure = "test_accuracy", value = 0.9, band = [0.8, 1.0], why = "w" },
  { measure = "test_accuracy", value = 0.5, elsewhere = "another network" },
]
[[arms]]
name = "b"
title = "B"
settings = { patience = 3 }
reported = [{ measure = "test_accuracy", value = 0.8, band = [0.7, 0.9], why = "w" }]
"""
EXPERIMENTS = Path(__file__).parents[2] / "experiments"
ENVIRONMENT = {"argv": ["stopcli"], "versions": {}, "platform": "", "cpu": "", "cores": 1}
IMAGES = FILE.replace('"moons"', '"cifar-resnet", dataset = "cifar10", limit = 900') + "[quick]\ndepth = 8\n"


def experiment_of(text: str, images: Images | None = None) -> Experiment:
    Path("x.toml").write_text(text)
    (published,) = read_all([Path("x.toml")])
    return plan(published, "quick", images, None, Path("runs/reproduction"))


def no_meter(images: int, test_images: int) -> Any:
    raise AssertionError("there is nothing to measure")


def plan_of(text: str) -> Plan:
    Path("x.toml").write_text(text)
    root, to = Path("runs"), Path()
    return make_plan(
        [Path("x.toml")],
        scale="quick",
        load=lambda: Images("", {}),
        seeds=None,
        root=root,
        to=to,
        options=(),
        make_meter=no_meter,
    )


def write_sweep(
    sweep: Sweep,
    job: Mapping[str, Any] = MappingProxyType({}),
    state: str = "finished",
    summary: Mapping[str, Any] | None = None,
) -> None:
    """A sweep's folder.

    Args:
        job: how its second run differs from one that has finished.
        summary: of the sweep; None for one that tells of all its runs.
    """
    (sweep.folder / "jobs").mkdir(parents=True)
    (sweep.folder / "config.toml").write_text(to_toml(sweep.config))
    (sweep.folder / "status.json").write_text(json.dumps({"state": state}))
    jobs = plan_jobs(sweep.config)
    for i, planned in enumerate(jobs):
        changes = job if i == 1 else {}
        write_run(sweep.folder / "jobs" / planned.name, **{"seed": planned.config.seed, "columns": {}, **changes})
    failed = job.get("state", "finished") != "finished"
    finished = len(jobs) - failed
    content = sweep_content(state=state, finished=finished) if summary is None else summary
    if content:
        (sweep.folder / "summary.json").write_text(json.dumps(content))


DIVERGED = {"state": "failed", "summary": {"stop": {"reason": "non_finite", "rule": "loss is nan", "epoch": 3}}}


@pytest.mark.parametrize(
    ("state", "summary", "job", "progress"),
    [
        ("finished", None, {}, "finished"),
        ("failed", None, DIVERGED, "diverged"),
        # Ctrl-C after the last of its runs.
        ("interrupted", None, DIVERGED, "diverged"),
        ("failed", None, {"state": "failed"}, "unfinished"),
        ("paused", None, {"state": "paused"}, "unfinished"),
        # All runs are there, and the disk was full when their figures were to be drawn; or the process was killed.
        ("failed", {}, {}, "unfinished"),
        ("running", {}, {}, "unfinished"),
        ("failed", sweep_content(state="interrupted", finished=1), {}, "unfinished"),
    ],
)
def test_what_is_left_to_do_is_seen_from_the_runs(
    state: str, summary: Mapping[str, Any] | None, job: Mapping[str, Any], progress: str
) -> None:
    sweep = experiment_of(FILE).sweeps[0]
    assert progress_of(sweep) == "new"
    write_sweep(sweep, job, state, summary)
    assert progress_of(sweep) == progress


def test_a_plan_can_be_read_by_programs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.toml").write_text(FILE)
    assert run("reproduce", "x.toml", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["plan"] == [
        f"x/{arm}: 3 runs of moons, to be run in runs/reproduction/full/x/{arm}" for arm in ("a", "b")
    ]
    assert [path.name for path in Path().iterdir()] == ["x.toml"]


def test_published_results_have_names(capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(path.stem for path in EXPERIMENTS.glob("*.toml"))
    assert [published.name for published in read_all([])] == names
    assert [published.name for published in read_all([Path("moons"), Path("clr")])] == ["moons", "clr"]
    # The help has them too, and does not read the files for it.
    assert run("reproduce", "--help") == 0
    assert f"({', '.join(names)})" in " ".join(capsys.readouterr().out.split())
    # A file of the user's counts for more.
    Path("moons").write_text(FILE)
    (own,) = read_all([Path("moons")])
    assert own.title == "T"


def test_a_report_names_a_published_result_and_no_folder_of_this_machine() -> None:
    (published,) = read_all([Path("moons")])
    experiment = plan(published, "quick", None, None, Path("runs/reproduction"))
    results = [results_of(experiment)]
    write_reproduction(Path("out"), results, ReportContext("quick", (), None, ENVIRONMENT))
    page = Path("out/REPRODUCTION.md").read_text()
    assert "stopcli reproduce moons --to reproduced-moons" in page
    assert str(EXPERIMENTS) not in page


def test_a_folder_that_is_no_sweep_s_is_never_to_be_deleted() -> None:
    sweep = experiment_of(FILE).sweeps[0]
    write_sweep(sweep)
    (sweep.folder / "config.toml").unlink()
    with pytest.raises(RunFolderError, match="not a run folder") as raised:
        progress_of(sweep)
    assert raised.value.hint.endswith(f"mv {sweep.folder} {sweep.folder}-old")


def test_what_another_call_has_run_meanwhile_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan_of(FILE)
    started = []

    def run_both(sweep: Sweep, *_: object) -> str:
        started.append(sweep.arm)
        for other_sweep in planned.sweeps:
            write_sweep(other_sweep)
        return ""

    monkeypatch.setattr(reproduction, "run_sweep", run_both)
    lines: list[str] = []
    results, summary = reproduce(planned, Path(), StopRequest(), lines.append)
    assert started == ["a"]
    assert "already finished" in lines[1]
    assert summary["problems"] == {}
    assert [value.verdict for value in results[0].values] == [
        "reproduced", "reproduced", "shown, not judged", "reproduced",
    ]  # fmt: skip


def test_a_mean_over_some_of_the_runs_is_not_judged() -> None:
    experiment = experiment_of(FILE)
    write_sweep(experiment.sweeps[0], {"saved": None})
    saved, final, *_ = results_of(experiment).values
    assert saved.measured is not None
    assert (saved.measured.n, saved.verdict) == (2, "shown, not judged")
    assert final.measured is not None
    assert (final.measured.n, final.verdict) == (3, "reproduced")


def test_arms_are_compared_as_the_same_setting_was_reported() -> None:
    """By 0.9, not by the 0.5 of another network, B is lower."""
    experiment = experiment_of(IMAGES.replace("patience = 3", "erasing = true"), Images("digits", {}))
    for sweep in experiment.sweeps:
        write_sweep(sweep)
    (claim,) = results_of(experiment).claims
    assert claim.text == "B: test accuracy lower than A (reported -0.1)"


def test_files_that_are_shown_to_others_name_no_place_of_this_machine() -> None:
    images = Images("/a/secret/place/photos", {"limit": 800, "test_limit": 100})
    experiment = experiment_of(IMAGES.replace("patience = 3", "erasing = true"), images)
    context = ReportContext("quick", (), images, ENVIRONMENT)
    write_reproduction(Path("to"), [results_of(experiment)], context)
    written = [path for path in Path("to").rglob("*") if path.is_file()]
    assert len(written) == 3
    assert all("photos" in path.read_text() for path in written)
    assert not any("secret" in path.read_text() for path in written)


def test_which_seeds_were_run_is_said_from_the_runs() -> None:
    """With `--seeds 3` a published file of 30 seeds said that here every arm has 30."""
    path = EXPERIMENTS / "moons.toml"
    (published,) = read_all([path])
    experiment = plan(published, "full", None, 3, Path("runs/reproduction"))
    context = ReportContext("full", (), None, ENVIRONMENT)
    write_sweep(experiment.sweeps[0])
    write_sweep(experiment.sweeps[1], {"state": "failed"})
    write_reproduction(Path("some"), [results_of(experiment)], context)
    report = Path("some/REPRODUCTION.md").read_text()
    assert "30 seeds" not in report
    assert (
        "Seeds 0 to 2 of every arm were planned; finished: no stopping (seeds 0 to 2), patience 0 (seeds 0, 2), "
        in report
    )
    assert "patience 200 (none), " in report
    for sweep in experiment.sweeps[2:]:
        write_sweep(sweep)
    (experiment.sweeps[1].folder / "jobs" / "patience-0-seed1" / "status.json").write_text('{"state": "finished"}')
    write_reproduction(Path("all"), [results_of(experiment)], context)
    assert "Seeds 0 to 2 of every arm. " in Path("all/REPRODUCTION.md").read_text().replace("\n", " ")


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_what_a_file_notes_is_true_however_many_seeds_are_run(path: Path) -> None:
    (published,) = read_all([path])
    assert not [note for note in [published.question, *published.notes] if re.search(r"\d+ (seeds|runs)", note)]


def test_figures_of_a_call_that_was_killed_are_written_over_and_those_of_others_are_not() -> None:
    Path("reproduction").mkdir()
    check_destination(Path(), ["x"], "quick")
    Path("reproduction/summary.json").write_text('{"command": "reproduce"}')
    Path("reproduction/x.png").touch()
    check_destination(Path(), ["x"], "quick")


def test_no_report_gives_way_to_one_that_says_less() -> None:
    context = ReportContext("full", (), None, ENVIRONMENT)
    write_reproduction(Path(), [results_of(experiment_of(FILE))], context)
    check_destination(Path(), ["x", "y"], "full")
    with pytest.raises(RequestError, match=r"^REPRODUCTION.md reports x too, and would lose it(\n|$)"):
        check_destination(Path(), ["y"], "full")
    for smaller in ("quick", "overnight"):
        with pytest.raises(RequestError, match=f"was made at full scale, and would be replaced by one at {smaller}"):
            check_destination(Path(), ["x"], smaller)


def test_a_full_disk_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan_of(FILE)
    monkeypatch.setattr(reproduction, "run_sweep", lambda *_: "")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stopcli.reproduce.report.write_report", full)
    with pytest.raises(ResourceError, match="cannot be written") as raised:
        reproduce(planned, Path(), StopRequest(), lambda _: None)
    assert "the same command writes the report" in raised.value.hint


@pytest.mark.parametrize(("train", "test", "published"), [(50_000, 10_000, True), (10_000, 10_000, False)])
def test_a_part_of_the_official_files_is_not_the_published_data(train: int, test: int, published: bool) -> None:
    Path("batches.meta").touch()

    def rows(count: int) -> Examples:
        return Examples(np.zeros((count, 1, 1, 3), np.uint8), np.zeros(count, np.int32))

    images = Images.of(ImageSet(str(Path().resolve()), rows(train), rows(test), ("a", "b")))
    assert images.published == published
    assert ("10,000 and 10,000 images" in images.description) != published
