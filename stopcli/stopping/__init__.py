"""Stopping rules and the best epoch: pure, serialisable, without TensorFlow (but for the Keras callback)."""

from stopcli.stopping.combine import AllOf, AnyOf, AtCycleEnds, rule_from_dict
from stopcli.stopping.patience import Patience
from stopcli.stopping.prechelt import GeneralizationLoss, ProgressQuotient, SuccessiveIncreases
from stopcli.stopping.rule import BestEpoch, BestState, Rule, RuleRunner, Verdict
from stopcli.stopping.smooth import SmoothedRule
from stopcli.stopping.threshold import NonFinite, Threshold

__all__ = [
    "AllOf",
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
    "SmoothedRule",
    "SuccessiveIncreases",
    "Threshold",
    "Verdict",
    "rule_from_dict",
]
