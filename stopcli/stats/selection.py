"""What choosing an epoch on the test rows would have claimed, against what the epoch chosen on other rows is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from stopcli.runs.metrics import Columns
from stopcli.stopping import BestEpoch, BestState

# The accuracy of the rows that choose nothing; recorded where rows are set apart (docs/decisions/0004).
TEST_ACCURACY = "test_accuracy"


@dataclass(frozen=True)
class Chosen:
    """An epoch that a rule chose.

    Attributes:
        monitor: the metric it was chosen by.
        value: of that metric.
        test_accuracy: of its model on the untouched test rows.
    """

    monitor: str
    epoch: int
    value: float
    test_accuracy: float

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Chosen:
        """What `asdict` made of it; another version may have written more."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Selection:
    """The same rule, asked on the rows that validate and on the test rows, of the same epochs.

    Attributes:
        honest: the epoch chosen on the rows that validate: its test accuracy is of rows that chose nothing.
        claimed: the epoch that choosing on the test rows would have reported.
    """

    honest: Chosen
    claimed: Chosen

    @property
    def optimism(self) -> float:
        """By how much the test accuracy that would have been claimed is above the honest one.

        It is the luck of rows that choose among many epochs, and beside it what choosing on other rows costs: few of
        them choose a worse epoch. One run cannot tell the two apart.
        """
        return self.claimed.test_accuracy - self.honest.test_accuracy

    def to_dict(self) -> dict[str, Any]:
        """What a summary.json holds of it."""
        return {"honest": asdict(self.honest), "claimed": asdict(self.claimed), "optimism": self.optimism}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Selection:
        """What `to_dict` wrote."""
        return cls(Chosen.from_dict(values["honest"]), Chosen.from_dict(values["claimed"]))


def compare_selection(metrics: Columns, rule: BestEpoch, readable: Sequence[str]) -> Selection | None:
    """Ask a rule twice over a run's epochs.

    Args:
        metrics: the columns of metrics.csv, up to the epoch at which training stopped.
        rule: which epoch is the best, by a metric of the rows that validate, or of those that train. On the test rows
            it is asked by the same metric of theirs: `test_loss` for `val_loss` and for `loss`.
        readable: the metrics that rules may read. An epoch in which one of them is no number counts for neither.

    Returns:
        None where no test rows were set apart, or no epoch counts.
    """
    base = rule.monitor.removeprefix("val_")
    on_test = BestEpoch(f"test_{base}", rule.mode, rule.start_from_epoch)
    if TEST_ACCURACY not in metrics or on_test.monitor not in metrics:
        return None
    sound = np.isfinite(np.stack([metrics[name] for name in readable])).all(axis=0)
    honest, claimed = (_chosen(metrics, each, sound) for each in (rule, on_test))
    return Selection(honest, claimed) if honest and claimed else None


def _chosen(metrics: Columns, rule: BestEpoch, sound: Any) -> Chosen | None:
    best = BestState()
    columns = (metrics["epoch"], metrics[rule.monitor], sound)
    for epoch, value, counts in zip(*(column.tolist() for column in columns), strict=True):
        if counts:
            best = rule.update(best, int(epoch), {rule.monitor: value})
    if best.value is None:
        return None
    row = int(np.flatnonzero(metrics["epoch"] == best.epoch)[0])
    return Chosen(rule.monitor, best.epoch, best.value, float(metrics[TEST_ACCURACY][row]))
