"""Run folders whose files somebody has changed: whatever they hold now, a command says what is wrong in a line."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from program import run
from summaries import sweep_content
from written_runs import write_run

from stopcli.cli.analyse import report
from stopcli.cli.runs import list_runs, show
from stopcli.errors import RequestError, StopcliError
from stopcli.runner.resume import prepare
from stopcli.runs.files import read_toml

JSON_FILES = ("status.json", "summary.json", "environment.json")
CHOSEN = {"monitor": "val_accuracy", "epoch": 20, "value": 0.9, "test_accuracy": 0.8}
TABLE = {"title": "Results", "columns": ["a", "b"], "rows": [["1", "2"], ["3", "4"]], "sums": 1}
MORE = {
    "name": "", "scale": "full", "parameters": 81, "conclusions": [], "warnings": ["odd"], "seconds": {"train": 2.4},
    "samples_per_second": 17.5, "projected_train_seconds": 3.0, "arm": "patience-5",
    "stop": {
        "reason": "patience", "rule": "val_loss patience=5", "epoch": 40, "wait": 5, "best_epoch": 20,
        "best_value": 0.2, "margin": 0.1,
    },
    "test_interval": {"final": {"right": 57, "rows": 70, "low": 0.7, "high": 0.9}, "best": None},
    "selection": {"honest": CHOSEN, "claimed": CHOSEN, "optimism": 0.0},
    "report": {"title": "moons", "words": ["Data: moons"], "tables": [TABLE], "figures": ["curves"]},
}  # fmt: skip
STATUS = {
    "state": "finished", "reason": "", "epoch": 40, "process": {"host": "here", "pid": 1},
    "started": "2026-01-01T00:00:00+00:00", "heartbeat": "2026-01-01T00:00:00+00:00",
    "progress": {"metrics": {"val_loss": 0.2}, "samples_per_second": 2.0, "seconds": 1.0, "seconds_left": 0.0},
}  # fmt: skip
SWEEP = {
    "command": "moons", "state": "finished", "reason": "", "scale": "full", "dataset": "moons", "seed": 0, "seeds": 2,
    "arm": "patience-5", "finished": 2, "table": TABLE, "conclusions": ["so"], "test_rows_chose": True, "warnings": [],
    "jobs": [{"name": f"patience-5-gl-2-seed{seed}", "state": "finished", "reason": "odd"} for seed in range(2)],
    "report": MORE["report"], "seconds": {"jobs": 4.1},
}  # fmt: skip
SETTINGS = {"patience": 5, "stop": ["gl:2"], "name": "it", "seeds": 1}


def write_runs(root: Path) -> None:
    """A run `a`, another `b`, and a sweep `s` of two runs."""
    resumed = [{"from_epoch": 3, "computes_with": {"threads": 2}, "computes_otherwise": ["threads"]}]
    for name in ("a", "b", "s/jobs/patience-5-gl-2-seed0", "s/jobs/patience-5-gl-2-seed1"):
        write_run(root / name, seed=int(name[-1] in "b1"), summary=MORE, **SETTINGS)
        (root / name / "status.json").write_text(json.dumps(STATUS))
        environment = json.loads((root / name / "environment.json").read_text())
        (root / name / "environment.json").write_text(json.dumps({**environment, "resumed": resumed}))
    for name in ("environment.json", "status.json"):
        shutil.copy(root / "a" / name, root / "s" / name)
    config = {**read_toml(root / "a/config.toml"), "seeds": 2}
    (root / "s/config.toml").write_text(tomli_w.dumps(config))
    (root / "s/summary.json").write_text(json.dumps(sweep_content(**SWEEP)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_runs(root)
    return root


@contextlib.contextmanager
def changed(runs: Path, name: str, content: bytes) -> Iterator[None]:
    """In the block, the working folder holds the runs, one of their files with other content."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            shutil.copytree(runs, "runs")
            Path("runs", name).write_bytes(content)
            yield
        finally:
            os.chdir(before)


def use_everything(asks: list[str]) -> None:
    """Whatever reads a run folder, without what follows (drawing, training)."""
    from stopcli.analysis.compare import compare
    from stopcli.analysis.compare_report import output_of
    from stopcli.analysis.replay import ReplayOptions, replay
    from stopcli.analysis.replay_report import output_of as replay_study_of

    # The functions behind the commands: Typer takes longer to find them than they take.
    list_runs(runs_dir=Path("runs"))
    list_runs(runs_dir=Path("runs"), json=True)
    for ask in asks:
        for json_only in (False, True):
            with contextlib.suppress(StopcliError):
                show(Path(ask), json=json_only)
        Path("report.html").unlink(missing_ok=True)
        with contextlib.suppress(StopcliError):
            report([Path(ask)], to=Path("report.html"), quiet=True)
        with contextlib.suppress(StopcliError):
            prepare(Path(ask))
        with contextlib.suppress(StopcliError):
            prepare(Path(ask), changes={"epochs": 9000}, force=True)
    for read, study in ((compare, output_of), (replay, replay_study_of)):
        with contextlib.suppress(StopcliError):
            paths = [Path("runs/a"), Path("runs/b"), Path("runs/s")]
            made = read(paths, "", "test_accuracy") if read is compare else read(paths, ReplayOptions())
            study(made).document([])


def test_the_runs_are_whole(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a change nothing is wrong, so that what the tests below find is the change's."""
    with changed(runs, "none", b""):
        for words in (["list"], ["show", "runs/a"], ["show", "runs/s"], ["report", "runs/a"], ["report", "runs/s"]):
            assert run(*words) == 0
        use_everything(["runs/a", "runs/s"])
        for name in ("a", "s"):
            with pytest.raises(RequestError, match="finished"):
                prepare(Path("runs", name))
    assert "damaged" not in capsys.readouterr().out


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*place, key)
        yield from places(item, (*place, key))


LEAVES = (
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.integers(-2, 3) | st.floats() | st.text(max_size=8)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@st.composite
def changed_contents(draw: st.DrawFn, whole: bytes, toml: bool) -> bytes:
    """A file's content with a value in it replaced, taken out or renamed, or with bytes replaced."""
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(whole)))
        return whole[:at] + draw(st.binary(max_size=4)) + whole[at + draw(st.integers(0, 20)) :]
    value = tomllib_loads(whole) if toml else json.loads(whole)
    place = draw(st.sampled_from([(), *places(value)]))
    if not place:
        value = {"a": draw(VALUES)} if toml else draw(VALUES)
    else:
        inside = value
        for key in place[:-1]:
            inside = inside[key]
        change = draw(st.sampled_from(["replace", "replace", "remove", "rename"]))
        old = inside[place[-1]]
        if change == "replace":
            inside[place[-1]] = draw(VALUES)
        else:
            del inside[place[-1]]
            if change == "rename" and isinstance(inside, dict):
                inside[draw(st.text(max_size=6))] = old
    try:
        return tomli_w.dumps(value).encode() if toml else json.dumps(value).encode()
    except (TypeError, UnicodeEncodeError):
        # TOML has no word for it.
        return whole[: draw(st.integers(0, len(whole)))]


def tomllib_loads(content: bytes) -> Any:
    path = Path(tempfile.mkdtemp()) / "it.toml"
    path.write_bytes(content)
    try:
        return read_toml(path)
    finally:
        shutil.rmtree(path.parent)


@pytest.mark.slow
@pytest.mark.parametrize("ask", ["a", "s", "s/jobs/patience-5-gl-2-seed0"])
@pytest.mark.parametrize("file", [*JSON_FILES, "config.toml"])
@settings(
    max_examples=10,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_whatever_a_file_holds_no_command_ends_in_a_traceback(
    runs: Path, file: str, ask: str, data: st.DataObject
) -> None:
    whole = (runs / ask / file).read_bytes()
    content = data.draw(changed_contents(whole, file.endswith(".toml")))
    with changed(runs, f"{ask}/{file}", content):
        use_everything([f"runs/{ask}", "runs/s"] if ask.startswith("s/") else [f"runs/{ask}"])


def test_what_a_damaged_status_does_not_tell_is_left_out(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with changed(runs, "a/status.json", b"null"):
        Path("runs/a/summary.json").unlink()
        assert run("show", "runs/a") == 0
        assert capsys.readouterr().out.startswith("runs/a: damaged\nReason: status.json: damaged (")
        assert run("list", "--json") == 0
        listed = {Path(line["path"]).name: line for line in json.loads(capsys.readouterr().out)}
        assert (listed["a"]["age_seconds"], listed["a"]["epochs"]) == (None, "–")
        assert run("list") == 0
