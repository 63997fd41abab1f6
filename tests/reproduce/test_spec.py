"""Files of published results: what they can say, and what is refused in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from refusals import check_refused

MOONS = """
title = "t"
question = "q?"
baseline = "a"
[source]
text = "s"
url = "https://example.org"
[config]
command = "moons"
epochs = 20
[[arms]]
name = "a"
title = "A"
reported = [{ measure = "stop_epoch", value = 20, band = [20, 20], why = "w" }]
[[arms]]
name = "b"
title = "B"
settings = { patience = 3 }
[[claims]]
text = "c"
arm = "b"
than = "a"
measure = "stop_epoch"
expected = "lower"
"""
FIGURE = 'figures = [{ plot = "curve", arm = "a", shows = "s" }]\n[source]'
CUTOUT = MOONS.replace('"moons"', '"cutout-sweep"\ndataset = "cifar10"').replace("settings = { patience = 3 }\n", "")


@pytest.mark.parametrize(
    ("content", "old", "new", "answer"),
    [
        (MOONS, 'question = "q?"', "question = ", "x.toml: not a TOML file: Invalid value (at line 3, column 12)"),
        (MOONS, "baseline", "basline", "x.toml: basline: no such key"),
        (MOONS, 'baseline = "a"', "", "x.toml: baseline: missing"),
        (MOONS, "[source]", "sed = 1\n[source]", "x.toml: sed: no such key"),
        (MOONS, 'url = "https', 'ulr = "https', "Did you mean url?"),
        (MOONS, 'title = "A"', 'tilte = "A"', "x.toml: arms.a.tilte: no such key"),
        (MOONS, 'title = "A"', 'title = "A"\nband = 1', "x.toml: arms.a.band: no such key"),
        (
            MOONS,
            "value = 20",
            'value = "20"',
            'x.toml: arms.a.reported.1.value: received "20", expected a number',
        ),
        (MOONS, '"stop_epoch", value', '"epochs", value', "x.toml: arms.a.reported.1.measure: received"),
        (MOONS, "band = [20, 20]", "band = [21, 20]", "a band needs a value, why it counts as reproduced"),
        (
            MOONS,
            ', band = [20, 20], why = "w"',
            "",
            "x.toml: arms.a.reported.1: needs either a band with why, or elsewhere",
        ),
        (MOONS, "epochs = 20", "epohcs = 20", "x.toml: config.epohcs: received 20, expected a setting that moons has"),
        (MOONS, "epochs = 20", "epohcs = 20", "Did you mean epochs?"),
        (MOONS, "epochs = 20", "epochs = 0", "x.toml: config.epochs: received 0"),
        (MOONS, "[[arms]]", "[quick]\nepochs = 2.5\n[[arms]]", "x.toml: quick.epochs: received 2.5"),
        (MOONS, "patience = 3", "patience = -1", "x.toml: arms.b.settings.patience: received -1"),
        (MOONS, "epochs = 20", 'scale = "quick"', "x.toml: config.scale: chosen by `stopcli reproduce`, not by a file"),
        (MOONS, '"moons"', '"moon"', "x.toml: config.command: received 'moon'"),
        (MOONS, 'command = "moons"', "", "x.toml: config.command: missing"),
        (MOONS, '"moons"', '"lr-range"', "lr-range trains no arms"),
        (MOONS, '"moons"', '"cifar-resnet"', "x.toml: config.dataset: missing"),
        (MOONS, 'name = "b"', 'name = "a"', "x.toml: arms: a is given twice"),
        (MOONS, 'name = "b"', 'name = "../b"', "x.toml: arms.../b.name: received"),
        (MOONS, 'baseline = "a"', 'baseline = "c"', "x.toml: baseline: received 'c', expected the name of an arm"),
        (MOONS, 'arm = "b"', 'arm = "bb"', "x.toml: claims.1.arm: received 'bb', expected the name of an arm"),
        (MOONS, "[source]", FIGURE, "x.toml: figures.1.plot: received 'curve', expected the name of a figure"),
        (MOONS, "[source]", FIGURE, "Did you mean curves?"),
        (MOONS, 'expected = "lower"', 'expected = "better"', "x.toml: claims.1.expected: received"),
        (CUTOUT, 'name = "b"', 'name = "m4"', "x.toml: arms: received 'a', which cutout-sweep does not make"),
        (CUTOUT, 'title = "A"', 'title = "A"\nsettings = { depth = 8 }', "x.toml: arms.a.settings: the arms are those"),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_its_key(
    content: str, old: str, new: str, answer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert old in content
    text = content.replace(old, new, 1)
    if new == 'name = "m4"':
        text = text.replace('arm = "b"', 'arm = "m4"')
    Path("x.toml").write_text(text)
    check_refused(["reproduce", "x.toml"], answer, capsys, monkeypatch)


def test_other_requests_that_cannot_be_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(command_line: str, answer: str) -> None:
        check_refused(command_line.split(), answer, capsys, monkeypatch)

    Path("x.toml").write_text(MOONS)
    Path("empty").mkdir()
    Path("more").mkdir()
    Path("more/x.toml").write_text(MOONS)
    refused("reproduce nothing", "nothing: no such file or folder")
    refused("reproduce nothing", "The published results are clr, cutout, moons, random-erasing.")
    refused("reproduce moon", "Did you mean moons?")
    refused("reproduce empty", "empty: holds no .toml file")
    refused("reproduce x.toml more", "have the same name")
    refused("reproduce x.toml --seeds 0", "Error: --seeds: received 0, expected at least 1\n")
    refused("reproduce x.toml --time-budget soon", "--time-budget: received 'soon'")
    refused("reproduce x.toml --to x.toml", "x.toml is a file, not a folder")
    refused("run x.toml", "stopcli reproduce x.toml")
    Path("image.toml").write_text(MOONS.replace('"moons"', '"cifar-resnet"\ndataset = "cifar10"'))
    refused("reproduce image.toml --dataset nowhere", "nowhere: no such folder")
    Path("REPRODUCTION.md").write_text("Mine.\n")
    refused("reproduce x.toml", "REPRODUCTION.md was not made by stopcli reproduce, and is not overwritten")
    Path("REPRODUCTION.md").unlink()
    refused("reproduce x.toml --to x.toml/deeper", "x.toml is a file, not a folder")
    Path("reproduction").touch()
    refused("reproduce x.toml", "reproduction is a file, not a folder for figures")
    Path("reproduction").unlink()
    Path("reproduction").mkdir()
    Path("reproduction/mine.txt").touch()
    refused("reproduce x.toml", "reproduction exists without a REPRODUCTION.md beside it")
    refused("reproduce x.toml --to new --runs-dir x.toml", "x.toml is a file, not a folder that could hold runs")
