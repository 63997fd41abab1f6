"""Which curves of which arms a comparison draws over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stopcli.analysis.arms import RunArm
from stopcli.studies.compare.measures import Measure

# More curves cannot be told apart.
MOST_DRAWN = 14
# What is drawn where all have it, in this order; the second pair where the first is not there.
_PREFERRED = (("val_loss", "val_accuracy"), ("loss", "accuracy"))
_WORDS = {
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
    "loss": "training loss",
    "accuracy": "training accuracy",
}


@dataclass(frozen=True)
class Curves:
    """What is drawn.

    Attributes:
        arms: that have curves.
        panels: columns that all of them have, with their words.
        notes: what is not drawn, and why.
    """

    arms: Sequence[RunArm]
    panels: dict[str, str]
    notes: Sequence[str]


def curves_of(arms: Sequence[RunArm], measure: Measure) -> Curves:
    """The columns that all arms have, of the first so many."""
    with_curves = [arm for arm in arms if all(len(result.columns) for result in arm.runs)]
    drawn, notes = with_curves[:MOST_DRAWN], []
    if len(with_curves) > MOST_DRAWN:
        notes.append(f"The figures show the first {MOST_DRAWN} of {len(with_curves)}.")
    recorded = [set(result.columns) for arm in drawn for result in arm.runs]
    common = set.intersection(*recorded) if recorded else set()
    names: list[str] = []
    for preferred in _PREFERRED:
        names = names or [name for name in preferred if name in common]
    if measure.name in common and measure.name not in names:
        names.append(measure.name)
    unequal = sorted(set().union(*recorded) - common)
    if unequal:
        notes.append(f"Not all have recorded {', '.join(unequal)}; what all have is overlaid.")
    return Curves(drawn, {name: _WORDS.get(name, name) for name in names}, notes)
