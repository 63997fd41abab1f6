"""What a run writes down of the machine when it begins and goes on, and what it tells where that changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stopcli.configs.moons import MoonsConfig
from stopcli.runner.provenance import record_environment
from stopcli.runs.folder import RunFolder
from stopcli.training.session import Start
from stopcli.training.state_file import TrainState

DEVICES: dict[str, Any] = {"gpus": [], "threads": {"intra_op": 2, "inter_op": 0}, "precision": "float32"}


def session(folder: RunFolder, epoch: int | None = None, **devices: Any) -> tuple[str, ...]:
    state = None if epoch is None else TrainState(epoch, 0, (), {}, {}, {}, {}, 0.0, {})
    return record_environment(MoonsConfig(), folder, {**DEVICES, **devices}, Start(state, resumed=epoch is not None))


@pytest.fixture
def folder() -> RunFolder:
    with RunFolder.create(root=Path(), command="moons", run_dir=Path("run")) as folder:
        return folder


def test_going_on_where_the_run_began_is_nothing_to_tell(folder: RunFolder) -> None:
    assert session(folder) == ()
    assert session(folder, 4) == ()
    assert json.loads(folder.environment.read_text())["resumed"][0]["computes_otherwise"] == []


def test_every_change_of_machine_is_told_until_the_end(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    session(folder)
    threads = {"intra_op": 1, "inter_op": 0}
    (first,) = session(folder, 4, threads=threads)
    assert first.startswith("after epoch 4 it was resumed where it computes differently (threads: was 2, is 1);")
    # Compared with where it was last, not with where it began.
    assert session(folder, 6, threads=threads) == (first,)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setattr("stopcli.runs.environment.cpu_name", lambda: "another")
    again, second = session(folder, 8, threads=threads)
    assert again == first
    assert "; TF_ENABLE_ONEDNN_OPTS: was 'not set', is '0');" in second
    assert "processor: was " in second


@pytest.mark.parametrize("content", ["{}", '{"resumed": []}', '{"gpus": [], "cores": 2, "resumed": [{}]}'])
def test_what_is_not_on_record_is_nothing_to_tell(folder: RunFolder, content: str) -> None:
    session(folder)
    folder.environment.write_text(content)
    assert session(folder, 4) == ()
    (told,) = session(folder, 6, threads={"intra_op": 1, "inter_op": 0})
    assert "(threads: was 2, is 1);" in told


def test_a_run_that_begins_again_computes_all_of_it_here(folder: RunFolder) -> None:
    session(folder)
    assert record_environment(MoonsConfig(), folder, {**DEVICES, "threads": {"intra_op": 1}}, Start(resumed=True)) == ()
    assert json.loads(folder.environment.read_text())["resumed"][0]["computes_otherwise"] == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "[]",
        '{"resumed": {}}',
        '{"resumed": "twice"}',
        '{"resumed": [3]}',
        '{"cores": "two"}',
        "[" * 5000,
        "\xff",
    ],
)
def test_a_damaged_record_is_kept_and_told_and_no_reason_to_fail(folder: RunFolder, content: str) -> None:
    session(folder)
    folder.environment.write_bytes(content.encode("latin-1"))
    (told,) = session(folder, 4)
    assert told.startswith("environment.json: damaged (")
    assert "is kept as environment-damaged-1.json; what the run was made with before is not known any more" in told
    assert (folder.path / "environment-damaged-1.json").read_bytes() == content.encode("latin-1")
    written = json.loads(folder.environment.read_text())
    assert written["cores"] >= 1
    assert [session["from_epoch"] for session in written["resumed"]] == [4]
    # The next one is kept beside it.
    folder.environment.write_text("")
    session(folder, 6)
    assert (folder.path / "environment-damaged-2.json").read_bytes() == b""


def test_a_record_without_sessions_goes_on_with_its_first(folder: RunFolder) -> None:
    session(folder)
    made = json.loads(folder.environment.read_text())
    folder.environment.write_text(json.dumps({**made, "resumed": []}))
    assert session(folder, 4) == ()
    assert len(json.loads(folder.environment.read_text())["resumed"]) == 1
