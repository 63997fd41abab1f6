from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

from stopcli.configs.base import parse
from stopcli.configs.classifier import CifarResnetConfig
from stopcli.configs.moons import MoonsConfig
from stopcli.errors import ConfigError, RequestError
from stopcli.sweeps import layout as layouts
from stopcli.sweeps import ray
from stopcli.sweeps.layout import Layout, core_shares, plan_layout
from stopcli.sweeps.ray import split_address


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "usable_cores", lambda: 4)


def of(**settings: Any) -> Layout:
    return plan_layout(parse(CifarResnetConfig, {"seeds": 5, **settings}), gpu=False)


def test_a_run_a_core_is_the_default() -> None:
    assert of() == Layout("processes", 4, 1)
    assert of(jobs=2) == Layout("processes", 2, 2)
    assert of(jobs=9) == Layout("processes", 9, 1)
    assert of(threads=2) == Layout("processes", 2, 2)
    assert of(executor="in-process") == Layout("in-process", 1, 4)
    assert of(executor="ray", ray_address="auto", threads=3) == Layout("ray", 0, 3, "auto")
    # A cluster that is begun for the sweep is this machine.
    assert of(executor="ray", threads=2) == Layout("ray", 2, 2)


def test_a_gpu_is_not_shared() -> None:
    config = parse(CifarResnetConfig, {"seeds": 5})
    assert plan_layout(config, gpu=True) == Layout("processes", 1, 4, gpu=True)


def test_small_runs_share_this_process() -> None:
    assert plan_layout(parse(MoonsConfig, {"seeds": 5}), gpu=False) == Layout("in-process", 4, None)


def test_runs_in_this_process_share_its_threads() -> None:
    with pytest.raises(ConfigError, match="jobs: received 2, expected 1 with executor in-process"):
        of(executor="in-process", jobs=2)


def test_a_run_that_has_no_room_on_this_machine_is_told() -> None:
    with pytest.raises(ConfigError, match="threads: received 5, expected at most the 4 cores"):
        of(executor="ray", threads=5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins processes")
def test_workers_have_cores_of_their_own_where_they_fill_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {7, 3, 5, 1})
    assert core_shares(2, 2) == ((1, 3), (5, 7))
    assert core_shares(4, 1) == ((1,), (3,), (5,), (7,))
    # One core is left, on which no worker has room.
    assert core_shares(1, 3) == ((1, 3, 5),)
    # Too many.
    assert core_shares(3, 2) == ()
    # Another sweep would take the same cores beside idle ones.
    assert core_shares(1, 1) == core_shares(3, 1) == core_shares(1, 2) == ()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("host", ("host", 6379)),
        ("10.0.0.1:7000", ("10.0.0.1", 7000)),
    ],
)
def test_addresses_of_clusters(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["host:port", ":6379", "host:0", "host:70000", "ray://host:10001"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(RequestError, match="--ray-address: received"):
        split_address(address)


def test_a_cluster_that_does_not_answer_is_told_before_anything_is_started() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(RequestError, match=f"nobody answers at 127.0.0.1:{port}"):
        Layout("ray", 0, 1, f"127.0.0.1:{port}").check()


def test_what_answers_and_is_no_cluster_is_told_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setattr(ray, "HEALTH_SECONDS", 3.0)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]
        with pytest.raises(RequestError, match=f"nobody answers at 127.0.0.1:{port}"):
            Layout("ray", 0, 1, f"127.0.0.1:{port}").check()


def test_without_ray_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RequestError, match="Ray is not installed") as caught:
        Layout("ray", 0, 1).check()
    assert caught.value.hint == "It comes with: pip install 'stopcli[ray]'"
