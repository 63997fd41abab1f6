"""CIFAR-10 downloaded from a server of this machine: whole, broken off, another file, nowhere to keep it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cifar_server import TEST, TRAIN, Served, cifar_served

from stopcli.data import cifar10
from stopcli.data import cifar10 as downloading
from stopcli.data.load import load_images
from stopcli.errors import RunError

NAME = "cifar-10-batches-py-target"
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def served() -> Iterator[Served]:
    with cifar_served() as served:
        yield served


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("STOPCLI_DATASET", raising=False)
    return tmp_path / "keras" / "datasets"


def test_a_download_ends_in_the_cache_as_keras_leaves_it_and_is_read_from_there(served: Served, cache: Path) -> None:
    told: list[tuple[str, int, int]] = []
    images = load_images("auto", on_progress=lambda *numbers: told.append(numbers))
    assert (images.name, images.train.count, images.test.count, images.notes) == ("cifar10", TRAIN, TEST, ())
    assert told[0] == ("downloading CIFAR-10, megabytes", 0, 0)
    assert load_images("cifar10").train.count == TRAIN
    assert served.requested_ranges == [""]
    # Where and what keras.datasets.cifar10 looks for before it downloads.
    assert (cache / f"{NAME}_archive").read_bytes() == served.content
    assert sorted(path.name for path in (cache / NAME / "cifar-10-batches-py").iterdir()) == [
        "batches.meta",
        "data_batch_1",
        "test_batch",
    ]
    assert {path.name for path in cache.iterdir()} == {NAME, f"{NAME}_archive", "cifar10.stopcli.lock"}


def test_a_connection_that_breaks_is_made_again_for_what_is_missing(served: Served, cache: Path) -> None:
    served.breaks_after = len(served.content) // 2 + 1
    assert load_images("cifar10").train.count == TRAIN
    assert served.requested_ranges == ["", f"bytes={served.breaks_after}-"]


def test_what_an_earlier_attempt_has_left_is_gone_on_with(served: Served, cache: Path) -> None:
    served.breaks_after = 0
    with pytest.raises(RunError, match=r"CIFAR-10 cannot be downloaded from http://127\.0\.0\.1") as caught:
        load_images("cifar10")
    assert f"0 of {len(served.content):,} bytes" in caught.value.message
    assert "--dataset PATH" in caught.value.hint
    cache.joinpath(f"{NAME}_archive.part").write_bytes(served.content[:100])
    served.breaks_after = None
    assert load_images("cifar10").train.count == TRAIN
    assert served.requested_ranges[-1] == "bytes=100-"


@pytest.mark.parametrize("ranges", [True, False], ids=["the rest", "all of it again"])
def test_a_part_of_another_file_is_found_out_and_not_kept(ranges: bool, served: Served, cache: Path) -> None:
    cache.mkdir(parents=True)
    part = cache / f"{NAME}_archive.part"
    part.write_bytes(b"something else")
    served.ranges = ranges
    if not ranges:
        assert load_images("cifar10").train.count == TRAIN
        return
    with pytest.raises(RunError, match="the downloaded file does not have the expected SHA-256"):
        load_images("cifar10")
    assert not part.exists()
    assert load_images("cifar10").train.count == TRAIN


def test_all_of_it_left_by_a_process_that_was_killed_is_taken(served: Served, cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.joinpath(f"{NAME}_archive.part").write_bytes(served.content)
    assert load_images("cifar10").train.count == TRAIN


def test_no_network_is_said_with_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cifar_served() as gone:
        url = gone.url
    monkeypatch.setattr(cifar10, "_ORIGIN", url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(RunError, match=r"cannot be downloaded from http://127.* \(Connection refused\)"):
        load_images("cifar10")
    images = load_images("auto")
    assert images.name == "digits"
    assert "Connection refused" in images.notes[0]


def test_a_server_that_says_nothing_is_not_waited_for(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(downloading, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(cifar10, "_ORIGIN", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(RunError, match=r"\(timed out\)"):
            load_images("cifar10")


def test_a_cache_that_cannot_be_written_is_done_without(served: Served, cache: Path) -> None:
    # A file where a folder should be: nobody, and root neither, can write there.
    cache.parent.write_text("")
    images = load_images("cifar10")
    assert (images.name, images.train.count) == ("cifar10", TRAIN)
    (note,) = images.notes
    assert note.startswith("CIFAR-10 is downloaded each time, because ")
    assert "keras/datasets cannot be written: " in note
    assert "KERAS_HOME" in note


def test_without_a_home_directory_nothing_is_kept(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    images = load_images("cifar10")
    assert images.train.count == TRAIN
    assert "there is no home directory for a cache" in images.notes[0]
    assert list(tmp_path.iterdir()) == []


def test_loading_imports_no_tensorflow(tmp_path: Path) -> None:
    """In a process of its own: this one may have imported it."""
    program = """
import os, shutil, sys
from cifar_server import cifar_served
from stopcli.configs.base import resolve
from stopcli.configs.registry import config_class
from stopcli.recipes.base import recipe_of
from stopcli.training.session import NullObserver

for command in ("cifar-resnet", "train", "clr", "lr-range", "cutout-sweep", "moons"):
    given = {} if command == "moons" else {"dataset": "cifar10", "limit": None, "test_limit": None, "model": "mlp"}
    fields = config_class(command).__dataclass_fields__
    config = resolve(config_class(command), {name: value for name, value in given.items() if name in fields}, bool)
    shutil.rmtree(os.environ["KERAS_HOME"], ignore_errors=True)
    with cifar_served() as served:
        loaded = recipe_of(command).load(config, NullObserver())
    assert served.requested_ranges == ([] if command == "moons" else [""]), command
    assert not {"tensorflow", "keras"} & sys.modules.keys(), command

from program import run
with cifar_served() as served:
    flags = ("--scale", "full", "--dry-run", "--json", "--quiet", "--dataset", "cifar10")
    assert run("reproduce", sys.argv[1], *flags) == 0
assert served.requested_ranges == [""]
assert not {"tensorflow", "keras"} & sys.modules.keys()
"""
    path = os.pathsep.join([str(PROJECT / "tests" / "support"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "KERAS_HOME": str(tmp_path / "keras")}
    told = subprocess.run(
        [sys.executable, "-c", program, str(PROJECT / "experiments" / "clr.toml")],
        capture_output=True,
        text=True,
        env=environment,
        timeout=180,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "full-cifar10/clr" in told.stdout
