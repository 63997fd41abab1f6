"""A published result as a file of `experiments/` tells it: what was reported, and the settings that repeat it.

::

    title = "…"                     # of its section
    question = "…"                  # what it asks, in a sentence
    baseline = "none"               # the arm that others are compared with
    figures = [{plot = "curves", arm = "none", shows = "…"}]
    notes = ["…"]                   # what a reader should know, such as what the source leaves open

    [source]
    text = "…"
    url = "…"

    [config]                        # the published setting: a command and its settings
    [quick]                         # on top of it: a smaller version; without it the published setting is run always

    [[arms]]                        # a sweep of its own, or an arm that the command's sweep has
    name = "none"
    title = "without erasing"
    settings = {…}                  # on top of config (and quick)
    [[arms.reported]]
    measure = "test_accuracy"
    value = 0.9077                  # left out where a figure alone was published
    band = [0.8977, 0.9177]         # measured means that count as reproduced
    why = "…"                       # that band
    elsewhere = "…"                 # instead of both: the other setting that it was reported for; never judged

    [[claims]]                      # a published conclusion that a comparison of two arms can check
    text = "…"
    arm = "erasing"
    than = "none"
    measure = "test_accuracy"
    expected = "higher"             # lower, not higher, not lower
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stopcli.config import read_toml
from stopcli.errors import RequestError, shortened
from stopcli.evidence.verdict import Expected
from stopcli.report.alt_texts import ALT_TEXTS
from stopcli.studies.reproducing.measures import MEASURES, MeasureName

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Source(_Strict):
    """Where a result was published."""

    text: str = Field(min_length=1)
    url: str = Field(min_length=1)


class Reported(_Strict):
    """A value that was published for an arm."""

    measure: MeasureName
    value: float | None = None
    band: list[float] | None = Field(default=None, min_length=2, max_length=2)
    why: str = ""
    elsewhere: str = ""

    @property
    def bounds(self) -> tuple[float, float] | None:
        return None if self.band is None else (self.band[0], self.band[1])


class ArmFile(_Strict):
    """An arm of a published result."""

    name: str = Field(pattern=_NAME)
    title: str = Field(min_length=1)
    settings: dict[str, Any] = {}
    reported: list[Reported] = []


class Claim(_Strict):
    """A published conclusion that compares two arms."""

    text: str = Field(min_length=1)
    arm: str
    than: str
    measure: MeasureName
    expected: Expected
    elsewhere: str = ""


class FigureFile(_Strict):
    """A figure of a run or a sweep that is shown.

    Attributes:
        arm: whose; empty where all arms are one sweep.
    """

    plot: str = Field(pattern=_NAME)
    arm: str = ""
    shows: str = Field(min_length=1)


class Published(_Strict):
    """A published result."""

    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    source: Source
    config: dict[str, Any]
    baseline: str
    arms: list[ArmFile] = Field(min_length=1)
    quick: dict[str, Any] | None = None
    claims: list[Claim] = []
    figures: list[FigureFile] = []
    notes: list[str] = []

    def arm(self, name: str) -> ArmFile:
        return next(arm for arm in self.arms if arm.name == name)


def read_published(path: Path) -> Published:
    """A published result from its file; its settings are checked when runs are planned.

    Raises:
        RequestError: the file is missing, not TOML (told with its line), or says what it cannot say (with the key).
    """
    told = read_toml(path)
    try:
        published = Published.model_validate(told)
    except ValidationError as error:
        # A key that is misspelt is missing too: the word that stands there helps more.
        first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        raise _told(path, told, first) from None
    _check_arms(path, published)
    for arm in published.arms:
        _check_reported(path, arm)
    return published


def _told(path: Path, told: Any, error: Any) -> RequestError:
    place = list(error["loc"])
    key = _key(told, place)
    if error["type"] == "extra_forbidden":
        known = _known(place)
        return RequestError(f"{path}: {key}: no such key", hint=suggestion(str(place[-1]), known))
    if error["type"] == "missing":
        return RequestError(f"{path}: {key}: missing")
    received = shortened(json.dumps(error["input"], default=str, ensure_ascii=False))
    expected = str(error["msg"]).removeprefix("Input should be ")
    return RequestError(f"{path}: {key}: received {received}, expected {expected}")


def _key(told: Any, place: Sequence[Any]) -> str:
    """A place in the file as its reader would look for it: `arms.patience-0.reported.1.band`, counted from 1."""
    words = []
    for part in place:
        told = _inside(told, part)
        name = told.get("name") if isinstance(told, dict) and isinstance(part, int) else None
        words.append(str(name) if isinstance(name, str) else str(part + 1) if isinstance(part, int) else str(part))
    return ".".join(words)


def _inside(told: Any, part: Any) -> Any:
    try:
        return told[part]
    except (KeyError, IndexError, TypeError):
        return None


def _known(place: Sequence[Any]) -> list[str]:
    """The keys that a table of the file can have."""
    tables: dict[tuple[str, ...], type[BaseModel]] = {
        (): Published,
        ("source",): Source,
        ("arms",): ArmFile,
        ("arms", "reported"): Reported,
        ("claims",): Claim,
        ("figures",): FigureFile,
    }
    return list(tables[tuple(part for part in place[:-1] if isinstance(part, str))].model_fields)


def suggestion(word: str, known: Sequence[str]) -> str:
    """A hint for a word that is none of those that are known."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(known)}."


def _check_arms(path: Path, published: Published) -> None:
    names = [arm.name for arm in published.arms]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RequestError(f"{path}: arms: {twice[0]} stands there twice")
    named = [("baseline", published.baseline)]
    for i, claim in enumerate(published.claims, start=1):
        named += [(f"claims.{i}.arm", claim.arm), (f"claims.{i}.than", claim.than)]
        if claim.arm == claim.than:
            raise RequestError(f"{path}: claims.{i}.than: received {claim.than!r}, which is the arm itself")
    named += [(f"figures.{i}.arm", figure.arm) for i, figure in enumerate(published.figures, start=1) if figure.arm]
    for key, name in named:
        if name not in names:
            raise RequestError(f"{path}: {key}: received {name!r}, no arm", hint=suggestion(name, names))
    for i, figure in enumerate(published.figures, start=1):
        if figure.plot not in ALT_TEXTS:
            hint = suggestion(figure.plot, list(ALT_TEXTS))
            raise RequestError(f"{path}: figures.{i}.plot: received {figure.plot!r}, no figure of a run", hint=hint)


def _check_reported(path: Path, arm: ArmFile) -> None:
    for i, reported in enumerate(arm.reported, start=1):
        key = f"{path}: arms.{arm.name}.reported.{i}"
        band, is_time = reported.bounds, MEASURES[reported.measure].is_time
        if band is not None and not (reported.why and reported.value is not None and band[0] <= band[1]):
            raise RequestError(f"{key}: a band needs a value, why it counts as reproduced, and LOW ≤ HIGH")
        if is_time and band is not None:
            raise RequestError(f"{key}.band: times of other machines are shown and never judged")
        unjudged = reported.value is None or is_time or bool(reported.elsewhere)
        if unjudged == (band is not None):
            raise RequestError(
                f"{key}: needs a band with why, or elsewhere: the other setting that it was reported for; not both"
            )
