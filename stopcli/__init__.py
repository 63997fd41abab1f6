"""stopcli: when to stop training, which checkpoint to keep, and what a regulariser buys for its cost.

The parts for use in your own `model.fit` are here, and what opens runs in Python; each is imported when it is first
used, so that `import stopcli` costs nothing. It is enough for `keras.saving.load_model` to read a saved model that has
parts of stopcli in it.
"""

from __future__ import annotations

import importlib

from stopcli.keras_names import register_with_keras

# As typing has it, whose import would be most of what `import stopcli` costs.
TYPE_CHECKING = False

__version__ = "0.1.0"

if TYPE_CHECKING:
    from typing import Any

    from stopcli.augment.cutout import Cutout as Cutout
    from stopcli.augment.cutout import CutoutCopies as CutoutCopies
    from stopcli.augment.erasing import RandomErasing as RandomErasing
    from stopcli.augment.shift import RandomShift as RandomShift
    from stopcli.data.image_files import read_image as read_image
    from stopcli.runner.opened import Analysis as Analysis
    from stopcli.runner.opened import RangeTest as RangeTest
    from stopcli.runner.opened import Run as Run
    from stopcli.runner.opened import Runs as Runs
    from stopcli.runner.opened import Sweep as Sweep
    from stopcli.runner.opened import list_runs as list_runs
    from stopcli.runner.opened import open as open
    from stopcli.runner.recorder import Recorder as Recorder
    from stopcli.schedules.cyclic import CyclicLR as CyclicLR
    from stopcli.schedules.cyclic import CyclicMomentum as CyclicMomentum
    from stopcli.schedules.cyclic import OneCycleLR as OneCycleLR
    from stopcli.schedules.cyclic import RampLR as RampLR
    from stopcli.schedules.keras_callback import ScheduleLearningRate as ScheduleLearningRate
    from stopcli.stopping import AllOf as AllOf
    from stopcli.stopping import AnyOf as AnyOf
    from stopcli.stopping import AtCycleEnds as AtCycleEnds
    from stopcli.stopping import BestEpoch as BestEpoch
    from stopcli.stopping import GeneralizationLoss as GeneralizationLoss
    from stopcli.stopping import NonFinite as NonFinite
    from stopcli.stopping import Patience as Patience
    from stopcli.stopping import ProgressQuotient as ProgressQuotient
    from stopcli.stopping import RuleRunner as RuleRunner
    from stopcli.stopping import SmoothedRule as SmoothedRule
    from stopcli.stopping import SuccessiveIncreases as SuccessiveIncreases
    from stopcli.stopping import Threshold as Threshold
    from stopcli.stopping import Verdict as Verdict
    from stopcli.stopping import rule_from_dict as rule_from_dict
    from stopcli.stopping.keras_callback import StopOnRule as StopOnRule

# What a saved Keras model may hold.
_SAVED = {
    "Cutout": "stopcli.augment.cutout",
    "CutoutCopies": "stopcli.augment.cutout",
    "CyclicLR": "stopcli.schedules.cyclic",
    "CyclicMomentum": "stopcli.schedules.cyclic",
    "OneCycleLR": "stopcli.schedules.cyclic",
    "RampLR": "stopcli.schedules.cyclic",
    "RandomErasing": "stopcli.augment.erasing",
    "RandomShift": "stopcli.augment.shift",
}
_RULES = (
    *("AllOf", "AnyOf", "AtCycleEnds", "BestEpoch", "GeneralizationLoss", "NonFinite", "Patience"),
    *(
        "ProgressQuotient",
        "RuleRunner",
        "SmoothedRule",
        "SuccessiveIncreases",
        "Threshold",
        "Verdict",
        "rule_from_dict",
    ),
)
_OPENED = ("Analysis", "RangeTest", "Run", "Runs", "Sweep", "list_runs", "open")
_PUBLIC = {
    **_SAVED,
    **dict.fromkeys(_RULES, "stopcli.stopping"),
    **dict.fromkeys(_OPENED, "stopcli.runner.opened"),
    "Recorder": "stopcli.runner.recorder",
    "ScheduleLearningRate": "stopcli.schedules.keras_callback",
    "StopOnRule": "stopcli.stopping.keras_callback",
    "read_image": "stopcli.data.image_files",
}
_OLD_NAMES = {"Judge": "RuleRunner", "StripsUp": "SuccessiveIncreases"}

# `from stopcli import *` leaves the built-in `open` as it is.
__all__ = [*sorted(_PUBLIC.keys() - {"open"})]


def __getattr__(name: str) -> Any:
    name = _OLD_NAMES.get(name, name)
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])


register_with_keras(_SAVED)
