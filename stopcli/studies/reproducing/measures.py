"""The values in which runs are compared with what was published, and where a run's summary.json holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stopcli.runs.recorded import training_seconds


@dataclass(frozen=True)
class Measure:
    """A value of a run.

    Attributes:
        title: in tables.
        path: of keys in a run's summary.json.
        digits: after the point.
        is_time: in hours, of this machine; never judged beside another machine's.
        is_error: 1 less what the path leads to.
    """

    title: str
    path: tuple[str, ...] = ()
    digits: int = 3
    is_time: bool = False
    is_error: bool = False

    def value(self, summary: Mapping[str, Any]) -> float | None:
        """Of a finished run; None where it did not measure it."""
        if self.is_time:
            seconds = training_seconds(summary)
            return None if seconds is None else seconds / 3600
        value: Any = summary
        for key in self.path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if not isinstance(value, (int, float)):
            return None
        return 1 - value if self.is_error else float(value)

    def cell(self, value: float) -> str:
        if self.is_time:
            return f"{value:.2f} h" if value >= 1 else f"{value * 60:.2f} min"
        return f"{value:.{self.digits}f}"


MEASURES = {
    "stop_epoch": Measure("stopped at epoch", ("epochs",), 0),
    "train_accuracy": Measure("train accuracy", ("final", "train", "accuracy")),
    "test_accuracy": Measure("test accuracy", ("final", "test", "accuracy")),
    "test_error": Measure("test error", ("final", "test", "accuracy"), is_error=True),
    "saved_epoch": Measure("saved epoch", ("best", "epoch"), 0),
    "saved_train_accuracy": Measure("its train accuracy", ("best", "train", "accuracy")),
    "saved_test_accuracy": Measure("its test accuracy", ("best", "test", "accuracy")),
    "training_hours": Measure("training time", is_time=True),
}
