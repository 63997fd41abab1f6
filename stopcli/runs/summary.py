"""What summary.json holds: of a run, of a sweep, of a range test, of an analysis of runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from stopcli.runs.files import read_checked
from stopcli.runs.headline import ACCURACY, Headline, Rows
from stopcli.runs.status import RunState
from stopcli.runs.typed_json import INLINED, OPTIONAL, Check, MisfitError, Positive, from_json
from stopcli.stopping.rule import Direction, Verdict

Values = Mapping[str, float | None]
ModelName = Literal["final", "saved", "refit"]
"""The models of a run: the one that its training ended with, the best epoch's, and the refit."""
# The command of a run that `stopcli.Recorder` recorded.
RECORDED = "recorded"
# Commands of runs that something else than stopcli trained.
FOREIGN = (RECORDED, "csv")


def _is_table(value: Any) -> bool:
    """Whether it is what `Table.for_summary` wrote: rows of as many cells as columns."""
    if not isinstance(value, dict):
        return False
    rows, sums = value.get("rows"), value.get("sums", 0)
    if not isinstance(rows, list) or type(sums) is not int or not 0 <= sums <= len(rows):
        return False
    lists = [value.get("columns"), *rows]
    if not all(isinstance(cells, list) and all(isinstance(cell, str) for cell in cells) for cells in lists):
        return False
    return len({len(cells) for cells in lists}) == 1 and isinstance(value.get("title", ""), str)


TableContent = Annotated[Mapping[str, Any], Check("a table: columns, and rows of as many cells", _is_table)]
# Part of a path below the run's folder.
FigureName = Annotated[
    str, Check("a name", lambda value: isinstance(value, str) and bool(re.fullmatch(r"[\w.-]{1,80}", value)))
]
# A range test of fewer updates gives no curve.
FEWEST_UPDATES = 10


class RowsValue(NamedTuple):
    """A metric's value, and the rows that it was measured on."""

    rows: Rows
    value: float


@dataclass(frozen=True, kw_only=True)
class ModelValues:
    """Loss and metrics of a model: of the final one, or of the best one as loaded from its file. Of a run that
    something else trained, those on record of its last and of its best epoch.

    Attributes:
        monitor, value: what the best epoch was chosen by; not there for the final model.
        train, test, val: by name, such as `accuracy`; `val` where other rows than the test rows validate. A run that
            was stopped before its end may not have measured its best model.
    """

    monitor: str = field(default="", metadata=OPTIONAL)
    epoch: int
    value: float | None = field(default=None, metadata=OPTIONAL)
    train: Values | None = field(default=None, metadata=OPTIONAL)
    test: Values | None = field(default=None, metadata=OPTIONAL)
    val: Values | None = field(default=None, metadata=OPTIONAL)

    def get(self, part: str, name: str) -> float | None:
        """A metric on `train`, `test` or `val`; None where it was not measured."""
        values: Values | None = getattr(self, part)
        return (values or {}).get(name)

    def best_known(self, headline: Headline) -> RowsValue | None:
        """What to say of the model: its value on the test rows, else on the rows that validate, else on those that
        train; None where none was measured."""
        candidates: tuple[Rows, ...] = ("test", "val", "train")
        for rows in candidates:
            value = self.get(rows, headline.name)
            if value is not None:
                return RowsValue(rows, value)
        return None

    @property
    def validated(self) -> Values:
        """On the rows that validate, which are the test rows where no others do."""
        return self.test or {} if self.val is None else self.val


@dataclass(frozen=True)
class RowCounts:
    """How many rows of the data train, validate and test."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class ChosenEpoch:
    """An epoch that a rule chose.

    Attributes:
        monitor: the metric it was chosen by.
        value: of that metric.
        test_accuracy: of its model on the untouched test rows, where accuracy is the metric that counts.
        test_value: where another metric is.
    """

    monitor: str
    epoch: int
    value: float
    test_accuracy: float | None = field(default=None, metadata=OPTIONAL)
    test_value: float | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        if (self.test_accuracy is None) == (self.test_value is None):
            raise MisfitError("test_accuracy: missing")

    @property
    def tested(self) -> float:
        """The metric that counts, of its model on the untouched test rows."""
        tested = self.test_value if self.test_accuracy is None else self.test_accuracy
        assert tested is not None
        return tested


@dataclass(frozen=True)
class Selection:
    """The epochs that the same rule chooses on the rows that validate and on the test rows.

    Attributes:
        honest: the epoch chosen on the rows that validate: its test value is of rows that chose nothing.
        claimed: the epoch that choosing on the test rows would have reported.
        direction: which test value is better.
        optimism: by how much the test value that would have been claimed is better than the honest one. It is the luck
            of rows that choose among many epochs, and what choosing on other rows costs: few of them choose a worse
            epoch. One run cannot tell the two apart.
    """

    honest: ChosenEpoch
    claimed: ChosenEpoch
    direction: Direction = field(default="max", metadata=OPTIONAL)
    optimism: float = field(init=False)

    def __post_init__(self) -> None:
        claimed, honest = self.claimed.tested, self.honest.tested
        object.__setattr__(self, "optimism", claimed - honest if self.direction == "max" else honest - claimed)


@dataclass(frozen=True, kw_only=True)
class ModelDifference:
    """The metric that counts of one model less that of another, on the same test rows.

    Attributes:
        rows: that test.
        low, high: bounds of the 95 % interval over the rows.
        p: two-sided, by `test`.
        test: in words.
        verdict: on the first model: `better`, `worse` or `not distinguishable`.
    """

    rows: int
    mean: float
    low: float
    high: float
    p: float
    test: str
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Refit:
    """A fresh model that was trained on the rows that train and those that validate together, for as many updates as
    the saved model had.

    Attributes:
        updates: of training.
        epochs: that these are of its rows.
        rows: that it was trained on.
        values: its metrics; `epoch` is the run's that the number of updates is of. None where it has not ended.
        difference: the refit less the saved model; None where no rows test, or the metric that counts is no function of
            means over rows.
        state: whether it has ended; `failed` where its loss was not finite, which says nothing of the run.
        reason: why it has not; empty where it has.
    """

    updates: Positive
    epochs: float
    rows: Positive
    values: ModelValues | None = None
    difference: ModelDifference | None = field(default=None, metadata=OPTIONAL)
    state: RunState = "finished"
    reason: str = field(default="", metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class BaselineValues:
    """An answer beside a network's: a constant, or a linear model.

    Attributes:
        name: in words, such as `ridge regression`.
        is_linear: whether it looks at the rows.
        fitted: how, in words; empty for a constant.
        test: the metric that counts on the test rows, by its name; null where it is no number.
        low, high: bounds of its 95 % interval.
        final, best: the final and the saved model less this one; None where that cannot be told row by row.
    """

    name: str
    is_linear: bool
    fitted: str = field(default="", metadata=OPTIONAL)
    test: Values
    low: float | None = field(default=None, metadata=OPTIONAL)
    high: float | None = field(default=None, metadata=OPTIONAL)
    final: ModelDifference | None = field(default=None, metadata=OPTIONAL)
    best: ModelDifference | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Before:
    """The model that a run of a table started from, on the run's own test rows.

    Attributes:
        run: the folder of the run that it is of, or its file.
        test: its loss and metrics.
        test_interval: of the metric that counts, as in a run's.
        final, best: the run's models less this one; None where that cannot be told.
    """

    run: str
    test: Values
    test_interval: Any = field(default=None, metadata=OPTIONAL)
    final: ModelDifference | None = field(default=None, metadata=OPTIONAL)
    best: ModelDifference | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True)
class ReportParts:
    """What a report shows beside the other values of a summary.

    Attributes:
        words: what was run, a line each.
        tables: beside that of the results.
        figures: names of files in `plots/`, without the ending.
    """

    title: str
    words: tuple[str, ...]
    tables: tuple[TableContent, ...]
    figures: tuple[FigureName, ...]


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The results of a run. What is not known of it, such as the rows of a recorded run, is None.

    Attributes:
        epochs: that were trained.
        max_epochs: that were to be trained at most.
        rows: of the data.
        stop: why and where training stopped.
        final, best: the model that training ended with, and the saved one; None where none was saved.
        test_interval: of the models' values on the test rows, the 95 % interval, with its `low` and `high`; by `final`,
            `best` and `refit`.
        selection: what choosing the epoch on the test rows would have claimed; None where they do choose it.
        train_seconds: of training, without validation; what every table, file and figure calls training time. Where
            epochs are so short that a call of the compiled loop both trains and validates, the two are not separated.
        case_study, table: of the moons study's arms.
        conclusions: sentences beside the one on why training stopped.
        seconds: of the parts of the run, from loading to drawing.
        headline: the metric that counts.
        exact: whether steps from the same weights gave the same numbers twice; None where that was not tried.
        before: of a run of a table that started from another model, what that comes to; else None.
        baselines: what stands beside a network on a table: a constant, and a linear model.
        refit: None where there is none, or not yet.
    """

    command: str
    name: str
    state: RunState
    scale: str
    dataset: str
    seed: int
    epochs: int
    max_epochs: int | None
    steps: int | None
    steps_per_epoch: Positive | None
    parameters: int | None
    copies: Positive
    rows: RowCounts | None
    monitor: str
    stop: Verdict
    final: ModelValues
    best: ModelValues | None
    test_interval: Mapping[str, Any]
    selection: Selection | None
    run_dir: str
    warnings: tuple[str, ...]
    samples_per_second: float | None
    train_seconds: float | None
    validation_seconds: float | None
    train_and_validation_seconds: float | None
    projected_train_seconds: float | None
    case_study: Any = field(default=None, metadata=OPTIONAL)
    table: TableContent | None = field(default=None, metadata=OPTIONAL)
    conclusions: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    arm: str = ""
    headline: Headline = field(default=ACCURACY, metadata=OPTIONAL)
    exact: bool | None = field(default=None, metadata=OPTIONAL)
    baselines: tuple[BaselineValues, ...] = field(default=(), metadata=OPTIONAL)
    before: Before | None = field(default=None, metadata=OPTIONAL)
    refit: Refit | None = field(default=None, metadata=OPTIONAL)
    report: ReportParts | None = field(default=None, metadata=OPTIONAL)
    seconds: Mapping[str, float] = field(default_factory=dict, metadata=OPTIONAL)

    @property
    def rows_seen(self) -> float | None:
        """Rows that were trained on, copies counted."""
        if self.rows is None or self.steps is None or self.steps_per_epoch is None:
            return None
        return self.rows.train * self.copies * self.steps / self.steps_per_epoch

    @property
    def test_rows(self) -> int:
        """How many rows test; 0 where that is not known."""
        return self.rows.test if self.rows else 0

    @property
    def models(self) -> tuple[ModelValues, ...]:
        """The final model, and the saved one where there is one."""
        return (self.final, self.best) if self.best else (self.final,)

    def model(self, name: ModelName) -> ModelValues | None:
        """One of its models; None where it has none, or it was not measured."""
        if name == "refit":
            return self.refit.values if self.refit else None
        return self.best if name == "saved" else self.final

    @property
    def trained_here(self) -> bool:
        """Whether stopcli trained it, and measured and saved its models; else there are only values on record."""
        return self.command not in FOREIGN

    @property
    def reason(self) -> str:
        """Why it did not finish; empty where it did."""
        if self.state == "finished":
            return ""
        return self.refit.reason if self.refit else self.stop.rule

    @property
    def diverged(self) -> bool:
        """Whether a metric was not finite: resuming the run would train nothing."""
        return self.stop.reason == "non_finite"


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """What a sweep's summary holds of a run."""

    name: str
    arm: str = ""
    seed: int = 0
    state: str
    reason: str
    epochs: int = 0
    stop: Verdict | None = None
    final: ModelValues | None = None
    best: ModelValues | None = None
    refit: Refit | None = field(default=None, metadata=OPTIONAL)
    train_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """The results of a sweep.

    Attributes:
        reason: why not all runs finished; empty where they did.
        finished: runs that finished.
        results: what else the sweep's command writes.
        test_rows_chose: whether the rows that test also chose the saved epochs.
        headline: the metric that counts.
    """

    command: str
    name: str
    state: RunState
    reason: str
    scale: str
    dataset: str
    seed: int
    seeds: Positive
    arm: str
    finished: int
    jobs: tuple[JobSummary, ...]
    results: Mapping[str, Any] = field(default_factory=dict, metadata=INLINED)
    table: TableContent
    conclusions: tuple[str, ...]
    test_rows_chose: bool
    headline: Headline = field(default=ACCURACY, metadata=OPTIONAL)
    warnings: tuple[str, ...]
    run_dir: str
    report: ReportParts | None = field(default=None, metadata=OPTIONAL)
    seconds: Mapping[str, float] = field(default_factory=dict, metadata=OPTIONAL)

    @property
    def epochs(self) -> int:
        """Of the longest run."""
        return max((job.epochs for job in self.jobs), default=0)


@dataclass(frozen=True)
class RateBounds:
    """Learning rates to train between."""

    base_lr: float
    max_lr: float


@dataclass(frozen=True, kw_only=True)
class RangeSummary:
    """The results of a learning-rate range test: of the seeds that were tested, and the bounds, None where no rate
    trains."""

    command: str
    name: str
    state: RunState
    reason: str
    scale: str
    dataset: str
    model: str
    seed: int
    seeds: Positive
    finished: int
    bounds: RateBounds | None
    suggestions: Mapping[str, Any]
    table: TableContent
    conclusions: tuple[str, ...]
    run_dir: str
    warnings: tuple[str, ...]
    report: ReportParts | None = field(default=None, metadata=OPTIONAL)
    seconds: Mapping[str, float] = field(default_factory=dict, metadata=OPTIONAL)

    # It counts updates, and has no epochs.
    epochs: ClassVar[int] = 0


@dataclass(frozen=True)
class TestedSeed:
    """A range test's curve for one seed, and why it ended there."""

    updates: int
    ended: str


@dataclass(frozen=True)
class TestedSeeds:
    """The content of a range test's seeds.json: what the curves depend on, and the seeds that are done."""

    fingerprint: dict[str, Any]
    seeds: dict[str, TestedSeed]


SEEDS_FILE = "seeds.json"


def read_seeds(run: Path) -> tuple[TestedSeeds | None, str]:
    """A range test's seeds.json; as `read_checked`."""
    return read_checked(run / SEEDS_FILE, lambda value: from_json(TestedSeeds, value))


# As far as the models of a run on images go, all that using them takes beside the .keras file.
CLASSES_FILE = "checkpoints/classes.json"


@dataclass(frozen=True)
class ModelClasses:
    """The content of checkpoints/classes.json: what the models beside it predict, and what they take.

    Attributes:
        dataset: that they were trained on.
        classes: names; a model's i-th probability is that of the i-th.
        height, width, channels: of the images, in pixels; their channels are red, green and blue.
        low, high: what a channel's 0 and its 255 become.
        resize: how images of other sizes come to this one, in Pillow's words.
        transparent: the colour of what is transparent.
    """

    dataset: str
    classes: tuple[str, ...]
    height: Positive
    width: Positive
    channels: Positive = 3
    low: float = 0.0
    high: float = 1.0
    resize: str = "bilinear"
    transparent: str = "black"


def read_classes(run: Path) -> tuple[ModelClasses | None, str]:
    """A run's classes.json; as `read_checked`."""
    return read_checked(run / CLASSES_FILE, lambda value: from_json(ModelClasses, value))


@dataclass(frozen=True, kw_only=True)
class AnalysisSummary:
    """What a comparison, a replay or a recommendation found. The latter two write their monitor among its results."""

    command: str
    name: str
    state: RunState
    results: Mapping[str, Any] = field(default_factory=dict, metadata=INLINED)
    monitor: str = field(default="", metadata=OPTIONAL)
    warnings: tuple[str, ...]
    table: TableContent
    conclusions: tuple[str, ...]
    run_dir: str


TrainingSummary = RunSummary | SweepSummary | RangeSummary
Summary = TrainingSummary | AnalysisSummary


def parse_summary(values: Any) -> Summary:
    """A summary from the content of a summary.json. Raises MisfitError where it is none that stopcli writes."""
    kind: type[Summary] = RunSummary
    if isinstance(values, dict) and "stop" not in values:
        if "jobs" in values:
            kind = SweepSummary
        elif values.get("command") == "lr-range":
            kind = RangeSummary
        elif "table" in values:
            kind = AnalysisSummary
    return from_json(kind, values)
