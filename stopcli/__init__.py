"""stopcli: when to stop training, which checkpoint to keep, and what a regulariser buys for its cost.

The parts that others can use in their own `model.fit` are here; each is imported when it is first asked for, so that
`import stopcli` costs nothing. It is enough for `keras.saving.load_model` to read a saved model that holds them.
"""

from __future__ import annotations

import importlib

from stopcli.keras_names import register_with_keras

# As typing has it, whose import would be most of what `import stopcli` costs.
TYPE_CHECKING = False

__version__ = "0.1.0"

if TYPE_CHECKING:
    from typing import Any

    from stopcli.augment.cutout import Cutout, CutoutCopies
    from stopcli.augment.erasing import RandomErasing
    from stopcli.augment.shift import RandomShift
    from stopcli.schedules.cyclic import CyclicLR, CyclicMomentum, OneCycleLR, RampLR
    from stopcli.schedules.keras_callback import ScheduleLearningRate
    from stopcli.stopping import (
        AnyOf,
        AtCycleEnds,
        BestEpoch,
        NonFinite,
        Patience,
        RuleRunner,
        Threshold,
        Verdict,
        rule_from_dict,
    )
    from stopcli.stopping.keras_callback import StopOnRule

_PUBLIC = {
    "Cutout": "stopcli.augment.cutout",
    "CutoutCopies": "stopcli.augment.cutout",
    "CyclicLR": "stopcli.schedules.cyclic",
    "CyclicMomentum": "stopcli.schedules.cyclic",
    "OneCycleLR": "stopcli.schedules.cyclic",
    "RampLR": "stopcli.schedules.cyclic",
    "ScheduleLearningRate": "stopcli.schedules.keras_callback",
    "RandomErasing": "stopcli.augment.erasing",
    "RandomShift": "stopcli.augment.shift",
    "AnyOf": "stopcli.stopping",
    "AtCycleEnds": "stopcli.stopping",
    "GeneralizationLoss": "stopcli.stopping",
    "BestEpoch": "stopcli.stopping",
    "RuleRunner": "stopcli.stopping",
    "NonFinite": "stopcli.stopping",
    "ProgressQuotient": "stopcli.stopping",
    "Patience": "stopcli.stopping",
    "Threshold": "stopcli.stopping",
    "Verdict": "stopcli.stopping",
    "rule_from_dict": "stopcli.stopping",
    "SuccessiveIncreases": "stopcli.stopping",
    "StopOnRule": "stopcli.stopping.keras_callback",
}

_OLD_NAMES = {"Judge": "RuleRunner", "StripsUp": "SuccessiveIncreases"}

# Those that a saved Keras model may hold.
_SAVED = (
    "Cutout",
    "CutoutCopies",
    "CyclicLR",
    "CyclicMomentum",
    "OneCycleLR",
    "RampLR",
    "RandomErasing",
    "RandomShift",
)

__all__ = [
    "AnyOf",
    "AtCycleEnds",
    "BestEpoch",
    "Cutout",
    "CutoutCopies",
    "CyclicLR",
    "CyclicMomentum",
    "GeneralizationLoss",
    "NonFinite",
    "OneCycleLR",
    "Patience",
    "ProgressQuotient",
    "RampLR",
    "RandomErasing",
    "RandomShift",
    "RuleRunner",
    "ScheduleLearningRate",
    "StopOnRule",
    "SuccessiveIncreases",
    "Threshold",
    "Verdict",
    "rule_from_dict",
]


def __getattr__(name: str) -> Any:
    name = _OLD_NAMES.get(name, name)
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


register_with_keras({name: _PUBLIC[name] for name in _SAVED})
