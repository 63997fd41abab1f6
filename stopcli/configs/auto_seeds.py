"""The settings of `--seeds auto`: seeds until every comparison of a sweep is decided."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from stopcli.configs.base import Option
from stopcli.configs.training import TrainingConfig
from stopcli.errors import ConfigError
from stopcli.quantities import counted
from stopcli.runs.headline import PERCENT, Headline

_WITH_AUTO = ("seeds", "auto")
_DEFAULT_RESOLVE, _DEFAULT_SHARE = 0.01, 0.01


@dataclass(frozen=True)
class Resolve:
    """The smallest difference that matters.

    Attributes:
        value: in the unit of the metric, or as a share of the baseline's mean; > 0.
        relative: whether it is a share.
    """

    value: float
    relative: bool

    def margin(self, baseline: float) -> float:
        """In the unit of the metric, ≥ 0.

        Args:
            baseline: the mean of the arm that the others are compared with.
        """
        return self.value * abs(baseline) if self.relative else self.value

    def __str__(self) -> str:
        return f"{100 * self.value:g} %" if self.relative else f"{self.value:g}"


def parse_resolve(text: float | str) -> Resolve | None:
    """`0.01`, or `2%` of the baseline; None for `auto`, which goes by the metric.

    Raises:
        ConfigError: it is neither, or not above 0.
    """
    if text == "auto":
        return None
    number, percent, rest = str(text).strip().partition("%")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if rest or not (0 < value < math.inf) or (percent and value >= 100):
        raise ConfigError("resolve", text, "a number > 0, a share of the baseline between 0% and 100%, or auto")
    return Resolve(value / 100, True) if percent else Resolve(value, False)


def resolve_for(headline: Headline | None, text: float | str = "auto") -> Resolve:
    """What a difference of a metric has to be to matter.

    As the settings say, else 0.01 of a proportion or a score, 1 of a share in percent, and 1 % of the baseline of an
    error, or of what is no metric that counts, such as a cost.

    Args:
        headline: the metric; None of a cost, and of a loss that does not count.
        text: as for `parse_resolve`, which it has passed.
    """
    requested = parse_resolve(text)
    if requested is not None:
        return requested
    if headline is None or headline.kind == "error":
        return Resolve(_DEFAULT_SHARE, True)
    return Resolve(_DEFAULT_RESOLVE * (100 if headline.unit == PERCENT else 1), False)


@dataclass(frozen=True, kw_only=True)
class AutoSeedsConfig(TrainingConfig):
    """A sweep with arms, whose number of seeds may follow from what they show."""

    max_seeds: Annotated[
        Annotated[int, Ge(2), Le(10_000)],
        Option(
            "With --seeds auto: most seeds of each arm, whatever is decided by then.",
            "Sweep",
            ("execution", "free"),
            used_with=_WITH_AUTO,
        ),
    ] = 30
    resolve: Annotated[
        float | str,
        Option(
            "The smallest difference that matters, > 0: in the unit of the metric, or as a share of the baseline (1%). "
            "With --seeds auto, arms that differ by less for certain count as equal; of any other sweep, the report "
            "says how many seeds would tell such a difference.",
            "Sweep",
            ("execution", "free"),
            metavar="X|P%",
            default="0.01; 1% of an error",
        ),
    ] = "auto"

    @property
    def without_meaning(self) -> frozenset[str]:
        if self.seeds == "auto":
            return super().without_meaning
        # What matters goes by the metric then, as it does of a sweep that knows no such setting.
        by_metric = {"resolve"} if self.resolve == "auto" else set()
        return super().without_meaning | {"max_seeds"} | by_metric

    @property
    def auto_seeds(self) -> bool:
        return self.seeds == "auto"

    @property
    def most_seeds(self) -> int:
        return self.max_seeds if self.seeds == "auto" else self.seeds

    @property
    def comparisons(self) -> int:
        """How many arms are compared with the reference."""
        return len(self.arms()) - 1

    @property
    def first_round(self) -> int:
        """Seeds before which no difference can be decided; all of a fixed number."""
        return min(self._fewest_seeds, self.max_seeds) if self.auto_seeds else self.most_seeds

    @property
    def _fewest_seeds(self) -> int:
        # After parsing: --help need not know any statistics.
        from stopcli.stats.sequential import fewest_seeds

        return fewest_seeds(self.comparisons)

    def check(self) -> None:
        super().check()
        parse_resolve(self.resolve)
        if not self.auto_seeds:
            return
        if not self.comparisons:
            raise ConfigError("seeds", "auto", "a number, because the sweep has one arm and nothing to compare it with")
        fewest = self._fewest_seeds
        if self.max_seeds < fewest:
            comparisons = counted(self.comparisons, "comparison")
            raise ConfigError(
                "max_seeds", self.max_seeds, f"at least {fewest}, before which {comparisons} cannot be decided"
            )
