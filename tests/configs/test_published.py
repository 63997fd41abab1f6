"""Published numbers: read from experiments/, and typed nowhere in the package."""

from __future__ import annotations

import tokenize
from pathlib import Path

import stopcli
from stopcli.configs.base import published_arms

PACKAGE = Path(stopcli.__file__).parent
EXPERIMENTS = ("clr", "cutout", "moons", "random-erasing")


def test_what_was_reported_for_these_settings_is_read_by_arm_and_measure() -> None:
    moons = published_arms("moons")
    assert moons["patience-200-checkpoint"].settings["patience"] == 200
    assert moons["patience-200-checkpoint"].values["saved_epoch"] == 879
    assert published_arms("cutout")["m2"].values == {"training_hours": 1.47}
    # Of another network, or shown in a figure only.
    assert published_arms("clr")["triangular2"].values == {}


def test_no_published_number_is_typed_in_the_package() -> None:
    # 4000 epochs and an accuracy of 1 are also other things.
    published = {
        value
        for experiment in EXPERIMENTS
        for arm in published_arms(experiment).values()
        for value in arm.values.values()
    } - {4000, 1.0}
    assert len(published) >= 15
    for path in PACKAGE.rglob("*.py"):
        with path.open("rb") as file:
            numbers = [token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.NUMBER]
        typed = {float(number) for number in numbers if not number.lower().startswith(("0x", "0b", "0o"))}
        assert not typed & published, path
