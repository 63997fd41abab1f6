"""The exit statuses of requests, and that one which is refused leaves no trace; nothing here imports TensorFlow."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pinned import FIXTURES
from program import run

# By exit status: 0 done, 2 the request was wrong.
REQUESTS = {
    0: [
        "--version", "--help", "moons --help", "cifar-resnet --help", "cutout-sweep --help", "clr --help",
        "lr-range --help", "run --help", "reproduce --help", "resume --help", "list --help", "show --help",
        "rm --help", "prune --help", "fit --help", "predict --help",
        "compare --help", "report --help", "replay --help", "recommend --help", "verify-resume --help",
        "list", "list --runs-dir nowhere", "show runs/moons", "show runs/failed", "show runs/paused-sweep",
        "show runs/clr/jobs/constant-seed0", "reproduce small.toml --runs-dir runs/reproduced --scale full --dry-run",
    ],
    2: [
        "moon", "moons --patience -1", "moons --patience 3.5", "moons --monitor val_los", "moons --noise nan",
        "moons --case-study --patience 5", "moons --run-dir runs/moons", "moons surplus", "moons --stop hunch:2",
        "moons --epochs 5 --start-from-epoch 5", "moons --init-from nowhere", "moons --time-budget soon",
        "cifar-resnet --depth 9", "cifar-resnet --dataset nowhere", "cifar-resnet --erase-p 2",
        "cifar-resnet --lr-policy hunch", "cifar-resnet --dataset digits --validation folder",
        "cutout-sweep --m 1 0", "cutout-sweep --equal hunch", "cutout-sweep --executor hunch",
        "clr --policy hunch", "clr --base-lr 1 --max-lr 0.1", "clr --from-range runs/moons", "clr --stop-at never",
        "lr-range --start-lr 1 --end-lr 0.1", "lr-range --iterations 0", "lr-range --dataset moons",
        "fit", "fit nowhere.py", "fit runs", "fit small.toml", "fit nowhere.py --vary units",
        "run nowhere.toml", "run small.toml", "run runs/moons/config.toml --run-dir runs/moons",
        "reproduce nowhere.toml", "reproduce runs/moons/config.toml",
        "resume nowhere", "resume runs/moons", "resume runs/failed", "resume runs/replay", "resume runs/lr-range",
        "resume runs/moons --epochs 5", "resume runs/paused --retry-failed", "resume runs/moons --patience 2",
        "show nowhere", "show runs", "compare runs/moons", "compare runs/moons runs/paused --metric hunch",
        "compare runs/moons runs/paused --baseline hunch", "compare runs/moons runs/paused --run-dir runs/moons",
        "report nowhere", "report runs/moons runs/clr --to page.html", "report runs/moons --to runs/moons/summary.json",
        "predict", "predict runs/moons", "predict runs/moons small.toml", "predict nowhere table.csv",
        "replay", "replay nowhere", "replay runs/moons --rule hunch", "replay runs/moons --patience -1",
        "replay runs/moons --monitor val_los", "replay runs/moons --select f1", "recommend", "recommend nowhere",
        "recommend runs/moons --within 0", "recommend runs/moons --stop hunch", "verify-resume --kills 0",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy of the fixtures for all requests, because none of them changes it."""
    folder = tmp_path_factory.mktemp("requests")
    shutil.copytree(FIXTURES / "runs", folder / "runs")
    shutil.copy(FIXTURES / "small.toml", folder)
    return folder


@pytest.mark.parametrize(
    ("status", "request_line"), [(status, line) for status, lines in REQUESTS.items() for line in lines]
)
def test_a_request_has_its_exit_status(
    status: int,
    request_line: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    assert run(*request_line.split()) == status
    out, err = capsys.readouterr()
    # Of no runs there is nothing to list.
    assert bool(out) == (status == 0 and "nowhere" not in request_line)
    assert bool(err) == (status == 2) or request_line.startswith(("reproduce", "list"))
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
