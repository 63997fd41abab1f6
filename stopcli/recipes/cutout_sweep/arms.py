"""The arms of a cutout sweep: their M, what they are compared with, and which are worth their cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stopcli.evidence import pareto
from stopcli.recipes.arms import Arm
from stopcli.recipes.cutout_sweep.config import copies_of

# Hours for 100 epochs of ResNet-44 by M, 0 for simple augmentation alone ("Deep Learning on Medium", cutout article).
PUBLISHED_HOURS = {0: 1.22, 2: 1.47, 4: 2.31, 8: 3.86, 16: 6.89, 32: 13.14}


@dataclass(frozen=True)
class CutoutArm(Arm):
    """An arm with its M."""

    @property
    def m(self) -> int:
        """Copies of every image; 0 for the baseline."""
        return copies_of(self.config)

    @property
    def label(self) -> str:
        return f"M = {self.m}" if self.m else super().label


def reference_of(arms: Sequence[CutoutArm]) -> CutoutArm | None:
    """What the others are compared with: the baseline, or where there is none, the fewest copies."""
    finished = [arm for arm in arms if arm.runs]
    return min(finished, key=lambda arm: arm.m, default=None)


def pareto_front(arms: Sequence[CutoutArm]) -> list[CutoutArm]:
    """The arms than which no other is both at least as cheap and at least as good, by mean, the cheapest first."""
    finished = [arm for arm in arms if arm.runs]
    costs, errors = [arm.mean("seconds") for arm in finished], [arm.mean("error") for arm in finished]
    return [finished[i] for i in pareto.pareto_front(costs, errors)]
