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
    minutes = 11                    # that it may take, of those of all published results
    sizes = [{epochs = 12}, {…}]    # on top of both, the largest first: the first that fits is taken, else the last
    [overnight]                     # the same for a night

    [[arms]]                        # a sweep of its own, or an arm of the command's sweep
    name = "none"
    title = "without erasing"
    settings = {…}                  # on top of config (and the scale's)
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

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from stopcli.data.cifar10 import is_archive, official_folder
from stopcli.data.dataset import ImageSet
from stopcli.data.named import DATASET_NAMES, named_datasets
from stopcli.errors import RequestError, did_you_mean, expectation, shortened
from stopcli.report.document import ALT_TEXTS
from stopcli.runs.files import read_toml
from stopcli.stats.verdicts import Expected


@dataclass(frozen=True)
class Measure:
    """A value in which runs are compared with what was published.

    Attributes:
        title: in tables.
        value: what a RunResult calls it.
        digits: after the point.
        unit: what it is divided by.
        is_time: of this machine; never judged beside another machine's.
    """

    title: str
    value: str
    digits: int = 3
    unit: float = 1
    is_time: bool = False

    def cell(self, value: float) -> str:
        if self.is_time:
            return f"{value:.2f} h" if value >= 1 else f"{value * 60:.2f} min"
        return f"{value:.{self.digits}f}"


MEASURES = {
    "stop_epoch": Measure("stopped at epoch", "epochs", 0),
    "train_accuracy": Measure("train accuracy", "final_train_accuracy"),
    "test_accuracy": Measure("test accuracy", "final_test_accuracy"),
    "test_error": Measure("test error", "final_test_error"),
    "saved_epoch": Measure("saved epoch", "saved_epoch", 0),
    "saved_train_accuracy": Measure("its train accuracy", "saved_train_accuracy"),
    "saved_test_accuracy": Measure("its test accuracy", "saved_test_accuracy"),
    "training_hours": Measure("training time", "train_seconds", unit=3600, is_time=True),
}

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


class ReportedValue(_Strict):
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
    reported: list[ReportedValue] = []


class Claim(_Strict):
    """A published conclusion that compares two arms."""

    text: str = Field(min_length=1)
    arm: str
    than: str
    measure: MeasureName
    expected: Expected
    elsewhere: str = ""


class FigureSpec(_Strict):
    """A figure of a run or a sweep that the report shows; of no arm where all arms are one sweep."""

    plot: str = Field(pattern=_NAME)
    arm: str = ""
    shows: str = Field(min_length=1)


class ScaleSettings(BaseModel):
    """The settings of a smaller version, and where the machine's speed decides how large it is, the sizes to choose
    from, the largest first, and how long it may take; both or neither."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)

    minutes: float | None = Field(default=None, gt=0)
    sizes: list[dict[str, Any]] | None = Field(default=None, min_length=1)

    @property
    def settings(self) -> dict[str, Any]:
        """Those that all sizes have."""
        return dict(self.model_extra or {})


class PublishedResult(_Strict):
    """A published result."""

    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    source: Source
    config: dict[str, Any]
    baseline: str
    arms: list[ArmSpec] = Field(min_length=1)
    quick: ScaleSettings | None = None
    overnight: ScaleSettings | None = None
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

    def at_scale(self, scale: str) -> ScaleSettings | None:
        """What a scale changes in the published setting; None where nothing."""
        return {"quick": self.quick, "overnight": self.overnight}.get(scale)

    def arm(self, name: str) -> ArmSpec:
        return next(arm for arm in self.arms if arm.name == name)

    def refusal(self, problem: str, hint: str = "") -> RequestError:
        """The error for what its file may not say."""
        return RequestError(f"{self._path}: {problem}", hint=hint)


def read_published(path: Path) -> PublishedResult:
    """A published result from its file; its settings are checked when runs are planned. Raises RequestError where the
    file is missing, not TOML (with the line), or holds what it may not (with the key)."""
    content = read_toml(path)
    try:
        published = PublishedResult.model_validate(content)
    except ValidationError as error:
        # A key that is misspelt is missing too: the word that stands there helps more.
        first = min(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
        raise _refusal(path, content, first) from None
    published._path = path
    _check_names(published)
    for scale in ("quick", "overnight"):
        _check_sizes(published, scale)
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
    expected = expectation(error)
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
    model: type[BaseModel] = PublishedResult
    tables: dict[str, type[BaseModel]] = {
        "source": Source,
        "arms": ArmSpec,
        "reported": ReportedValue,
        "claims": Claim,
        "figures": FigureSpec,
        "quick": ScaleSettings,
        "overnight": ScaleSettings,
    }
    for part in location[:-1]:
        model = tables.get(part, model)
    return list(model.model_fields)


def suggestion(word: str, known: Sequence[str]) -> str:
    """A hint for a word that is not known."""
    return did_you_mean(word, known) or f"Known: {', '.join(known)}."


def _check_names(published: PublishedResult) -> None:
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


def _check_sizes(published: PublishedResult, scale: str) -> None:
    table = published.at_scale(scale)
    if table is None or (table.minutes is None and table.sizes is None):
        return
    if table.minutes is None or table.sizes is None:
        raise published.refusal(f"{scale}.{'minutes' if table.minutes is None else 'sizes'}: missing beside the other")
    if not needs_images(published):
        raise published.refusal(f"{scale}.sizes: received a list, expected none: only trainings on images are measured")


def _check_reported(published: PublishedResult, key: str, reported: ReportedValue) -> None:
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


# A part of the official files has their form too.
ALL_IMAGES = {"limit": 50_000, "test_limit": 10_000}


@dataclass(frozen=True)
class Images:
    """Images that runs are trained on.

    Attributes:
        name: `cifar10`, `digits`, or the folder's absolute path.
        counts: how many there are, by the setting that limits them.
        published: whether they are all of CIFAR-10: Keras's, or the official files.
        notes: what a reader should know of them, a sentence without a full stop each.
    """

    name: str
    counts: Mapping[str, int]
    published: bool = False
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name as a part of a folder's."""
        return Path(self.name).name or "images"

    @property
    def description(self) -> str:
        """What they are, and how they compare with the published ones."""
        if self.published:
            return "CIFAR-10, the published data"
        if self.name in DATASET_NAMES and self.name != REPLACEABLE:
            return f"{named_datasets()[self.name].title}, which are not the published data (CIFAR-10)"
        if self.counts != ALL_IMAGES:
            train, test = self.counts["limit"], self.counts["test_limit"]
            return f"the {train:,} and {test:,} images in {self.label}, which are not the published ones (CIFAR-10)"
        return (
            f"the images in {self.label}, which are not the published files: images that were saved again as JPEG "
            "differ from them"
        )

    @classmethod
    def of(cls, images: ImageSet) -> Images:
        """Of images that were loaded."""
        name = images.name if images.name in DATASET_NAMES else str(Path(images.name).resolve())
        path = Path(name)
        counts = {"limit": images.train.count, "test_limit": images.test.count}
        official = name == "cifar10" or is_archive(path) or (path.is_dir() and official_folder(path) is not None)
        return cls(name, counts, official and counts == ALL_IMAGES, images.notes)


# The data of a file in whose place `--dataset` may put others.
REPLACEABLE = "cifar10"


def needs_images(published: PublishedResult) -> bool:
    """Whether `--dataset` chooses what it is trained on."""
    return published.config.get("dataset") == REPLACEABLE
