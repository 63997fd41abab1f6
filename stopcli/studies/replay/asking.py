"""Which rules are replayed, and by which metric an epoch is kept: from a command's options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stopcli.errors import ConfigError, RequestError
from stopcli.evidence.replay import LabelledRule, readable_metrics
from stopcli.runs.metrics import Columns
from stopcli.runs.recorded import RecordedRun
from stopcli.stopping import BestEpoch, Patience, Rule
from stopcli.stopping.direction import mode_warning, resolve_direction
from stopcli.stopping.parse import parse_rule

# Prechelt's own criteria (1998, section 2.3), but for the slowest, and patience from none to much.
DEFAULT_PATIENCE = (0, 5, 10, 20, 50, 100, 200)
DEFAULT_RULES = (
    *("gl:1", "gl:2", "gl:3", "gl:5", "pq:0.5", "pq:0.75", "pq:1", "pq:2", "pq:3"),
    *("up:2", "up:3", "up:4", "up:6", "up:8"),
)


@dataclass(frozen=True)
class ReplayOptions:
    """What is asked of some runs.

    Attributes:
        patience, min_delta: every patience is replayed with every min_delta.
        rules: as in `--stop`. Where neither patience nor rules are given, those that are usual.
        monitor, mode: what patience and threshold watch.
        baseline, start_from_epoch: of every patience.
        select: the metric whose best epoch is kept; empty for `monitor`.
    """

    patience: tuple[int, ...] | None = None
    min_delta: tuple[float, ...] = (0.0,)
    rules: tuple[str, ...] | None = None
    monitor: str = "val_loss"
    mode: str = "auto"
    baseline: float | None = None
    start_from_epoch: int = 0
    select: str = ""

    def labelled_rules(self) -> list[LabelledRule]:
        """The rules, each once.

        Raises:
            ConfigError: one of them does not exist, or a value is out of its range.
        """
        usual = self.patience is None and self.rules is None
        patience, rules = (DEFAULT_PATIENCE, DEFAULT_RULES) if usual else (self.patience or (), self.rules or ())
        labelled = [self._patience(epochs, delta) for delta in self.min_delta for epochs in patience]
        labelled += [LabelledRule(text, parse_rule(text, self.monitor, self.mode, setting="rule")) for text in rules]
        if not labelled:
            raise ConfigError("rule", "none", "one rule or more, here or with --patience")
        by_rule: dict[Rule[Any], LabelledRule] = {}
        for rule in labelled:
            by_rule.setdefault(rule.rule, rule)
        return list(by_rule.values())

    def _patience(self, epochs: int, min_delta: float) -> LabelledRule:
        if epochs < 0:
            raise ConfigError("patience", epochs, "whole numbers ≥ 0")
        if not (math.isfinite(min_delta) and min_delta >= 0):
            raise ConfigError("min_delta", min_delta, "finite numbers ≥ 0")
        rule = Patience(epochs, self.monitor, self.mode, min_delta, self.baseline, self.start_from_epoch)
        return LabelledRule(f"patience:{epochs}" + (f" δ={min_delta:g}" if min_delta else ""), rule)

    def selecting_rule(self) -> BestEpoch:
        """Which epoch is selected.

        Raises:
            ConfigError: the direction of the metric is not known.
        """
        if not self.select or self.select == self.monitor:
            return BestEpoch(self.monitor, self.mode, self.start_from_epoch)
        resolve_direction(self.select, "auto", setting="select")
        return BestEpoch(self.select, start_from_epoch=self.start_from_epoch)

    def warnings(self) -> list[str]:
        """What was asked for in vain or against the sense of words, as the training commands tell it."""
        told = [mode_warning(self.monitor, self.mode)]
        if not self.patience and self.rules is not None:
            told += ["min_delta has no effect without patience"] if any(self.min_delta) else []
            told += ["baseline has no effect without patience"] if self.baseline is not None else []
        return [warning for warning in told if warning]

    def check_metrics(self, run: RecordedRun) -> None:
        """Find out whether a run has the named metrics on record.

        Raises:
            RequestError: it has not.
        """
        _check(run, [("--monitor", self.monitor), ("--select", self.select or self.monitor)])


def check_rules(rules: Sequence[LabelledRule], run: RecordedRun) -> None:
    """Find out whether a run has on record what rules read.

    Raises:
        RequestError: it has not.
    """
    _check(run, [(rule.label, name) for rule in rules for name in rule.rule.monitors])


def _check(run: RecordedRun, needed: Sequence[tuple[str, str]]) -> None:
    there = readable_metrics(run.metrics)
    for what, name in needed:
        if name not in there:
            raise _missing(run, run.metrics, what, name)


def _missing(run: RecordedRun, columns: Columns, what: str, name: str) -> RequestError:
    told = f"{run.path}: {what} needs {name}, and on record are {', '.join(readable_metrics(columns)) or 'none'}"
    if name.startswith("test_") and name in columns:
        return RequestError(told, hint="Test rows that are held out choose nothing, or they would be no test any more.")
    if not any(column.startswith("val_") for column in columns):
        return RequestError(told, hint="The run was not validated: it says nothing of when it should have stopped.")
    return RequestError(told, hint="Name another with --monitor or --select, or leave the rule out.")
