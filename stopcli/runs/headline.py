"""The metric that counts: what tables, intervals, figures, verdicts and selection speak of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from stopcli.stopping.rule import Direction, natural_direction

if TYPE_CHECKING:
    from numpy.typing import NDArray

Numbers = TypeVar("Numbers", "float", "NDArray[Any]")

Rows = Literal["test", "val", "train"]
"""Of which a value is: the untouched rows, those that validate where they are others, and those that train."""
ROWS_IN_WORDS: dict[Rows, str] = {"test": "test", "val": "validation", "train": "train"}

Kind = Literal["proportion", "error", "score"]
"""What values can be: a share of rows from 0 to 1, whose interval is Wilson's; an error ≥ 0, in the unit of what was
predicted, lower is better; any other number, such as an area under a curve, R², or a share in percent."""

PERCENT = "%"
"""The unit of an accuracy that a program records as 93.2 instead of 0.932."""

# Lightning users write `val/loss`; fastai calls the rows that validate `valid`, Hugging Face `eval`.
_ROWS: dict[str, Rows] = {
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation", "eval", "dev"), "val"),
    "test": "test",
}
_PREFIXES = {f"{name}{end}": rows for name, rows in _ROWS.items() for end in "_/"}
_PROPORTIONS = ("accuracy", "acc")
# A mean over batches of rows that are all right comes to 1 and a few last digits, of float32 or less.
_ABOVE_ONE = 1.01
# As their field writes them.
_SPELLINGS = {
    **{name: name.upper() for name in ("auc", "mae", "mape", "mse", "rmse", "iou")},
    "r2": "R²",
    "r2_score": "R²",
    "f1": "F1",
    "f1_score": "F1",
}


@dataclass(frozen=True)
class Headline:
    """A metric with what it takes to speak of it.

    Attributes:
        name: as in `train`, `val` and `test` of a summary, without the prefix that metrics.csv gives the rows: `rmse`
            of `val_rmse`.
        direction: which is better, `min` or `max`.
        kind: which intervals it has, and how its values are written.
        unit: of its values, such as `°C`; empty for none.
    """

    name: str
    direction: Direction
    kind: Kind
    unit: str = ""

    @property
    def label(self) -> str:
        """Its name in a sentence: `accuracy`, `RMSE`, `top k error`."""
        return _SPELLINGS.get(self.name.lower(), self.name.replace("_", " "))

    @property
    def short(self) -> str:
        """Its name where there is little room, such as above a column: `acc.`, `RMSE`."""
        return "acc." if self.name in _PROPORTIONS else self.label

    @property
    def axis(self) -> str:
        """Its name beside an axis, with its unit: `RMSE (°C)`."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def lower_is_better(self) -> bool:
        return self.direction == "min"

    @property
    def error_axis(self) -> str:
        """What `as_error` gives, beside an axis."""
        return f"error (1 − {self.label})" if self.kind == "proportion" else self.axis

    @property
    def error_name(self) -> str:
        """Of the same its name, as `name`."""
        return "error" if self.kind == "proportion" else self.name

    @property
    def error_short(self) -> str:
        """The same above a column."""
        return "error" if self.kind == "proportion" else self.short

    def as_error(self, values: Numbers) -> Numbers:
        """Values as they are drawn against a cost, lower being better: the rest of a proportion. Of an error and of a
        score they are the values themselves."""
        return 1 - values if self.kind == "proportion" else values

    def column(self, rows: str) -> str:
        """Its column in metrics.csv: of the `train`, the `val` or the `test` rows."""
        return self.name if rows == "train" else f"{rows}_{self.name}"

    def seen_in(self, values: Iterable[float]) -> Headline:
        """The headline of these values: of a proportion one in percent, where any of them is above 1 by more than a
        rounding."""
        if self.kind == "proportion" and any(value > _ABOVE_ONE for value in values):
            return replace(self, kind="score", unit=PERCENT)
        return self

    def seen_in_columns(self, columns: Iterable[NDArray[Any]]) -> Headline:
        """The same of columns of values, of which some may not be finite."""
        return self.seen_in(float(values.max(initial=0.0, where=values < math.inf)) for values in columns)

    def spellings(self, rows: str, columns: Iterable[str]) -> list[str]:
        """Its columns of such rows, as programs spell them (`val/loss`, `valid_loss`), its own name first."""
        names = [name for name in columns if rows_of(name) == rows and base_name(name) == self.name]
        return sorted(names, key=lambda name: name != self.column(rows))

    def show(self, value: float, like: float | None = None) -> str:
        """A value as text, without its unit: three decimals of a proportion or a score, four digits of an error.

        Args:
            like: a value whose decimals it has too, such as the mean beside which its standard deviation stands.
        """
        like = value if like is None else like
        if self.kind != "error" or not math.isfinite(value) or not math.isfinite(like):
            return f"{value:.3f}"
        size = math.floor(math.log10(abs(like))) if like else 0
        # An exponent where there would be more zeros than digits.
        return f"{value:.{max(3 - size, 0)}f}" if -4 <= size < 7 else f"{value:.3e}"

    def show_with_unit(self, value: float) -> str:
        """The same with its unit, as sentences have it."""
        return f"{self.show(value)} {self.unit}".rstrip()

    def show_difference(self, value: float) -> str:
        """A difference of two values as text, with its sign and without its unit."""
        sign = "−" if value < 0 else "+"
        return sign + self.show(abs(value)) if self.kind == "error" else f"{value:+.3f}"


ACCURACY = Headline("accuracy", "max", "proportion")
"""Of the networks that stopcli's own commands train."""
LOSS = Headline("loss", "min", "error")
"""What training makes smaller, drawn beside whatever counts."""


def headline_of(metric: str, direction: Direction | None = None, unit: str = "") -> Headline | None:
    """The headline that a metric's name says: `val_rmse` is an error, better when lower.

    Args:
        metric: with or without the prefix of its rows.
        direction: of a metric whose name does not tell.

    Returns:
        None where the direction is not known.
    """
    name = base_name(metric)
    direction = direction or natural_direction(name)
    if direction is None:
        return None
    # A proportion has no unit.
    is_proportion = direction == "max" and not unit and name.rsplit("_", 1)[-1] in _PROPORTIONS
    kind: Kind = "proportion" if is_proportion else "error" if direction == "min" else "score"
    return Headline(name, direction, kind, unit)


def configured_headline(config: Mapping[str, Any]) -> Headline | None:
    """The metric that counts by a config.toml: `headline` of a recorded run, which `mode` is of; `metric` of a user's
    file, whose direction a mode says only where the name does not tell. None where it is not known."""
    modes = [config.get(name) for name in ("checkpoint_mode", "mode")]
    stated: Direction | None = next((mode for mode in modes if mode in ("min", "max")), None)
    name = base_name(str(config.get("headline", config.get("metric", ""))))
    direction = stated if "headline" in config else natural_direction(name) or stated
    return headline_of(name, direction, str(config.get("unit", ""))) if name else None


def base_name(metric: str) -> str:
    """A metric's name without the prefix of its rows: `rmse` of `val_rmse`."""
    for prefix in _PREFIXES:
        if metric.startswith(prefix):
            return metric[len(prefix) :]
    return metric


def rows_of(metric: str) -> Rows:
    """The rows that a metric is of, by its name: `train`, `val` or `test`."""
    return next((rows for prefix, rows in _PREFIXES.items() if metric.startswith(prefix)), "train")
