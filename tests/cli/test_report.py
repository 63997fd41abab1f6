"""`stopcli report` of runs that have no end yet, or whose files are not all there. No TensorFlow is needed for any."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from program import run

from stopcli.runs.folder import RunFolder
from stopcli.runs.status import RunState

CONFIG = 'command = "moons"\nname = "<script>alert(1)</script>"\nepochs = 50\n'
HEAD = "epoch,step,loss,accuracy,val_loss,val_accuracy,learning_rate\n"
ROWS = "".join(f"{i},{i},{1 / i},0.5,{2 / i},0.4,0.001\n" for i in range(1, 8))


def made(
    name: str, state: RunState, *, config: str = CONFIG, metrics: str | None = HEAD + ROWS, reason: str = ""
) -> Path:
    """A run's folder as a process left it that never summed it up."""
    with RunFolder.create(root=Path(), command="moons", run_dir=Path(name)) as folder:
        folder.write_config(config)
        if metrics is not None:
            folder.metrics.write_text(metrics)
        folder.status.write(state, reason, epoch=7)
    if state == "running":
        # As it is where the process was killed: leaving the block has said that it failed.
        folder.status.write(state, epoch=7)
    return folder.path


@pytest.mark.rendered
@pytest.mark.parametrize(
    ("state", "reason", "said", "goes_on"),
    [
        ("running", "", "Its process is gone", True),
        ("failed", "OSError: <b>disk</b>", "It failed: OSError: <b>disk</b>", True),
        ("interrupted", "Ctrl-C", "It was interrupted: Ctrl-C", True),
        ("finished", "", "its summary is missing", False),
    ],
)
def test_a_run_without_a_summary_says_what_is_on_record(state: RunState, reason: str, said: str, goes_on: bool) -> None:
    # Drawing takes a second, and is the same for all.
    metrics = HEAD + ROWS if state == "interrupted" else None
    folder = made("a", state, reason=reason, metrics=metrics)
    assert run("report", "a", "--quiet") == 0
    # An inequality sign that would begin a tag is escaped.
    text = (folder / "report.md").read_text().replace("\\<", "<")
    assert said in text
    assert "It has no results yet" in text
    assert ("| 7 | 0.1429 | 0.5 | 0.2857 | 0.4 | 0.001 |" in text) == (metrics is not None)
    assert ("](plots/curves.png)" in text) == (metrics is not None)
    assert ("`stopcli resume a` resumes it" in text) == goes_on
    page = (folder / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>disk" not in page
    assert page.count("<img ") == (metrics is not None)


def test_a_run_that_another_process_writes_is_told_as_running_and_left_to_it() -> None:
    with RunFolder.create(root=Path(), command="moons", run_dir=Path("a")) as folder:
        folder.write_config(CONFIG)
        # A row that is being written.
        folder.metrics.write_text(HEAD + ROWS + "8,8,0.1")
        before = {path: path.read_bytes() for path in Path("a").iterdir()}
        assert run("report", "a", "--quiet") == 0
        assert {path: path.read_bytes() for path in before} == before
        folder.status.write("finished")
    text = Path("a/report.md").read_text()
    assert "It is running" in text
    assert "| 7 | 0.1429" in text
    assert "stopcli resume" not in text
    assert sorted(path.name for path in Path("a").iterdir() if path not in before) == [
        "plots", "report.html", "report.md",
    ]  # fmt: skip


@pytest.mark.parametrize("metrics", [None, "", HEAD, "epoch,step,loss\n1,2\n", "not a table\n", "\0"])
def test_metrics_that_are_not_there_or_damaged_are_no_reason_to_fail(metrics: str | None) -> None:
    folder = made("a", "failed", metrics=metrics)
    assert run("report", "a", "--quiet") == 0
    text = (folder / "report.md").read_text()
    assert "No epoch was recorded." in text
    assert "plots/" not in text
    assert ("metrics.csv: " in text) == (metrics not in (None, HEAD))


def test_files_that_are_no_json_are_no_reason_to_fail() -> None:
    folder = made("a", "failed")
    for name in ("status.json", "summary.json", "environment.json"):
        (folder / name).write_text("{")
    assert run("report", "a", "--quiet") == 0
    told = (folder / "report.md").read_text()
    assert "Its record is incomplete: status.json: damaged (not JSON: Expecting" in told
    assert "environment.json: damaged (not JSON: Expecting" in told


def test_a_sweep_without_a_summary_lists_its_runs() -> None:
    sweep = made("sweep", "interrupted", config='command = "moons"\nseeds = 2\n', metrics=None)
    (sweep / "jobs").mkdir()
    made("sweep/jobs/x-seed0", "finished")
    made("sweep/jobs/x-seed1", "interrupted", reason="Ctrl-C")
    assert run("report", "sweep", "--quiet") == 0
    text = (sweep / "report.md").read_text()
    assert "| x-seed0 | finished | 7 | – |" in text
    assert "| x-seed1 | interrupted | 7 | Ctrl-C |" in text


def test_to_writes_a_new_file_and_leaves_the_folder_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    folder = made("a", "interrupted")
    before = sorted(path.name for path in folder.iterdir())
    assert run("report", "a", "--to", "page.html") == 0
    assert sorted(path.name for path in folder.iterdir()) == before
    assert Path("page.html").read_text().count("<img ") == 1
    Path("mine.html").write_text("mine")
    for words, said in (
        (["a", "--to", "mine.html"], "mine.html already exists"),
        (["a", "--to", "nowhere/page.html"], "there is no folder nowhere"),
        (["a", "a", "--to", "new.html"], "--to: received 2 runs for one file, expected one run"),
        (["a", "gone"], "gone: no such folder"),
        (["."], "not a run folder"),
    ):
        assert run("report", *words) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert Path("mine.html").read_text() == "mine"
    assert not Path("new.html").exists()
    assert sorted(path.name for path in folder.iterdir()) == before


def test_json_says_what_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    made("a", "failed", metrics=None)
    assert run("report", "a", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {"run": "a", "files": ["a/report.md", "a/report.html"]}


def test_open_shows_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    made("a", "failed", metrics=None)
    assert run("report", "a", "--open", "--quiet") == 0
    assert opened == [Path("a/report.html").resolve().as_uri()]


def test_a_command_line_that_is_no_text_is_shown_as_what_it_is() -> None:
    folder = made("a", "failed", metrics=None)
    environment = {
        "argv": ["stopcli", "moons", "--run-dir", "a\udcff`b`"], "versions": {"python": "3"},
        "platform": "P", "cpu": "C", "cores": 1,
    }  # fmt: skip
    (folder / "environment.json").write_text(json.dumps(environment))
    assert run("report", "a", "--quiet") == 0
    assert "Command: ``stopcli moons --run-dir 'a\\udcff`b`'``" in (folder / "report.md").read_text()


def test_a_report_imports_no_tensorflow() -> None:
    made("a", "failed", metrics=None)
    code = (
        "import sys\nfrom stopcli.cli.main import main\n"
        "try: main(['report', 'a', '--quiet'])\nexcept SystemExit as exited: assert not exited.code\n"
        "print([name for name in ('tensorflow', 'keras', 'matplotlib', 'sklearn', 'scipy') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
