"""A published result as a file of `experiments/` holds it: what was reported, and the settings that repeat it.

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
    [quick]                         # on top of it: a smaller version; without it, the published setting is always run

    [[arms]]                        # a sweep of its own, or an arm of the command's sweep
    name = "none"
    title = "without erasing"
    settings = {…}                  # on top of config (and quick)
    [[arms.reported]]
    measure = "test_accuracy"
    value = 0.9077                  # left out where only a figure was published
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
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from stopcli.config import read_toml
from stopcli.errors import RequestError, shortened
from stopcli.evidence.verdict import Expected
from stopcli.report.alt_texts import ALT_TEXTS
from stopcli.studies.reproducing.measures import MEASURES

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"

if TYPE_CHECKING:
    MeasureName = str
else:
    MeasureName = Literal[tuple(MEASURES)]


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


class ArmSpec(_Strict):
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


class FigureSpec(_Strict):
    """A figure of a run or a sweep that the report shows.

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
    arms: list[ArmSpec] = Field(min_length=1)
    quick: dict[str, Any] | None = None
    claims: list[Claim] = []
    figures: list[FigureSpec] = []
    notes: list[str] = []

    _path: Path = PrivateAttr(default=Path())

    @property
    def path(self) -> Path:
        """Its file."""
        return self._path

    @property
    def name(self) -> str:
        return self._path.stem

    def arm(self, name: str) -> ArmSpec:
        return next(arm for arm in self.arms if arm.name == name)

    def refusal(self, problem: str, hint: str = "") -> RequestError:
        """The error for what its file may not say."""
        return RequestError(f"{self._path}: {problem}", hint=hint)


def read_published(path: Path) -> Published:
    """A published result from its file; its settings are checked when runs are planned.

    Raises:
        RequestError: the file is missing, not TOML (with the line), or holds what it may not (with the key).
    """
    content = read_toml(path)
    try:
        published = Published.model_validate(content)
    except ValidationError as error:
        # A key that is misspelt is missing too: the word that stands there helps more.
        first = min(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
        raise _refusal(path, content, first) from None
    published._path = path
    _check_names(published)
    for arm in published.arms:
        for number, reported in enumerate(arm.reported, start=1):
            _check_reported(published, f"arms.{arm.name}.reported.{number}", reported)
    return published


def _refusal(path: Path, content: Any, error: Any) -> RequestError:
    location = list(error["loc"])
    key = _key(content, location)
    if error["type"] == "extra_forbidden":
        return RequestError(f"{path}: {key}: no such key", hint=suggestion(str(location[-1]), _keys_beside(location)))
    if error["type"] == "missing":
        return RequestError(f"{path}: {key}: missing")
    received = shortened(json.dumps(error["input"], default=str, ensure_ascii=False))
    expected = str(error["msg"]).removeprefix("Input should be ")
    return RequestError(f"{path}: {key}: received {received}, expected {expected}")


def _key(content: Any, location: Sequence[Any]) -> str:
    """A key of the file as its reader would look for it: `arms.patience-0.reported.1.band`, counted from 1."""
    parts = []
    for part in location:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            content = None
        name = content.get("name") if isinstance(content, dict) and isinstance(part, int) else None
        parts.append(name if isinstance(name, str) else str(part + 1) if isinstance(part, int) else str(part))
    return ".".join(parts)


def _keys_beside(location: Sequence[Any]) -> list[str]:
    """The keys that the table around a location can have."""
    tables: dict[tuple[str, ...], type[BaseModel]] = {
        (): Published,
        ("source",): Source,
        ("arms",): ArmSpec,
        ("arms", "reported"): Reported,
        ("claims",): Claim,
        ("figures",): FigureSpec,
    }
    return list(tables[tuple(part for part in location[:-1] if isinstance(part, str))].model_fields)


def suggestion(word: str, known: Sequence[str]) -> str:
    """A hint for a word that is not known."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."


def _check_names(published: Published) -> None:
    """Raise where arms share a name, or something names an arm or a figure that does not exist."""
    names = [arm.name for arm in published.arms]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise published.refusal(f"arms: {repeated[0]} is given twice")
    named = [("baseline", published.baseline)]
    for number, claim in enumerate(published.claims, start=1):
        named += [(f"claims.{number}.arm", claim.arm), (f"claims.{number}.than", claim.than)]
        if claim.arm == claim.than:
            raise published.refusal(f"claims.{number}.than: received {claim.than!r}, expected another arm")
    figures = [(f"figures.{number}", figure) for number, figure in enumerate(published.figures, start=1)]
    named += [(f"{key}.arm", figure.arm) for key, figure in figures if figure.arm]
    for key, name in named:
        if name not in names:
            raise published.refusal(f"{key}: received {name!r}, expected the name of an arm", suggestion(name, names))
    for key, figure in figures:
        if figure.plot not in ALT_TEXTS:
            problem = f"{key}.plot: received {figure.plot!r}, expected the name of a figure"
            raise published.refusal(problem, suggestion(figure.plot, list(ALT_TEXTS)))


def _check_reported(published: Published, key: str, reported: Reported) -> None:
    band, is_time = reported.bounds, MEASURES[reported.measure].is_time
    if band is not None and not (reported.why and reported.value is not None and band[0] <= band[1]):
        raise published.refusal(f"{key}: a band needs a value, why it counts as reproduced, and LOW ≤ HIGH")
    if is_time and band is not None:
        raise published.refusal(f"{key}.band: times of other machines are shown and never judged")
    is_judged = reported.value is not None and not is_time and not reported.elsewhere
    if is_judged != (band is not None):
        raise published.refusal(
            f"{key}: needs either a band with why, or elsewhere (the other setting that it was reported for)"
        )
