"""Stopping rules and the best epoch: pure, serialisable, without TensorFlow (but for the Keras callback)."""

from stopcli.stopping.best import BestEpoch, BestState
from stopcli.stopping.compose import AnyOf, rule_from_dict
from stopcli.stopping.cycle_ends import AtCycleEnds
from stopcli.stopping.limits import NonFinite, Threshold
from stopcli.stopping.patience import Patience
from stopcli.stopping.prechelt import GeneralizationLoss
from stopcli.stopping.rule import Rule, RuleRunner, Verdict
from stopcli.stopping.strips import ProgressQuotient, SuccessiveIncreases

__all__ = [
    "AnyOf",
    "AtCycleEnds",
    "BestEpoch",
    "BestState",
    "GeneralizationLoss",
    "NonFinite",
    "Patience",
    "ProgressQuotient",
    "Rule",
    "RuleRunner",
    "SuccessiveIncreases",
    "Threshold",
    "Verdict",
    "rule_from_dict",
]
