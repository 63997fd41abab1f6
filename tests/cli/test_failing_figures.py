"""A picture or a report that cannot be made: whatever was computed is kept, and it is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from program import run, status_of, summary_of
from quick_runs import quick_runs

from stopcli.report import curves

pytestmark = pytest.mark.rendered

SMALL = ["moons", "--hidden", "20", "--epochs", "5"]


@pytest.fixture
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("latex could not be found")

    monkeypatch.setattr(curves, "learning_curves", fail)
    monkeypatch.setattr("stopcli.report.curves.seed_curves", fail)
    monkeypatch.setattr("stopcli.report.arm_curves.overlaid_curves", fail)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no template")

    monkeypatch.setattr("stopcli.report.html.to_html", fail)


@pytest.fixture(scope="module")
def seeds(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep, and beside it a run that differs."""
    folder = tmp_path_factory.mktemp("seeds")
    with quick_runs():
        assert run(*SMALL, "--seeds", "2", "--run-dir", str(folder / "sweep"), "--quiet") == 0
        assert run(*SMALL, "--epochs", "6", "--run-dir", str(folder / "other"), "--quiet") == 0
    return folder


WARNING = "the report lacks the figure curves, which could not be drawn (RuntimeError: latex could not be found)"


@pytest.mark.usefixtures("tensorflow", "no_curves")
def test_a_run_whose_figure_fails_finishes_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*SMALL, "--run-dir", "a") == 0
    assert f"Warning: {WARNING}" in " ".join(capsys.readouterr().err.split())
    summary = summary_of("a")
    assert (status_of("a")["state"], summary["state"]) == ("finished", "finished")
    assert summary["report"]["figures"] == ["moons"]
    assert summary["warnings"][-1] == WARNING
    assert 'raise RuntimeError("latex could not be found")' in Path("a/log.txt").read_text()
    assert "Traceback" in Path("a/log.txt").read_text()
    for name in ("a/report.md", "a/report.html"):
        assert "the report lacks the figure curves" in Path(name).read_text()
    assert sorted(path.name for path in Path("a/plots").iterdir()) == ["moons.png", "moons.svg"]


@pytest.mark.usefixtures("no_curves")
def test_a_sweep_a_comparison_and_a_report_go_without_it_too(
    seeds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = shutil.copytree(seeds / "sweep", tmp_path / "sweep")
    # As if the process had died before it summed the runs up.
    (sweep / "summary.json").unlink()
    assert run("resume", str(sweep)) == 0
    assert f"Warning: {WARNING}" in " ".join(capsys.readouterr().err.split())
    assert status_of(sweep)["state"] == "finished"
    assert summary_of(sweep)["report"]["figures"] == ["stop_epochs", "accuracies"]
    assert run("compare", str(sweep), str(seeds / "other"), "--run-dir", "b") == 0
    assert f"Warning: {WARNING}" in " ".join(capsys.readouterr().err.split())
    assert WARNING in summary_of("b")["warnings"]
    assert "latex" in Path("b/report.html").read_text()
    died = shutil.copytree(seeds / "other", tmp_path / "died")
    (died / "summary.json").unlink()
    assert run("report", str(died)) == 0
    assert f"Warning: {WARNING}" in " ".join(capsys.readouterr().err.split())
    assert "latex" in (died / "report.md").read_text()


@pytest.mark.usefixtures("tensorflow", "quick", "no_report")
def test_a_run_whose_report_fails_has_its_results(seeds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*SMALL, "--run-dir", "a", "--json") == 0
    said = capsys.readouterr()
    summary = summary_of("a")
    assert json.loads(said.out) == summary
    assert "the report could not be written (RuntimeError: no template)" in " ".join(said.err.split())
    assert status_of("a")["state"] == "finished"
    assert summary["warnings"][-1].endswith("; stopcli report a tries again")
    assert not list(Path("a").glob("report.*"))
    assert run("compare", "a", str(seeds / "other"), "--run-dir", "b", "--quiet") == 0
    assert "no template" in summary_of("b")["warnings"][-1]
    # Whose only purpose it is says what is wrong with it.
    with pytest.raises(RuntimeError, match="no template"):
        run("report", "a")
