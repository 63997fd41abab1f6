"""The README's answers to the questions of the first day: its own lines, run in an empty folder as a reader would."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from forked import program
from image_folders import make_folder
from program import status_of, summary_of

pytestmark = pytest.mark.slow

README = Path(__file__).parent.parent / "README.md"


def _commands() -> dict[str, list[list[str]]]:
    """The words of each command by the question above it."""
    text = README.read_text(encoding="utf-8")
    block = re.search(r"^## Five questions.*?^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    paragraphs = [paragraph.splitlines() for paragraph in block[1].strip().split("\n\n")]
    return {lines[0].removeprefix("# "): [shlex.split(line)[1:] for line in lines[1:]] for lines in paragraphs}


def run_answer(question: str) -> list[str]:
    """Run the commands of a question, all of which have to succeed. Returns what each printed."""
    (commands,) = [commands for name, commands in _commands().items() if name.startswith(question)]
    outputs = []
    for words in commands:
        process = program(*words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, (words, out, err)
        outputs.append(out + err)
    return outputs


def test_the_block_has_five_questions() -> None:
    assert [len(commands) for commands in _commands().values()] == [2, 1, 2, 3, 1]


def test_is_patience_10_enough() -> None:
    _, answer = run_answer("Is patience 10 enough?")
    (replayed,) = Path("runs").glob("*-replay")
    conclusion = summary_of(replayed)["conclusions"][0]
    assert conclusion.startswith("Patience 10 is not enough: it loses the best val_loss in ")
    assert conclusion in " ".join(answer.split())


def test_which_m_in_two_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPCLI_DATASET", "digits")
    (plan,) = run_answer("Which M in two hours?")
    # The answer, and a row for each arm; how many seeds fit depends on the machine.
    assert re.search(r"^simple, M = 2, M = 4, M = 8 with \d+ seeds each.* fit into 2h", plan, re.MULTILINE)
    assert all(re.search(f"^{arm} ", plan, re.MULTILINE) for arm in ("simple", "M = 2", "M = 4", "M = 8"))
    assert "Nothing was trained." in plan
    assert not Path("runs").exists()


def test_continue_yesterday_s_run() -> None:
    # Spent before training begins: the run pauses after its first call.
    budget = ("--epochs", "30000", "--time-budget", "1s", "--quiet")
    assert program("moons", *budget, "--run-dir", "runs/yesterday").communicate(timeout=300)
    assert status_of("runs/yesterday")["state"] == "paused"
    listed, _ = run_answer("Continue yesterday's run")
    assert re.search("yesterday.*paused", listed)
    assert summary_of("runs/yesterday")["state"] == "finished"


def test_compare_two_runs_and_send_it() -> None:
    run_answer("Compare two runs")
    (compared,) = Path("runs").glob("*-compare")
    assert summary_of(compared)["conclusions"][0].startswith("p200 is better than p10 on 70 test rows")
    page = (compared / "report.html").read_text(encoding="utf-8")
    # It can be sent: its pictures are in it, and it refers to no other file.
    assert "data:image/" in page
    assert not re.search(r'(?:src|href)="(?!data:|#|https:)', page)


def test_my_own_photos() -> None:
    make_folder(Path("photos"), images=20, side=40)
    Path("photos/train/a/broken.jpg").write_bytes(b"no photo")
    (answer,) = run_answer("My own photos")
    assert "left out, images that cannot be decoded: 1" in answer
    (run,) = Path("runs").glob("*-cifar-resnet*")
    assert (run / "checkpoints" / "classes.json").exists()
    assert "classes.json" in (run / "report.md").read_text(encoding="utf-8")
