"""What a stopping rule is, how rules are run, and which epoch is best: pure state machines over epochs and values."""

from __future__ import annotations

import abc
import math
import re
from collections.abc import Mapping, Sequence
from ctypes import c_float
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from stopcli.errors import ConfigError, MetricError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def first_true(mask: NDArray[Any]) -> int | None:
    """The index of the first True, None where there is none."""
    index = int(mask.argmax()) if len(mask) else 0
    return index if len(mask) and mask[index] else None


Metrics = Mapping[str, float]
"""An epoch's values by name."""

Columns = Mapping[str, "NDArray[Any]"]
"""A run's values by name, each float64 of shape [epochs]."""


@dataclass(frozen=True)
class Verdict:
    """Why training stops.

    Attributes:
        reason: patience, baseline, threshold, non_finite, completed, interrupted, …
        rule: the rule in words, such as `val_loss patience=200`.
        epoch: the epoch after which training stops, counted from 1.
        wait: epochs since the last improvement that counted.
        best_epoch: the epoch with the best monitored value so far; 0 where the rule keeps none.
        best_value: that value.
        margin: how far the monitored value of this epoch lies from the best one (or from the threshold), ≥ 0, in the
            metric's unit.
        metric: what the best value and the margin are of, such as `smoothed val_loss`. In a run's summary, whose best
            value is always that of the metric that the run monitors: what the margin is of, where that is another one.
    """

    reason: str
    rule: str
    epoch: int
    wait: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    margin: float | None = None
    # As typed_json.OPTIONAL: not written where it is empty.
    metric: str = field(default="", metadata={"optional": True})

    def with_best(self, monitor: str, epoch: int, value: float | None) -> Verdict:
        """The verdict as a run's summary has it, with the best epoch and value of the metric that the run monitors."""
        metric = "" if self.metric == monitor else self.metric
        return replace(self, best_epoch=epoch, best_value=value, metric=metric)


State = TypeVar("State", bound=NamedTuple)
Value = TypeVar("Value")


class NoState(NamedTuple):
    """The state of a rule that remembers nothing."""


class Rule(abc.ABC, Generic[State]):
    """A stopping rule. Subclasses are frozen dataclasses of options; their states are NamedTuples of plain values.

    Attributes:
        kind: the rule's name in files.
        state_class: of its states; without arguments it gives the one before the first epoch.
        keyword: what it is called on the command line (`gl` of `gl:2`); empty for a rule that has no text. The numbers
            behind it are the rule's options up to `monitor`, in their order.
        example: such a text with its meaning, for help and errors.
        label: what a figure's legend calls rules of this kind.
        marker: Matplotlib's marker of them.
        sentences: for each reason of its verdicts, why the run stopped, in its report's words. `{wait}` stands for the
            epochs that the verdict waited, `{since}` for the epoch at which the wait began.
        margin_from: what a verdict's margin is measured from.
        waits: whether a verdict ends a wait, which figures then show.
        resume_hint: how a run that it stopped can be trained further.
    """

    kind: ClassVar[str]
    state_class: ClassVar[type[Any]] = NoState
    keyword: ClassVar[str] = ""
    example: ClassVar[str] = ""
    label: ClassVar[str] = ""
    marker: ClassVar[str] = "o"
    sentences: ClassVar[tuple[tuple[str, str], ...]] = ()
    margin_from: ClassVar[str] = "its best"
    waits: ClassVar[bool] = False
    resume_hint: ClassVar[str] = "Other rules train it further, such as --threshold none, --stop none, or --patience N."

    @property
    def monitors(self) -> tuple[str, ...]:
        """The metrics that the rule reads."""
        return (self.monitor,)  # type: ignore[attr-defined]  # an option of nearly every rule

    @property
    def family(self) -> str:
        """The keyword of the kind of rule that figures draw it as."""
        return self.keyword

    @property
    def parts(self) -> tuple[Rule[Any], ...]:
        """The rules that this one joins, each of which can decide without the others; the rule itself for none."""
        return (self,)

    @property
    def simple_rules(self) -> tuple[Rule[Any], ...]:
        """The rules that this one joins or wraps, and those in them; the rule itself for none."""
        return (self,)

    @property
    def earliest_stop(self) -> int:
        """The epoch before which it stops no run whose metrics stay finite, whatever they are."""
        return 1

    def init(self) -> State:
        """The state before the first epoch."""
        state: State = self.state_class()
        return state

    @abc.abstractmethod
    def update(self, state: State, epoch: int, metrics: Metrics) -> tuple[State, Verdict | None]:
        """The state after an epoch, and a verdict where training should stop.

        Args:
            state: what the last update returned, or `init()`.
            epoch: counted from 1, each epoch once and in order. One that lacks the rule's metrics may be left out.
            metrics: the epoch's values by name.

        Raises:
            MetricError: a monitored metric is missing.
        """

    def first_stop(self, columns: Columns) -> Verdict | None:
        """The first verdict on a run whose epochs are all known, None where there is none.

        By definition what `RuleRunner` says, epoch by epoch. A rule that can tell it from whole columns, which is some
        forty times as fast, overrides this; tests hold the two to the same verdict.

        Raises:
            MetricError: a monitored metric is missing, or as `update` does.
        """
        for name in self.monitors:
            monitored(columns, name, 1)
        runner = RuleRunner(self)
        for epoch, row in enumerate(zip(*(columns[name].tolist() for name in self.monitors), strict=True), start=1):
            verdict = runner.update(epoch, dict(zip(self.monitors, row, strict=True)))
            if verdict is not None:
                return verdict
        return None

    @abc.abstractmethod
    def describe(self) -> str:
        """The rule in a few words, for tables and summaries."""

    def progress(self, state: State) -> str:
        """How near the rule is to stopping, for a progress bar, such as `wait 37/200`; empty for none."""
        return ""

    @classmethod
    def from_text(cls, numbers: Sequence[str], monitor: str, mode: str) -> Rule[Any]:
        """The rule whose text has these numbers behind its keyword.

        Args:
            monitor, mode: of a rule that can watch any metric; others keep their own.

        Raises:
            ValueError: there are too few or too many, or one is not a number of its option's type.
            ConfigError: one is out of its range.
        """
        options = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]  # subclasses are dataclasses
        numeric = [*options.values()][: [*options].index("monitor")]
        required = sum(field.default is MISSING for field in numeric)
        if not required <= len(numbers) <= len(numeric):
            raise ValueError(f"received {len(numbers)} numbers, expected {required} to {len(numeric)}")
        values = [
            int(number) if field.type in (int, "int") else float(number)
            for field, number in zip(numeric, numbers, strict=False)
        ]
        metric = {"monitor": monitor, "mode": mode} if "mode" in options else {}
        return cls(*values, **metric)

    def watching(self, metric: str, mode: str) -> Rule[Any]:
        """The same rule on another metric, as its text has it behind an @.

        Raises:
            ConfigError: the rule cannot watch it.
        """
        watching: Rule[Any] = replace(self, monitor=metric, mode=mode)  # type: ignore[type-var]  # as in from_text
        return watching

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values; `rule_from_dict` makes the rule again."""
        return {"kind": self.kind, **{field.name: _plain(getattr(self, field.name)) for field in fields(self)}}  # type: ignore[arg-type]

    def state_to_dict(self, state: State) -> dict[str, Any]:
        """A state as plain values that JSON can hold."""
        return state._asdict()

    def state_from_dict(self, values: Mapping[str, Any]) -> State:
        """The state that `state_to_dict` wrote."""
        tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        state: State = self.state_class(**tuples)
        return state


class MetricRule(Rule[State]):
    """A rule on the values of its metrics, of which one that is NaN or infinite ends the run in any case.

    Subclasses say what an epoch's values come to (`decide`), and may say at once what a run's come to (`scan`).
    """

    @abc.abstractmethod
    def decide(self, state: State, epoch: int, values: Sequence[float]) -> tuple[State, Verdict | None]:
        """As `update`, from the finite values of the rule's metrics, in the order of `monitors`."""

    def update(self, state: State, epoch: int, metrics: Metrics) -> tuple[State, Verdict | None]:
        values = [monitored(metrics, name, epoch) for name in self.monitors]
        if not all(map(math.isfinite, values)):
            return state, non_finite(epoch, self.monitors, values)
        return self.decide(state, epoch, values)

    def scan(self, columns: Sequence[NDArray[Any]]) -> Verdict | None:
        """As `first_stop`, from finite values, each float64 of shape [epochs]."""
        state = self.init()
        for epoch, values in enumerate(zip(*(column.tolist() for column in columns), strict=True), start=1):
            state, verdict = self.decide(state, epoch, values)
            if verdict is not None:
                return verdict
        return None

    def first_stop(self, columns: Columns) -> Verdict | None:
        epochs, broken = finite_part(columns, self.monitors)
        return self.scan([columns[name][:epochs] for name in self.monitors]) or broken


class RuleRunner:
    """A rule together with its state: `update(epoch, metrics)` for as long as it returns None."""

    def __init__(self, rule: Rule[Any]) -> None:
        self.rule = rule
        self.state = rule.init()

    def update(self, epoch: int, metrics: Metrics) -> Verdict | None:
        self.state, verdict = self.rule.update(self.state, epoch, metrics)
        return verdict

    def progress(self) -> str:
        return self.rule.progress(self.state)


def check_number(name: str, value: object) -> None:
    """Raise ConfigError where an option is not a finite number ≥ 0."""
    if isinstance(value, bool) or not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
        raise ConfigError(name, value, "a finite number ≥ 0")


def check_count(name: str, value: object, *, least: int = 0) -> None:
    """Raise ConfigError where an option is not a whole number ≥ `least`."""
    if isinstance(value, bool) or not (isinstance(value, int) and value >= least):
        raise ConfigError(name, value, f"a whole number ≥ {least}")


def monitored(metrics: Mapping[str, Value], name: str, epoch: int) -> Value:
    """The value of a metric, or an error that names the metrics there are."""
    try:
        return metrics[name]
    except KeyError:
        recorded = ", ".join(sorted(metrics)) or "none"
        raise MetricError(f"epoch {epoch} has no metric {name!r}; recorded metrics: {recorded}") from None


def finite_part(columns: Columns, names: Sequence[str]) -> tuple[int, Verdict | None]:
    """How many epochs pass until one of some metrics is NaN or infinite, and the verdict that ends the run there.

    Raises:
        MetricError: a metric is missing.
    """
    import numpy as np

    values = [monitored(columns, name, 1) for name in names]
    finite = np.isfinite(values[0])
    for column in values[1:]:
        finite &= np.isfinite(column)
    if finite.all():
        return len(finite), None
    broken = int(finite.argmin())
    return broken, non_finite(broken + 1, names, [float(column[broken]) for column in values])


def non_finite(epoch: int, names: Sequence[str], values: Sequence[float]) -> Verdict:
    """The verdict that ends a run one of whose metrics is NaN or infinite."""
    name, value = next(pair for pair in zip(names, values, strict=True) if not math.isfinite(pair[1]))
    return Verdict("non_finite", f"{name} is {value}", epoch)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.to_dict() if isinstance(value, Rule) else value


Direction = Literal["min", "max"]

_ENDINGS = ("", "epoch", "step", "score", "rate")
_LOWER_IS_BETTER = ("loss", "error", "rmse", "mse", "mae", "mape", "msle", "nll", "crossentropy", "perplexity")
_HIGHER_IS_BETTER = ("accuracy", "acc", "auc", "auroc", "precision", "recall", "f1", "r2", "iou")


def natural_direction(metric: str) -> Direction | None:
    """The better direction of a metric by its name, or None where the name does not tell.

    The last word decides, so `val_loss`, `valid/loss` and `top_k_error` are lower, `test_binary_accuracy` is higher. It
    is what stands before the endings that Keras (`auc_1`), Lightning (`loss_epoch`), scikit-learn (`f1_score`) and
    fastai (`error_rate`) have. Where scikit-learn scores by an error, it is the negative one
    (`neg_mean_squared_error`, `neg_log_loss`), and higher; a `neg_loss` may be one of negative examples.
    """
    parts = re.split(r"[^a-z0-9]+", metric.lower())
    while len(parts) > 1 and (parts[-1].isdigit() or parts[-1] in _ENDINGS):
        parts.pop()
    if parts[-1] in _LOWER_IS_BETTER:
        return "max" if _is_negative_error(parts) else "min"
    if parts[-1] in _HIGHER_IS_BETTER:
        return "max"
    return None


def _is_negative_error(parts: Sequence[str]) -> bool:
    """Whether the words of a metric, perhaps behind one for its rows, are those of a scorer of scikit-learn's."""
    if "neg" not in parts[:2]:
        return False
    of_scorer = parts[parts.index("neg") + 1 :]
    if of_scorer[-1:] == ["error"]:
        return len(of_scorer) > 1
    return of_scorer == ["log", "loss"] or of_scorer[-1:] != ["loss"]


def resolve_direction(metric: str, mode: str, *, setting: str = "mode") -> Direction:
    """The direction that a mode names: `min` and `max` as they say, `auto` by the metric's name.

    Raises:
        ConfigError: the mode is none of the three, or is `auto` and the name does not tell.
    """
    if mode == "min" or mode == "max":
        return mode  # type: ignore[return-value]
    if mode != "auto":
        raise ConfigError(setting, mode, "'auto', 'min' or 'max'")
    natural = natural_direction(metric)
    if natural is None:
        expected = f"'min' or 'max', because the name {metric!r} does not tell which is better"
        raise ConfigError(setting, mode, expected)
    return natural


def mode_warning(metric: str, mode: str) -> str | None:
    """A warning where a mode says the opposite of what the metric's name says, else None."""
    natural = natural_direction(metric)
    if natural is None or mode in ("auto", natural):
        return None
    lower_or_higher = "lower" if natural == "min" else "higher"
    return f"mode {mode!r} contradicts the metric {metric!r}, which is better when {lower_or_higher}"


def is_below(value: float, other: float) -> bool:
    """Whether a value is less than another, in float32, as metrics are computed and as Keras compares them.

    In float64, digits that no metric has would decide ties: those of a mean that Python took, or of a `min_delta` such
    as 0.001, which no binary number is.
    """
    return c_float(value).value < c_float(other).value


class BestState(NamedTuple):
    """Epoch 0 and None mean that there is no best epoch yet."""

    epoch: int = 0
    value: float | None = None


@dataclass(frozen=True)
class BestEpoch:
    """The epoch with the best value of a metric; of several with the same value, the first.

    A value that is NaN or infinite is never the best. Values are compared in float32, as the rules compare them.

    Args:
        monitor: the metric's name.
        mode: `min`, `max`, or `auto` by the metric's name.
        start_from_epoch: the first epochs, this many, do not count, ≥ 0.
    """

    monitor: str
    mode: str = "auto"
    start_from_epoch: int = 0

    def __post_init__(self) -> None:
        # Resolved once: `update` is called for every epoch of every replayed run.
        object.__setattr__(self, "_lower", resolve_direction(self.monitor, self.mode) == "min")

    def update(self, state: BestState, epoch: int, metrics: Metrics) -> BestState:
        """The best epoch so far. `epoch` is counted from 1, each once and in order."""
        value = monitored(metrics, self.monitor, epoch)
        if epoch <= self.start_from_epoch or not math.isfinite(value):
            return state
        if state.value is None or self.is_better(value, state.value):
            return BestState(epoch, value)
        return state

    def epochs(self, columns: Columns) -> NDArray[Any]:
        """The best epoch so far after each epoch of a run, as `update` has it; 0 before there is one.

        Raises:
            MetricError: the metric is missing.
        """
        import numpy as np

        values = monitored(columns, self.monitor, 1)
        counts = np.arange(1, len(values) + 1)
        counted = np.isfinite(values) & (counts > self.start_from_epoch)
        # Beyond float32 is infinity, as in `is_below`.
        with np.errstate(over="ignore"):
            keys = (values if self._lower else -values).astype(np.float32)  # type: ignore[attr-defined]
        keys = np.where(counted, keys, np.float32(np.inf))
        best_before = np.concatenate(([np.inf], np.minimum.accumulate(keys)[:-1]))[: len(keys)]
        # There is nothing yet that the first would have to be better than.
        better = (keys < best_before) | (counted & (np.cumsum(counted) == 1))
        so_far: NDArray[Any] = np.maximum.accumulate(np.where(better, counts, 0))
        return so_far

    def to_dict(self) -> dict[str, Any]:
        """The options as plain values: `BestEpoch(**values)`, and `BestState(**state._asdict())` for a state."""
        return asdict(self)

    def is_better(self, value: float, than: float) -> bool:
        return is_below(value, than) if self._lower else is_below(than, value)  # type: ignore[attr-defined]
