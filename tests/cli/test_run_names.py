"""How the command line names runs: by paths, names, beginnings of names, `last`; and how shells complete them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from program import run
from refusals import check_refused
from written_runs import write_run, write_sweep

from stopcli.cli.app import SUMMARIES
from stopcli.cli.console import Output, print_error
from stopcli.cli.train import config_file_of
from stopcli.errors import RunFolderError
from stopcli.runs.run import complete_run, resolve_run, run_argument, runs_in

ROOT = Path("runs")
NAMES = ["20260101T000000Z-moons", "20260102T000000Z-moons", "20260103T000000Z-cifar-resnet-night"]
SWEEP, ANALYSIS = "20260104T000000Z-clr", "20260105T000000Z-replay"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs, a sweep and an analysis in `runs`, each started a day after the one before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STOPCLI_RUNS_DIR", raising=False)
    for seed, name in enumerate(NAMES):
        write_run(ROOT / name, seed=seed, noise=0.1 + seed / 10)
    write_sweep(ROOT / SWEEP, {"one-cycle": [0.9, 0.8], "triangular": [0.7]})
    (ROOT / ANALYSIS).mkdir()
    for day, name in enumerate([*NAMES, SWEEP, ANALYSIS], start=1):
        status = {"state": "finished", "epoch": 40, "started": f"2026-01-{day:02}T00:00:00+00:00"}
        (ROOT / name / "status.json").write_text(json.dumps(status))
    (ROOT / "notes").mkdir()
    return ROOT


@pytest.mark.parametrize(
    ("named", "path"),
    [
        ("runs/" + NAMES[0], NAMES[0]),
        (f"runs/{NAMES[0]}/config.toml", NAMES[0]),
        (NAMES[0], NAMES[0]),
        (f"{NAMES[0]}/", NAMES[0]),
        (f"{NAMES[0]}/config.toml", NAMES[0]),
        (f"{NAMES[0]}/report.html", None),
        ("20260103", NAMES[2]),
        ("runs/20260103", NAMES[2]),
        ("last", SWEEP),
        ("runs/last", SWEEP),
        (f"{SWEEP}/one-cycle-seed1", f"{SWEEP}/jobs/one-cycle-seed1"),
        (f"{SWEEP}/jobs/one-cycle-seed1", f"{SWEEP}/jobs/one-cycle-seed1"),
        (f"runs/{SWEEP}/one-cycle-seed1", f"{SWEEP}/jobs/one-cycle-seed1"),
        ("last/tri", f"{SWEEP}/jobs/triangular-seed0"),
        ("20260104/jobs/tri", f"{SWEEP}/jobs/triangular-seed0"),
        ("last/triangular-seed0/config.toml", f"{SWEEP}/jobs/triangular-seed0"),
        ("notes", "notes"),
    ],
)
def test_a_run_is_named_by_its_path_its_name_or_its_beginning(runs: Path, named: str, path: str | None) -> None:
    if path is None:
        with pytest.raises(RunFolderError, match="no such folder"):
            resolve_run(Path(named), runs)
    else:
        assert resolve_run(Path(named), runs) == runs / path


def test_the_last_run_is_the_last_of_the_list_and_an_analysis_only_where_one_can_be_meant(runs: Path) -> None:
    assert runs_in(runs)[-1].path.name == ANALYSIS
    assert resolve_run(Path("last"), runs, analyses=True) == runs / ANALYSIS
    assert resolve_run(Path("last"), runs) == runs / SWEEP


def test_a_path_that_exists_wins_over_a_name(runs: Path) -> None:
    shutil.copytree(runs / NAMES[0], "last")
    assert resolve_run(Path("last"), runs) == Path("last")
    shutil.copytree(runs / NAMES[0], NAMES[1])
    assert resolve_run(Path(NAMES[1]), runs) == Path(NAMES[1])
    # So the run in the runs folder is named by its path.
    assert run_argument(runs / NAMES[1]) == f"runs/{NAMES[1]}"


@pytest.mark.parametrize(
    ("named", "message", "hint"),
    [
        ("2026010", "2026010: the names of 4 runs in runs begin so", f"Which one? {NAMES[0]}, {NAMES[1]}"),
        ("moons", "moons: no such folder, and no run in runs", f"Did you mean {NAMES[1]}?"),
        ("20260103T000000Z-cifar-resnet-nihgt", "no such folder", f"Did you mean {NAMES[2]}?"),
        ("cifar-resnet-nihgt", "no such folder", f"Did you mean {NAMES[2]}?"),
        ("xyz", "no such folder", "stopcli list shows the names of runs; --runs-dir or STOPCLI_RUNS_DIR"),
        (f"{SWEEP}/two", f"{SWEEP}/two: no such folder, and no run in runs/{SWEEP}/jobs", ""),
        ("notes/last", "notes/last: there is no run in runs/notes", "stopcli list"),
        ("nowhere/at/all", "nowhere: no such folder", ""),
        ("model.keras", "model.keras: no such file", ""),
    ],
)
def test_other_names_are_answered_with_the_nearest(runs: Path, named: str, message: str, hint: str) -> None:
    with pytest.raises(RunFolderError) as raised:
        resolve_run(Path(named), runs)
    assert message in raised.value.message
    assert raised.value.hint.startswith(hint)


@pytest.mark.parametrize("command", ["show", "report", "replay", "compare"])
def test_every_command_that_reads_runs_takes_their_names_from_any_folder(
    command: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STOPCLI_RUNS_DIR", str(tmp_path / "runs"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    second = ["20260101"] if command == "compare" else []
    assert run(command, "20260102", *second) == 0
    monkeypatch.delenv("STOPCLI_RUNS_DIR")
    capsys.readouterr()
    assert run(command, "20260103", *second, "--runs-dir", "../runs") == 0
    assert list(Path().iterdir()) == []


COMMANDS = ["show", "report", "replay", "recommend", "compare", "resume", "rm", "clr --from-range"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_answers_an_unknown_name_with_the_nearest(
    command: str, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_refused([*command.split(), "moons"], f"Did you mean {NAMES[1]}?", capsys, monkeypatch)


def test_completion_offers_names_and_leaves_paths_to_the_shell(runs: Path) -> None:
    assert complete_run("", runs) == [*NAMES, SWEEP, ANALYSIS, "last"]
    assert complete_run("20260103", runs) == [NAMES[2]]
    assert complete_run("la", runs) == ["last"]
    assert complete_run(f"{SWEEP}/t", runs) == [f"{SWEEP}/triangular-seed0"]
    assert complete_run("last/jobs/t", runs) == ["last/jobs/triangular-seed0"]
    for path in ("runs/2026", "./2026", "/", "nowhere/x", "notes/", "x" * 300 + "/y", "a\0/b"):
        assert complete_run(path, runs) == []


# What each shell hands over for `stopcli show 20260103`, and what the answer has to be for it.
PROTOCOLS = {
    "bash": ({"COMP_WORDS": "stopcli show 20260103", "COMP_CWORD": "2"}, NAMES[2]),
    "zsh": ({"_TYPER_COMPLETE_ARGS": "stopcli show 20260103"}, f"_arguments '*: :((\"{NAMES[2]}\"))'"),
    "fish": ({"_TYPER_COMPLETE_ARGS": "stopcli show 20260103", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}, NAMES[2]),
}
COMPLETE = """
import sys
from stopcli.cli.main import main
try:
    main([])
finally:
    heavy = [name for name in ("numpy", "tensorflow", "keras", "matplotlib") if name in sys.modules]
    assert not heavy, heavy
"""


def complete(variables: dict[str, str], shell: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables, "_STOPCLI_COMPLETE": f"complete_{shell}"}
    return subprocess.run([sys.executable, "-c", COMPLETE], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "line", ["rm", "rm -y last", "replay last", "compare last --baseline", "run", "moons --init-from"]
)
def test_names_are_completed_wherever_a_run_is_named(line: str, runs: Path) -> None:
    words = f"stopcli {line} 20260103"
    completed = complete({"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}, "bash")
    assert (completed.stdout.strip(), completed.stderr) == (NAMES[2], "")


@pytest.mark.parametrize("shell", PROTOCOLS)
def test_completion_speaks_the_protocol_of_each_shell_and_imports_nothing_heavy(runs: Path, shell: str) -> None:
    variables, answer = PROTOCOLS[shell]
    completed = complete(variables, shell)
    assert (completed.stdout.strip(), completed.stderr) == (answer, "")


def test_completion_is_silent_where_the_line_is_wrong(runs: Path) -> None:
    completed = complete({"COMP_WORDS": "stopcli show --runs-dir '' 2026", "COMP_CWORD": "4"}, "bash")
    assert completed.stderr == ""


SHELLS = {
    "bash": (
        ["bash", "--norc", "-c"],
        "source ./script; COMP_WORDS=(stopcli show 20260103); COMP_CWORD=2; _stopcli_completion ./stopcli;"
        'printf "%s\\n" "${COMPREPLY[@]}"; complete -p stopcli',
    ),
    "fish": (["fish", "--no-config", "-c"], "set -p PATH $PWD; source ./script; complete -C 'stopcli show 20260103'"),
    "zsh": (
        ["zsh", "-f", "-c"],
        # Outside of the line editor, the function that adds matches is replaced by one that prints them.
        "path=($PWD $path); compdef() { :; }; _arguments() { print -r -- $1 }; source ./script;"
        "words=(stopcli show 20260103); CURRENT=3; _stopcli_completion",
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_works_in_the_shells_themselves(runs: Path, shell: str) -> None:
    argv, code = SHELLS[shell]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{shell} is not installed")
    program = Path("stopcli")
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from stopcli.cli.main import main; main()" "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    script = subprocess.run(
        [sys.executable, "-m", "stopcli", "--show-completion", shell],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    Path("script").write_text(script.stdout)
    completed = subprocess.run([*argv, code], capture_output=True, text=True)
    assert completed.stderr == ""
    assert NAMES[2] in completed.stdout.replace('"', " ").split()
    if shell == "bash":
        # Where no name fits, bash completes paths.
        assert "-o default" in completed.stdout


# A wrong request to every command: each ends with 2, says what is wrong, starts nothing and leaves nothing behind.
WRONG = {
    "moons --init-from moons": f"Did you mean {NAMES[1]}?",
    "cifar-resnet --dataset nowhere --runs-dir new": "nowhere: no such folder",
    "cutout-sweep --m 0": "--m: received 0",
    "clr --from-range 20260103": "expected one of lr-range",
    "fit conf.toml": "stopcli run conf.toml runs a config file.",
    "lr-range --start-lr 5 --end-lr 1": "--start-lr: received 5.0",
    "run nowhere.toml": "nowhere.toml: no such file",
    f"run {ANALYSIS}": "not a run folder (config.toml missing)",
    "run 20260102": f"stopcli resume {NAMES[1]} continues it; stopcli run {NAMES[1]}/config.toml starts it anew.",
    "reproduce nowhere": "nowhere: no such file or folder",
    "resume conf.toml": "stopcli run conf.toml runs a config file.",
    "resume nowhere": "nowhere: no such folder",
    "list --runs-dir conf.toml": "conf.toml: cannot be read as a folder of runs",
    "show notes": "notes: not a run folder",
    "rm moons --yes": f"Did you mean {NAMES[1]}?",
    "prune --older-than soon": "--older-than: received 'soon', expected a length of time",
    "compare 20260101": "there is nothing to compare",
    "report conf.toml": "conf.toml: a file, expected a run's folder or its name",
    "replay nowhere": "nowhere: no such folder",
    "recommend nowhere": "nowhere: no such folder",
    "predict nowhere conf.csv": "nowhere: no such folder",
    "verify-resume nosuch": "received 'nosuch', expected a command that trains a single run",
    "verify-resume moon": "Did you mean moons?",
    "verify-resume moons --epochs 0": "--epochs: received 0",
    "verify-resume clr": "clr: not a single training run",
    "verify-resume lr-range": "lr-range: not a single training run",
    "verify-resume run nowhere.toml": "nowhere.toml: no such file",
    "verify-resume moons --run-dir=a": "--run-dir: not allowed here",
    "nosuch": "received the command 'nosuch'",
}


@pytest.mark.parametrize("command", WRONG)
def test_a_wrong_request_to_any_command_ends_with_2_and_leaves_nothing(
    command: str, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("conf.toml").write_text('command = "moons"\n')
    (runs / NAMES[1] / "status.json").write_text('{"state": "paused"}')
    temporary = Path("temporary")
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary.resolve()))
    check_refused(command.split(), WRONG[command], capsys, monkeypatch)


def test_the_table_has_every_command() -> None:
    assert {command.split()[0] for command in WRONG} - {"nosuch"} == set(SUMMARIES)


def test_the_config_of_a_run_is_run_again_by_its_name(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    assert config_file_of(Path("20260101"), runs, output) == runs / NAMES[0] / "config.toml"
    assert f"The settings of runs/{NAMES[0]}, run again in a new folder." in capsys.readouterr().err
    assert config_file_of(Path(f"{NAMES[1]}/config.toml"), runs, output) == runs / NAMES[1] / "config.toml"


def test_names_between_colons_are_no_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    Output().say("runs/lr:0.1:bs:100:v2")
    print_error("model.py:100: of column x:key:y", hint="stopcli show a:x:b")
    printed = capsys.readouterr().err
    assert all(text in printed for text in ("lr:0.1:bs:100:v2", "model.py:100: of column x:key:y", "a:x:b"))


def test_the_list_says_what_runs_take_on_disk(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / NAMES[0] / "model.keras").write_bytes(bytes(12_345_678))
    (runs / NAMES[0] / "everything").symlink_to("/")
    assert run("list") == 0
    printed = capsys.readouterr()
    assert printed.out.count("12 MB") == 2
    assert "total of 5 runs" in printed.out
    assert run("list", "--json") == 0
    sizes = {Path(line["path"]).name: line["bytes"] for line in json.loads(capsys.readouterr().out)}
    files = [path for path in (runs / SWEEP).rglob("*") if path.is_file()]
    assert sizes[SWEEP] == sum(path.stat().st_size for path in files)
    assert run("list", "--runs-dir", "notes") == 0
    assert "No runs in notes; --runs-dir or STOPCLI_RUNS_DIR names another folder." in capsys.readouterr().err
