"""When an experiment stops and which epochs are kept, from its settings; without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stopcli.config import CheckpointSettings, StoppingSettings
from stopcli.stopping import AnyOf, BestEpoch, NonFinite, Patience, Rule, Threshold
from stopcli.stopping.parse import parse_rule


@dataclass(frozen=True)
class StopPlan:
    """When an experiment stops and which epochs are kept.

    Attributes:
        rule: decides when training stops.
        watch: the best epoch for stopping, which `restore_best` goes back to.
        restore_best: whether the final model is that of the best epoch.
        keep: the best epoch for checkpoints; None where none are written.
        keep_every: also keep every so many epochs' model; None for the best alone.
    """

    rule: Rule[Any]
    watch: BestEpoch
    restore_best: bool = False
    keep: BestEpoch | None = None
    keep_every: int | None = None

    @property
    def monitors(self) -> set[str]:
        """Every metric that is read."""
        return {*self.rule.monitors, self.watch.monitor, *([self.keep.monitor] if self.keep else [])}


def stop_plan(
    stopping: StoppingSettings,
    checkpoints: CheckpointSettings,
    metrics: tuple[str, ...],
    asked: Callable[[Rule[Any]], Rule[Any]] = lambda rule: rule,
) -> StopPlan:
    """The plan that the settings describe. Metrics that are no numbers end a run in any case.

    Args:
        metrics: the names of all metrics that a rule may read.
        asked: when a rule is asked, such as at the ends of cycles alone.
    """
    rules: list[Rule[Any]] = []
    if stopping.patience is not None:
        rules.append(
            Patience(
                stopping.patience,
                stopping.monitor,
                stopping.mode,
                stopping.min_delta,
                stopping.baseline,
                stopping.start_from_epoch,
            )
        )
    if stopping.threshold is not None:
        rules.append(Threshold(stopping.threshold, stopping.monitor, stopping.mode))
    rules += [parse_rule(text, stopping.monitor, stopping.mode) for text in stopping.stop]
    every = checkpoints.checkpoint_every
    return StopPlan(
        AnyOf((NonFinite(metrics), *(asked(rule) for rule in rules))),
        BestEpoch(stopping.monitor, stopping.mode, stopping.start_from_epoch),
        stopping.restore_best,
        BestEpoch(checkpoints.checkpoint_monitor, checkpoints.checkpoint_mode) if checkpoints.checkpoint else None,
        {"best": None, "all": 1}.get(every, every) if checkpoints.checkpoint else None,  # type: ignore[arg-type]
    )
