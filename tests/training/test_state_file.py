"""The files of exact states: whole or not there, verified, without pickles."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import resource
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stopcli.errors import CheckpointError, RecordError
from stopcli.runs.files import Prefix
from stopcli.training.state_file import StateStore, TrainState, read_state


def point_of(epoch: int) -> TrainState:
    arrays = (np.arange(3, dtype=np.float32), np.array(epoch))
    return TrainState(
        epoch,
        4 * epoch,
        arrays,
        {"wait": 1},
        {"watch": (1, 0.5)},
        {"keep": arrays},
        {"metrics.csv": Prefix(7, "ab")},
        1.5,
        {"a": 1},
        # An epoch that diverges is saved like any other.
        partial_sums=(np.array([np.nan, 1], dtype=np.float32),),
        partial_seconds=0.25,
        plateau_state={"best": 0.5, "wait": 2, "cooldown": 0},
    )


def test_a_state_comes_back_and_the_last_two_are_kept(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "resume")
    for epoch in (1, 2, 30):
        store.save(point_of(epoch))
    assert [path.stem for path in store.files()] == ["step-000000000120", "step-000000000008"]
    read = store.load().state
    assert read is not None
    expected = point_of(30)
    for one, other in zip(
        read.live + read.best_states["keep"] + read.partial_sums,
        expected.live + expected.best_states["keep"] + expected.partial_sums,
        strict=True,
    ):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    arrays = {"live", "best_states", "partial_sums"}
    for name in TrainState.__dataclass_fields__.keys() - arrays:
        assert getattr(read, name) == getattr(expected, name), name


def test_variables_of_bfloat16_come_back(tmp_path: Path) -> None:
    from ml_dtypes import bfloat16

    arrays = (np.array([[1.5, -3.0]], bfloat16), np.array(0.25, bfloat16), np.array([1.5], np.float16))
    store = StateStore(tmp_path / "resume")
    store.save(replace(point_of(1), live=arrays))
    read = store.load().state
    assert read is not None
    for one, other in zip(read.live, arrays, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def test_a_full_disk_leaves_the_states_before(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "resume")
    store.save(point_of(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.save(point_of(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "resume").iterdir()] == ["step-000000000004.state"]
    assert store.load().skipped == []


def test_a_state_of_another_format_is_refused(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    store.save(point_of(1))
    (path,) = store.files()
    rewrite_meta(path, lambda meta: meta.update(format=4))
    with pytest.raises(CheckpointError, match="format 4, expected 3"):
        read_state(path)


def rewrite_meta(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the meta.json of a state, and its hash with it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    meta = json.loads(parts["meta.json"])
    change(meta)
    parts["meta.json"] = json.dumps(meta).encode()
    parts["meta.sha256"] = hashlib.sha256(parts["meta.json"]).hexdigest().encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "dangling link"])
def test_a_state_that_is_no_file_is_passed_over_and_in_nobodys_way(kind: str, tmp_path: Path) -> None:
    store = StateStore(tmp_path / "resume")
    store.save(point_of(1))
    newest = tmp_path / "resume" / "step-000000000012.state"
    if kind == "pipe":
        os.mkfifo(newest)
    elif kind == "folder":
        (newest / "of somebody").mkdir(parents=True)
    else:
        newest.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    loaded = store.load()
    assert loaded.state is not None
    assert loaded.state.epoch == 1
    ((path, error),) = loaded.skipped
    assert path == newest
    assert f"{newest}: not a state that can be resumed" in str(error)
    # Of those that are kept it is none, and where its name is needed it makes room.
    store.save(point_of(2))
    assert {path.name for path in store.files()} == {f"step-{step:012}.state" for step in (4, 8, 12)}
    store.save(point_of(3))
    loaded = store.load()
    assert loaded.state is not None
    assert (loaded.state.epoch, loaded.skipped) == (3, [])
    assert [path.name for path in store.files()] == [f"step-{step:012}.state" for step in (12, 8)]
    assert kind != "folder" or (tmp_path / "resume" / f"{newest.name}.folder" / "of somebody").is_dir()


def test_a_state_that_does_not_go_with_the_record_is_passed_over(tmp_path: Path) -> None:
    def check(state: TrainState) -> None:
        if state.epoch > 1:
            raise RecordError("metrics.csv: changed")

    store = StateStore(tmp_path)
    store.save(point_of(1))
    store.save(point_of(2))
    loaded = store.load(check)
    assert loaded.state is not None
    assert loaded.state.epoch == 1
    assert [(path.name, str(error)) for path, error in loaded.skipped] == [
        ("step-000000000008.state", "metrics.csv: changed")
    ]


def test_a_state_from_a_stranger_runs_no_code(tmp_path: Path) -> None:
    """A crafted state with a pickle in it, its hashes right, is refused before anything of it runs."""

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    out = io.BytesIO()
    np.save(out, np.array([Evil()], dtype=object), allow_pickle=True)
    for part in (out.getvalue(), pickle.dumps(Evil())):
        path = tmp_path / "step-1.state"
        StateStore(tmp_path / "good").save(point_of(1))
        with zipfile.ZipFile(tmp_path / "good" / "step-000000000004.state") as good:
            parts = {name: good.read(name) for name in good.namelist()}
        meta = json.loads(parts["meta.json"])
        parts["live/0000.npy"] = part
        meta["sha256"]["live/0000.npy"] = hashlib.sha256(part).hexdigest()
        parts["meta.json"] = json.dumps(meta).encode()
        parts["meta.sha256"] = hashlib.sha256(parts["meta.json"]).hexdigest().encode()
        with zipfile.ZipFile(path, "w") as crafted:
            for name, content in parts.items():
                crafted.writestr(name, content)
        with pytest.raises(CheckpointError, match="not a state that can be resumed"):
            read_state(path)
        assert not (tmp_path / "ran").exists()
