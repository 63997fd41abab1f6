"""Sweeps that are refused before anything is started, without TensorFlow and leaving nothing."""

from __future__ import annotations

import socket
import sys

import pytest
from refusals import check_refused

from stopcli.recipes import image_checks

DIGITS = ["--dataset", "digits"]
WRONG = [
    (["--m"], "--m: received '', expected one whole number or more, such as 2 4 8"),
    (["--m", "0"], "--m: received 0, expected 1 copy or more"),
    (["--m", "2", "-1"], "--m: received -1, expected numbers of copies from 1 to 1024"),
    (["--m", "2", "4", "2"], "2 is given twice"),
    (["--m", "2,two"], "--m: received 'two', expected whole numbers"),
    (["--m", "2", "4", "eight", "--epochs", "3"], "--m: received 'eight', expected whole numbers"),
    (["--m", "2.5"], "--m: received '2.5', expected whole numbers"),
    (["--jobs", "0"], "--jobs: received 0"),
    (["--threads", "0"], "--threads: received 0"),
    (["--seeds", "0"], "--seeds: received 0"),
    (["--executor", "cluster"], "--executor: received 'cluster', expected one of "),
    (["--equal", "time"], "--equal: received 'time', expected one of "),
    (["--executor", "in-process", "--jobs", "3"], "--jobs: received 3, expected 1 with executor in-process"),
    (["--equal", "updates", "--m", "3"], "--batch-size: received 64, expected a multiple of 3"),
    (["--executor", "ray", "--ray-address", "host:port"], "--ray-address: received 'host:port', expected auto, HOST"),
    (["--m", "1024", "--depth", "56"], "trains ResNet-56 on 65,536 images at a time"),
]


@pytest.mark.parametrize(
    ("args", "answer"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_a_wrong_sweep_is_told_what_is_wrong_and_leaves_nothing(
    args: list[str], answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_checks, "available_bytes", lambda: int(20e9))
    check_refused(["cutout-sweep", "--json", *DIGITS, *args], answer, capsys, monkeypatch)


def test_a_cluster_that_nobody_answers_for_is_told_in_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    words = ["cutout-sweep", *DIGITS, "--executor", "ray", "--ray-address", address]
    check_refused(words, f"nobody answers at {address}", capsys, monkeypatch)


def test_without_ray_the_install_line_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    check_refused(["cutout-sweep", *DIGITS, "--executor", "ray"], "pip install 'stopcli[ray]'", capsys, monkeypatch)
