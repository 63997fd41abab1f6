"""Deleting runs, and what finished runs need no more: what is planned, and that it goes whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

import pytest
from many_runs import STATE, bytes_in, files_in, held_elsewhere, write_kept_run
from unprivileged import folder_for_all, unprivileged
from written_runs import write_run, write_sweep

from stopcli.errors import ResourceError, RunFolderError
from stopcli.runs.folder import RunFolder, hold_folder
from stopcli.runs.removal import (
    Kind,
    empty_trash,
    plan_pruning,
    plan_removal,
    remove,
    run_to_remove,
    started_from,
)
from stopcli.runs.run import Run, run_names, runs_in

ROOT = Path("runs")


def write_analysis(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "status.json").write_text('{"state": "finished"}')
    table = {"columns": ["a"], "rows": []}
    content = {"command": "replay", "name": "", "state": "finished", "warnings": [], "table": table}
    (path / "summary.json").write_text(json.dumps({**content, "conclusions": [], "run_dir": str(path)}))


def planned(*kinds: Kind) -> dict[str, str]:
    """What is planned for each run that loses something."""
    return {removal.run.name: removal.what for removal in plan_pruning(runs_in(ROOT), kinds)[0]}


def set_status(run: Path, **changes: object) -> None:
    content = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize(
    ("kinds", "what"),
    [
        (["states"], {"finished": "resume states", "sweep": "resume states"}),
        (["epoch-models"], {"finished": "epoch models"}),
        (["states", "epoch-models"], {"finished": "resume states, epoch models", "sweep": "resume states"}),
        (["failed"], {"failed": "run", "failed-sweep": "sweep of 1 run"}),
        (["analyses"], {"analysis": "replay"}),
        (["runs"], {"finished": "run", "sweep": "sweep of 1 run", "failed": "run", "failed-sweep": "sweep of 1 run"}),
        (["failed", "states"], {
            "finished": "resume states", "sweep": "resume states", "failed": "run", "failed-sweep": "sweep of 1 run",
        }),
    ],
)  # fmt: skip
def test_runs_that_can_be_resumed_lose_nothing(kinds: Collection[Kind], what: dict[str, str]) -> None:
    for state in ("finished", "failed", "paused", "interrupted", "running"):
        write_kept_run(ROOT / state, state=state)
    write_kept_run(ROOT / "full-disk", state="failed")
    set_status(ROOT / "full-disk", outside=True)
    write_kept_run(ROOT / "damaged")
    (ROOT / "damaged" / "summary.json").write_text("{")
    for name, finished in (("sweep", 1), ("paused-sweep", 1), ("failed-sweep", 0), ("partly-failed-sweep", 1)):
        sweep = write_sweep(ROOT / name, {"one": [0.9]})
        (sweep / "jobs" / "one-seed0" / STATE).parent.mkdir(parents=True)
        (sweep / "jobs" / "one-seed0" / STATE).write_bytes(bytes(700))
        summary = json.loads((sweep / "summary.json").read_text())
        (sweep / "summary.json").write_text(json.dumps({**summary, "finished": finished}))
    set_status(ROOT / "paused-sweep", state="paused")
    set_status(ROOT / "failed-sweep", state="failed")
    set_status(ROOT / "partly-failed-sweep", state="failed")
    write_analysis(ROOT / "analysis")
    (ROOT / "a-link").symlink_to("finished")
    assert planned(*kinds) == what


def test_what_is_planned_is_deleted_and_nothing_else() -> None:
    run = write_kept_run(ROOT / "a")
    before = files_in(ROOT)
    [removal] = plan_pruning(runs_in(ROOT), ["states", "epoch-models"])[0]
    assert removal.size == 900
    remove(removal)
    after = files_in(ROOT)
    assert {name: size for name, size in before.items() if name not in after} == {
        f"a/{STATE}": 700,
        "a/checkpoints/epoch_0010.keras": 200,
    }
    assert {name: size for name, size in after.items() if name not in before} == {"a/checkpoints/resume.pruned": 0}
    assert plan_pruning(runs_in(ROOT), ["states", "epoch-models"]) == ([], [])
    assert Run.read(run).finished


def test_links_in_a_run_are_deleted_and_what_they_lead_to_is_not() -> None:
    elsewhere = write_kept_run(Path("elsewhere/a"))
    before = files_in(elsewhere)
    run = write_run(ROOT / "b")
    (run / "link").symlink_to(elsewhere.resolve())
    (run / "checkpoints").symlink_to((elsewhere / "checkpoints").resolve())
    (ROOT / "c").symlink_to(elsewhere.resolve())
    assert plan_pruning(runs_in(ROOT), ["states", "epoch-models", "failed", "analyses"]) == ([], [])
    for name in ("b", "c"):
        removal = plan_removal(run_to_remove(Path(name), ROOT))
        assert (removal.what == "a link to it") == (name == "c")
        remove(removal)
    assert list(ROOT.iterdir()) == []
    assert files_in(elsewhere) == before


def test_a_sweep_loses_the_states_of_all_its_runs() -> None:
    sweep = write_sweep(ROOT / "sweep", {"one": [0.9, 0.8], "two": [0.7]})
    for job in (sweep / "jobs").iterdir():
        (job / STATE).parent.mkdir(parents=True)
        (job / STATE).write_bytes(bytes(500))
    [removal] = plan_pruning(runs_in(ROOT), ["states"])[0]
    before = bytes_in(ROOT)
    remove(removal)
    assert before - bytes_in(ROOT) == removal.size == 1500
    assert list(ROOT.rglob("*.state")) == []
    assert len(list(ROOT.rglob("resume.pruned"))) == 3


@pytest.mark.parametrize("folder", ["a", "sweep/jobs/one-seed0"])
def test_a_run_that_a_process_holds_stays_as_it_is(folder: str) -> None:
    write_kept_run(ROOT / "a")
    (write_sweep(ROOT / "sweep", {"one": [0.9]}) / "jobs/one-seed0" / STATE).parent.mkdir(parents=True)
    name, before = folder.partition("/")[0], files_in(ROOT)
    whole, [*parts] = plan_removal(ROOT / name), plan_pruning(runs_in(ROOT), ["states"])[0]
    with held_elsewhere(ROOT / folder):
        with pytest.raises(RunFolderError, match="is being written by"):
            run_to_remove(Path(name), ROOT)
        # Also where it has been started since.
        for removal in (whole, *(part for part in parts if part.run.name == name)):
            with pytest.raises(RunFolderError, match="is being written by"):
                remove(removal)
        removals, in_use = plan_pruning(runs_in(ROOT), ["runs"])
        assert ([removal.run.name for removal in removals], in_use) == ([*({"a", "sweep"} - {name})], [ROOT / name])
    assert files_in(ROOT) == before
    assert not list(ROOT.glob(".trash-*"))


def test_a_run_that_has_changed_since_stays_as_it_is() -> None:
    run = write_kept_run(ROOT / "a")
    removals = [plan_removal(run), *plan_pruning(runs_in(ROOT), ["states"])[0]]
    set_status(run, state="paused", reason="resumed meanwhile")
    before = files_in(ROOT)
    for removal in removals:
        with pytest.raises(RunFolderError, match="has changed since"):
            remove(removal)
    assert files_in(ROOT) == before


def test_what_another_process_has_deleted_meanwhile_is_no_error() -> None:
    removals = [plan_removal(write_kept_run(ROOT / "a")), *plan_pruning(runs_in(ROOT), ["states"])[0]]
    assert [remove(removal) for removal in reversed(removals)] == [True, True]
    assert [remove(removal) for removal in removals] == [False, False]
    # Nor does a lock that comes too late make the folder again.
    with pytest.raises(RunFolderError, match="a: no such folder"), hold_folder(ROOT / "a"):
        pass
    assert list(ROOT.iterdir()) == []


def test_what_may_not_be_deleted_is_an_error_of_that_run() -> None:
    with folder_for_all() as root:
        run = write_kept_run(root / "a")
        with RunFolder.reopen(run):
            pass
        removals = [plan_removal(run), *plan_pruning(runs_in(root), ["states"])[0]]
        before = files_in(root)
        with unprivileged():
            for removal in removals:
                with pytest.raises((RunFolderError, ResourceError), match="Permission denied"):
                    remove(removal)
        assert files_in(root) == before


def test_what_a_killed_process_has_left_is_no_run_and_goes_with_the_next() -> None:
    write_kept_run(ROOT / ".trash-0123456789abcdef")
    write_kept_run(ROOT / "a")
    assert run_names(ROOT) == ["a"]
    assert empty_trash(ROOT).startswith("Also deleted: ")
    assert [path.name for path in ROOT.iterdir()] == ["a"]
    assert empty_trash(ROOT) == ""


def test_of_a_finished_sweep_a_run_that_can_be_resumed_loses_nothing() -> None:
    write_sweep(ROOT / "sweep", {"one": [0.9, 0.8]})
    first, second = sorted((ROOT / "sweep" / "jobs").iterdir())
    for job in (first, second):
        RunFolder(job).resume.mkdir(parents=True)
        (RunFolder(job).resume / "1.state").touch()
    [removal], _ = plan_pruning(runs_in(ROOT), {"states"})
    assert removal.parts == (RunFolder(first).resume, RunFolder(second).resume)
    assert plan_pruning(runs_in(ROOT), {"runs"})[0]
    (second / "status.json").write_text('{"state": "interrupted"}')
    [removal], _ = plan_pruning(runs_in(ROOT), {"states"})
    assert removal.parts == (RunFolder(first).resume,)
    assert remove(removal)
    assert plan_pruning(runs_in(ROOT), {"runs"}) == ([], [])
    assert RunFolder(second).resume.is_dir()


def test_runs_that_were_started_from_a_deleted_one_are_named() -> None:
    first = write_kept_run(ROOT / "a")
    write_run(ROOT / "b", init_from=str(first.resolve()))
    write_run(ROOT / "c", init_from=str((first / "checkpoints/best.keras").resolve()))
    write_run(ROOT / "d", init_from=str(Path("runs/ab").resolve()))
    sentences = [f"{name} was started from the weights of a" for name in ("b", "c")]
    assert started_from([ROOT / "a"], ROOT) == sentences
    # One that goes too needs nothing.
    assert started_from([ROOT / "a", ROOT / "b"], ROOT) == sentences[1:]


def test_where_only_a_link_goes_no_weights_are_lost_and_with_a_model_of_an_epoch_they_are() -> None:
    run = write_kept_run(ROOT / "a")
    model = run / "checkpoints" / "epoch_0010.keras"
    write_run(ROOT / "b", init_from=str(model.resolve()))
    (ROOT / "link").symlink_to("a")
    assert plan_removal(ROOT / "link").weights == ()
    assert plan_removal(run).weights == (run,)
    assert plan_pruning([Run.read(run)], {"states"})[0][0].weights == ()
    [removal], _ = plan_pruning([Run.read(run)], {"states", "epoch-models"})
    assert started_from(removal.weights, ROOT) == ["b was started from the weights of a/checkpoints/epoch_0010.keras"]


def test_a_lock_that_is_made_again_while_a_folder_is_deleted_is_deleted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_kept_run(ROOT / "a")
    rmdir, made = os.rmdir, []

    def rmdir_after_another(path: object, **options: object) -> None:
        trash = next(ROOT.glob(".trash-*"))
        if not made and not list(trash.iterdir()):
            made.append((trash / ".lock").touch())
        rmdir(path, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "rmdir", rmdir_after_another)
    assert remove(plan_removal(run))
    assert made
    assert list(ROOT.iterdir()) == []
