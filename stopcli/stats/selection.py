"""What choosing an epoch on the test rows would have claimed, against what the epoch chosen on other rows is worth."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stopcli.runs.metrics import Columns
from stopcli.runs.summary import ChosenEpoch, Selection
from stopcli.stopping import BestEpoch, BestState

# The accuracy of the rows that choose nothing; recorded where rows are set apart (docs/decisions/0004).
TEST_ACCURACY = "test_accuracy"


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
    honest, claimed = (_chosen(metrics, best, sound) for best in (rule, on_test))
    return Selection(honest, claimed) if honest and claimed else None


def _chosen(metrics: Columns, rule: BestEpoch, sound: Any) -> ChosenEpoch | None:
    best = BestState()
    columns = (metrics["epoch"], metrics[rule.monitor], sound)
    for epoch, value, counts in zip(*(column.tolist() for column in columns), strict=True):
        if counts:
            best = rule.update(best, int(epoch), {rule.monitor: value})
    if best.value is None:
        return None
    row = int(np.flatnonzero(metrics["epoch"] == best.epoch)[0])
    return ChosenEpoch(rule.monitor, best.epoch, best.value, float(metrics[TEST_ACCURACY][row]))
