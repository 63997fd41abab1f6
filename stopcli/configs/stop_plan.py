"""When an experiment stops and which epochs are kept, from its settings; without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stopcli.stopping import AnyOf, BestEpoch, NonFinite, Patience, Rule, Threshold
from stopcli.stopping.combine import parse_rule

if TYPE_CHECKING:
    from stopcli.configs.training import CheckpointSettings, StoppingSettings


@dataclass(frozen=True)
class StopPlan:
    """When an experiment stops and which epochs are kept.

    Attributes:
        rule: decides when training stops.
        best_monitored: the best epoch for stopping, which `restore_best` goes back to.
        restore_best: whether the final model is that of the best epoch.
        best_checkpoint: the best epoch for checkpoints; None where none are written.
        checkpoint_every: also keep every so many epochs' model; None for the best alone.
    """

    rule: Rule[Any]
    best_monitored: BestEpoch
    restore_best: bool = False
    best_checkpoint: BestEpoch | None = None
    checkpoint_every: int | None = None

    @property
    def monitors(self) -> set[str]:
        """Every metric that is read."""
        return {
            *self.rule.monitors,
            self.best_monitored.monitor,
            *([self.best_checkpoint.monitor] if self.best_checkpoint else []),
        }


def requested_rules(stopping: StoppingSettings) -> list[tuple[str, Rule[Any]]]:
    """The rules that the settings ask for, each with the setting and its value, such as `patience 200`."""
    monitor, mode = stopping.monitor, stopping.mode
    rules: list[tuple[str, Rule[Any]]] = []
    if stopping.patience is not None:
        more = (stopping.min_delta, stopping.baseline, stopping.start_from_epoch)
        rules.append((f"patience {stopping.patience}", Patience(stopping.patience, monitor, mode, *more)))
    if stopping.threshold is not None:
        rules.append((f"threshold {stopping.threshold:g}", Threshold(stopping.threshold, monitor, mode)))
    return [*rules, *((f"stop {text}", parse_rule(text, monitor, mode)) for text in stopping.stop)]


def stop_plan(
    stopping: StoppingSettings,
    checkpoints: CheckpointSettings,
    metrics: tuple[str, ...],
    wrap: Callable[[Rule[Any]], Rule[Any]] = lambda rule: rule,
) -> StopPlan:
    """The plan that the settings describe. Metrics that are no numbers end a run in any case.

    Args:
        metrics: the names of all metrics that a rule may read.
        wrap: makes of each rule one that is evaluated less often, such as only where cycles end.
    """
    every = checkpoints.checkpoint_every
    return StopPlan(
        AnyOf((NonFinite(metrics), *(wrap(rule) for _, rule in requested_rules(stopping)))),
        BestEpoch(stopping.monitor, stopping.mode, stopping.start_from_epoch),
        stopping.restore_best,
        BestEpoch(checkpoints.checkpoint_monitor, checkpoints.checkpoint_mode) if checkpoints.checkpoint else None,
        {"best": None, "all": 1}.get(every, every) if checkpoints.checkpoint else None,  # type: ignore[arg-type]
    )
