"""What a published result can be compared in: a name, and where a run's summary.json holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from stopcli.runs.recorded import training_seconds

MeasureName = Literal[
    "stop_epoch",
    "train_accuracy",
    "test_accuracy",
    "test_error",
    "saved_epoch",
    "saved_train_accuracy",
    "saved_test_accuracy",
    "training_hours",
]


@dataclass(frozen=True)
class Measure:
    """How a value is called and shown.

    Attributes:
        path: of keys in a run's summary.json.
        digits: after the point.
        is_time: seconds of this machine, shown as hours; compared with no other machine's.
        is_error: 1 less what the path leads to.
    """

    title: str
    path: tuple[str, ...]
    digits: int = 3
    is_time: bool = False
    is_error: bool = False

    def value(self, summary: Mapping[str, Any]) -> float | None:
        """Of a finished run; None where it did not measure it."""
        if self.is_time:
            seconds = training_seconds(summary)
            return None if seconds is None else seconds / 3600
        found: Any = summary
        for key in self.path:
            found = found.get(key) if isinstance(found, Mapping) else None
        if not isinstance(found, (int, float)):
            return None
        return 1 - found if self.is_error else float(found)

    def show(self, value: float) -> str:
        if self.is_time:
            return f"{value:.2f} h" if value >= 1 else f"{value * 60:.2f} min"
        return f"{value:.{self.digits}f}"


MEASURES: dict[str, Measure] = {
    "stop_epoch": Measure("stopped at epoch", ("epochs",), 0),
    "train_accuracy": Measure("train accuracy", ("final", "train", "accuracy")),
    "test_accuracy": Measure("test accuracy", ("final", "test", "accuracy")),
    "test_error": Measure("test error", ("final", "test", "accuracy"), is_error=True),
    "saved_epoch": Measure("saved epoch", ("best", "epoch"), 0),
    "saved_train_accuracy": Measure("its train accuracy", ("best", "train", "accuracy")),
    "saved_test_accuracy": Measure("its test accuracy", ("best", "test", "accuracy")),
    "training_hours": Measure("training time", ("train_seconds",), is_time=True),
}
assert set(MEASURES) == set(get_args(MeasureName))
