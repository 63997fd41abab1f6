"""`stopcli rm` and `stopcli prune`, as they are typed."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from many_runs import STATE, bytes_in, copies, files_in, held_elsewhere, stopped_in_the_middle, write_kept_run
from pinned import FIXTURES
from program import run
from refusals import check_refused
from small_disk import small_disk
from unprivileged import folder_for_all, unprivileged
from written_runs import write_sweep

ROOT = Path("runs")


class Terminal(io.StringIO):
    """A stdin that somebody types into."""

    def isatty(self) -> bool:
        return True


def printed(capsys: pytest.CaptureFixture[str], *argv: str, status: int = 0) -> Any:
    capsys.readouterr()
    assert run(*argv, "--json") == status
    return json.loads(capsys.readouterr().out)


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `list` says of each run, but for its size and its age."""
    lines = printed(capsys, "list")
    return [{key: value for key, value in line.items() if key not in ("bytes", "age_seconds")} for line in lines]


def test_pruning_a_thousand_runs_frees_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    # As small as a run can be.
    one = write_kept_run(Path("one"), summary={"final": None}, columns={})
    for name in ("environment.json", "checkpoints/best.keras", "checkpoints/epoch_0010.keras"):
        (one / name).unlink()
    copies(one, ROOT, 1000)
    before = bytes_in(ROOT)
    plan = printed(capsys, "prune", "--dry-run")
    assert bytes_in(ROOT) == before
    document = printed(capsys, "prune", "--yes")
    assert document == {**plan, "dry_run": False}
    assert document["bytes"] == sum(line["bytes"] for line in document["deleted"]) == 700_000
    assert before - bytes_in(ROOT) == 700_000
    assert [(line["state"], line["epochs"]) for line in listed(capsys)] == [("finished", "40")] * 1000


@pytest.mark.parametrize("kinds", [["--states"], ["--runs", "--keep", "2"]])
def test_a_prune_that_is_killed_leaves_no_half_run(kinds: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    original = files_in(write_kept_run(Path("one")))
    copies(Path("one"), ROOT, 5)
    assert stopped_in_the_middle("SIGKILL", "prune", *kinds, "--yes").returncode == -9
    whole = kinds[0] == "--runs"
    assert [line["state"] for line in listed(capsys)] == ["finished"] * (3 if whole else 5)
    assert [line["epochs"] for line in listed(capsys)] == ["40/400"] * (3 if whole else 5)
    runs = [{*files_in(path)} for path in sorted(ROOT.iterdir()) if not path.name.startswith(".")]
    lost = [({*original} ^ files) - {"status.json"} for files in runs]
    first = [] if whole else [{STATE, "checkpoints/resume.pruned"}, {STATE}]
    assert lost == [*first, set(), set(), set()]
    assert len(list(ROOT.glob(".trash-*"))) == 1
    # The next one goes on, and deletes what was left.
    document = printed(capsys, "prune", *kinds, "--yes")
    assert [line["path"] for line in document["deleted"]] == [
        f"runs/run-000{i}" for i in ((2,) if whole else (2, 3, 4))
    ]
    assert not list(ROOT.glob(".trash-*"))


def test_ctrl_c_stops_between_two_runs(capsys: pytest.CaptureFixture[str]) -> None:
    write_kept_run(Path("one"))
    copies(Path("one"), ROOT, 4)
    completed = stopped_in_the_middle("SIGINT", "rm", "run-0000", "run-0001", "run-0002", "--yes")
    assert completed.returncode == 130
    assert "Interrupted by Ctrl-C. Deleted " in completed.stderr
    assert "(2 of 3 runs)" in completed.stderr
    assert sorted(path.name for path in ROOT.iterdir()) == ["run-0002", "run-0003"]


def test_a_run_in_use_stays_and_the_others_go(capsys: pytest.CaptureFixture[str]) -> None:
    copies(write_kept_run(Path("one")), ROOT, 3)
    with held_elsewhere(ROOT / "run-0001"):
        assert run("rm", "run-0001", "--yes") == 2
        assert "is being written by" in capsys.readouterr().err
        document = printed(capsys, "prune", "--yes")
        assert run("prune", "--yes") == 0
        assert "In use, and left as they are: run-0001." in capsys.readouterr().err
    assert [line["path"] for line in document["deleted"]] == ["runs/run-0000", "runs/run-0002"]
    assert [path.parts[1] for path in ROOT.rglob("*.state")] == ["run-0001"]


def test_of_runs_that_may_not_be_deleted_each_is_an_error_and_the_others_go(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with folder_for_all() as root:
        # The tests' own folder is the user's alone.
        monkeypatch.chdir(root)
        copies(write_kept_run(root / "one"), root / "runs", 2)
        for path in (ROOT, ROOT / "run-0001", *(ROOT / "run-0001").rglob("*")):
            path.chmod(0o777)
        # What it imports may lie where only root can read it.
        assert run("rm", "run-0001", "--dry-run") == 0
        with unprivileged():
            document = printed(capsys, "rm", "run-0000", "run-0001", "--yes", status=1)
        assert [path.name for path in ROOT.iterdir()] == ["run-0000"]
    assert [line["path"] for line in document["deleted"]] == ["runs/run-0001"]
    [error] = document["errors"]
    assert error["path"] == "runs/run-0000"
    assert "cannot be written (Permission denied)" in error["error"]


def test_runs_are_pruned_and_deleted_on_a_disk_that_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    with small_disk(256, files=60) as disk:
        copies(write_kept_run(Path("one")), disk / "runs", 3)
        for path in (disk / "runs").iterdir():
            (path / ".lock").touch()
        with contextlib.suppress(OSError):
            (disk / "filler").write_bytes(bytes(1 << 20))
        with contextlib.suppress(OSError):
            for number in range(60):
                (disk / f"empty-{number}").touch()
        with pytest.raises(OSError, match="No space left"):
            (disk / "one-more").touch()
        arguments = ["--yes", "--runs-dir", str(disk / "runs")]
        assert len(printed(capsys, "prune", *arguments)["deleted"]) == 3
        assert [line["path"][-1] for line in printed(capsys, "rm", "run-0001", *arguments)["deleted"]] == ["1"]
        assert len(list(disk.rglob("resume.pruned"))) == 2


@pytest.mark.parametrize(
    ("answer", "names"), [("y\n", ["run-0001"]), ("YES\n", ["run-0001"]), ("n\n", None), ("", None)]
)
def test_nothing_is_deleted_before_somebody_has_said_yes(
    answer: str, names: list[str] | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies(write_kept_run(Path("one")), ROOT, 2)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    size = bytes_in(ROOT / "run-0000")
    assert run("rm", "run-0000") == 0
    out, err = capsys.readouterr()
    assert "total of 1 run" in out
    assert f"{size / 1000:.1f} kB of 1 run? [y/N]" in err
    assert [path.name for path in sorted(ROOT.iterdir())] == names or ["run-0000", "run-0001"]
    assert ("Nothing was deleted." in err) == (names is None)


def test_a_command_to_copy_names_the_one_run_that_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(write_kept_run(Path("one")), ROOT / "night 1 b")
    assert run("rm", "--yes", "night 1") == 2
    assert "stopcli rm --yes 'night 1 b'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("rm run-0000", "nothing is deleted without asking, and stdin is not a terminal"),
        ("prune", "--dry-run shows what would be deleted; --yes deletes it."),
        ("rm run-0000 --json", "--json: nothing is asked where the output is for a program"),
        ("rm run-000 --yes", "the names of 3 runs in runs begin so"),
        ("rm rnu-0000 --yes", "Did you mean run-0000?"),
        ("rm run-0000 nowhere --yes", "nowhere: no such folder"),
        ("rm runs --yes", "runs: not a run folder (status.json missing)"),
        ("rm notes --yes", "notes: not a run folder (status.json missing)"),
        ("rm one --yes", "not in the runs folder (runs), and stopcli deletes nothing elsewhere"),
        ("rm runs/inner/run --yes", "names the folder that it is in."),
        ("rm runs/run-0000/config.toml --yes", "a file, expected a run's folder or its name"),
        ("rm run-0000/config.toml --yes", "a file, expected a run's folder or its name"),
        ("rm sweep/one-seed0 --yes", "one of the runs of the sweep sweep, which are deleted together"),
        ("rm runs/sweep/jobs/one-seed0 --yes", "stopcli rm sweep"),
        ("rm run-0000 --runs-dir nowhere --yes", "run-0000: no such folder"),
        ("rm one-seed0 --runs-dir linked-jobs --yes", "stopcli rm"),
        ("prune --runs --keep 0 --runs-dir runs/sweep/jobs --yes", "the runs of a sweep, of which none is pruned"),
        ("prune --runs --keep 0 --runs-dir linked-jobs --yes", "the runs of a sweep, of which none is pruned"),
        ("rm runs/linked-runs/../run-0000 --yes", "not in the runs folder (runs)"),
        ("rm run-0001-later --yes", "another run is in it: runs/run-0001-later/inner"),
        ("rm run-0001-la --yes", "stopcli rm --yes run-0001-later"),
        ("prune --runs --keep 0 --name= --yes", "--name: received '', expected a part of the runs' names"),
        ("prune --runs --yes", "--older-than 30d, --keep 20, --name or --command says it."),
        ("prune --keep -1 --yes", "--keep: received -1, expected 0 or more"),
        ("prune --older-than soon --yes", "--older-than: received 'soon', expected a length of time"),
        ("prune --command mons --yes", "Did you mean moons?"),
    ],
)
def test_what_is_refused_deletes_nothing(
    command: str, answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies(write_kept_run(Path("one")), ROOT, 2)
    shutil.copytree("one", ROOT / "inner" / "run")
    write_sweep(ROOT / "sweep", {"one": [0.9]})
    (ROOT / "notes").mkdir()
    shutil.copytree("one", ROOT / "run-0001-later")
    shutil.copytree("one", ROOT / "run-0001-later" / "inner")
    # Elsewhere, and of a name that a run has.
    shutil.copytree("one", "elsewhere/run-0000")
    Path("elsewhere/inner").mkdir()
    Path("linked-jobs").symlink_to("runs/sweep/jobs")
    (ROOT / "linked-runs").symlink_to("../elsewhere/inner")
    check_refused(command.split(), answer, capsys, monkeypatch)


def test_a_folder_of_another_that_is_named_as_trash_stays(capsys: pytest.CaptureFixture[str]) -> None:
    copies(write_kept_run(Path("one")), ROOT, 1)
    leftover = ROOT / ".trash-0123456789abcdef"
    for folder in (ROOT / ".trash-photos", leftover, Path("elsewhere")):
        folder.mkdir()
        (folder / "file").touch()
    (ROOT / ".trash-fedcba9876543210").symlink_to("../elsewhere")
    assert len(printed(capsys, "prune", "--yes")["deleted"]) == 1
    assert (ROOT / ".trash-photos" / "file").exists()
    assert Path("elsewhere/file").exists()
    assert not leftover.exists()


def test_the_newest_and_the_young_can_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    copies(write_kept_run(Path("one")), ROOT, 3)
    (ROOT / "run-0002" / "status.json").write_text('{"state": "finished", "started": "2999-01-01T00:00:00+00:00"}')

    def names(*argv: str) -> list[str]:
        return [line["path"][-1] for line in printed(capsys, "prune", "--dry-run", *argv)["deleted"]]

    assert names() == ["0", "1", "2"]
    assert names("--keep", "2") == ["0"]
    assert names("--keep", "9") == []
    shutil.copytree("one", ROOT / "run-0000" / "inner")
    assert names("--keep", "0", "--runs") == ["1", "2"]
    shutil.rmtree(ROOT / "run-0000" / "inner")
    # Of those that would lose something.
    (ROOT / "run-0001" / "status.json").write_text('{"state": "paused"}')
    assert names("--keep", "1") == ["0"]
    shutil.copy(ROOT / "run-0000" / "status.json", ROOT / "run-0001")
    assert names("--older-than", "1d") == ["0", "1"]
    assert names("--name", "*1", "--runs") == ["1"]
    assert names("--command", "moons", "clr", "--name", "-0000") == ["0"]


def test_a_pruned_run_is_read_as_before_and_resume_says_why_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    shutil.copytree(FIXTURES / "runs" / "moons", ROOT / "moons")
    shutil.copytree(FIXTURES / "runs" / "train", ROOT / "other")

    def shown() -> Any:
        document = printed(capsys, "show", "moons")
        return {key: value for key, value in document.items() if key not in ("bytes", "age_seconds")}

    before = shown()
    assert run("show", "moons") == 0
    assert "stopcli resume moons --patience 20" in capsys.readouterr().out
    assert run("prune", "--name", "moons", "--yes") == 0
    assert shown() == before
    capsys.readouterr()
    assert run("show", "moons") == 0
    assert "stopcli resume" not in capsys.readouterr().out
    for argv in (["resume", "moons"], ["resume", "moons", "--patience", "30"], ["resume", "moons", "--force"]):
        assert run(*argv) == 2
        err = capsys.readouterr().err
        assert "runs/moons: finished, and its saved states were deleted on 20" in err
        assert "stopcli run moons --set KEY=VALUE trains it anew" in err
    for argv in (["replay", "moons", "--quiet"], ["compare", "moons", "other", "--quiet"]):
        assert run(*argv) == 0
