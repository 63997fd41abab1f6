"""By what arms are compared: the metric that counts in them, another one, or what training took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stopcli.analysis.arms import RunArm, headline_of_runs
from stopcli.analysis.run_result import RunResult
from stopcli.errors import ConfigError, did_you_mean
from stopcli.runs.headline import PERCENT, Headline, base_name, headline_of
from stopcli.runs.summary import FOREIGN, ModelName
from stopcli.stopping.rule import Direction, mode_warning, resolve_direction

COSTS = ("epochs", "updates", "rows", "train_seconds")
# Neither more nor less of it is better.
_NEUTRAL = (*COSTS, "learning_rate")
# From here on, a value's decimals say nothing.
_LARGE = 100


@dataclass(frozen=True)
class View:
    """One of the values of a run that a measure may mean.

    Attributes:
        name: `final`, `saved`, `refit` or `best`.
        value: as a run calls it (`RunResult.value`).
        phrase: what it is in a sentence.
        model: whose values on the rows that train stand beside it; empty where none do.
    """

    name: str
    value: str
    phrase: str
    model: ModelName | Literal[""] = ""


@dataclass(frozen=True)
class Measure:
    """By what arms are compared.

    Attributes:
        name: as the user names it.
        better: whether less or more is better; None where neither is.
        headline: the metric, where it is the one that counts, or one whose name is enough to speak of it; None for a
            cost, a learning rate, and a loss that does not count.
        warnings: a sentence without a full stop each.
        doubt: why the values of some arms may not be in the unit of the others; empty where they are.
    """

    name: str
    views: tuple[View, ...]
    better: Direction | None = None
    headline: Headline | None = None
    warnings: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def is_cost(self) -> bool:
        """Whether it says what training took, and not how well it went."""
        return self.name in COSTS

    @property
    def phrase(self) -> str:
        """What it is in a sentence: `test accuracy`, `val RMSE`."""
        return _phrase(self.name, self.headline)

    @property
    def unit(self) -> str:
        return self.headline.unit if self.headline else ""

    def with_unit(self, phrase: str) -> str:
        """What it is above a column or beside an axis."""
        return f"{phrase} ({self.unit})" if self.unit else phrase

    def show(self, *values: float) -> str:
        """Values in a sentence, set against each other."""
        if self.headline is not None and self.headline.kind == "error":
            texts = [self.headline.show(value) for value in values]
        else:
            texts = [f"{value:.3f}" if abs(value) < _LARGE else f"{value:,.0f}" for value in values]
        return f"{' against '.join(texts)} {self.unit}".rstrip()


def _phrase(name: str, headline: Headline | None) -> str:
    if headline is None:
        return name.replace("_", " ")
    rows = name.removesuffix(headline.name)
    return f"{rows.replace('_', ' ')}{headline.label}"


def headlines_of(arms: Sequence[RunArm]) -> dict[str, Headline]:
    """The metric that counts in each arm, by its label, of those whose runs say which it is."""
    headlines = {arm.label: headline_of_runs([result.run for result in arm.runs]) for arm in arms}
    return {label: headline for label, headline in headlines.items() if headline is not None}


def measure_of(name: str, arms: Sequence[RunArm], mode: str = "auto") -> Measure:
    """The measure of a name.

    Args:
        name: empty for the metric that counts: on the test rows where the arms have it, else on those that validate,
            else on those that train.
        mode: whether `min` or `max` is better; `auto`: by the metric.

    Raises:
        ConfigError: no run has it; no name is there, and not the same metric counts in all arms; or which direction is
            better is not known.
    """
    headlines = headlines_of(arms)
    of_models = _metrics_of_models(arms, headlines.values())
    columns = (column for result in _runs(arms) for column in result.columns if column not in ("epoch", "step"))
    candidates = dict.fromkeys((*of_models, *COSTS, *columns))
    recorded = [candidate for candidate in candidates if any(_has(result, candidate) for result in _runs(arms))]
    name = name or _metric_that_counts(arms, headlines, recorded)
    if name not in recorded:
        expected = f"a value that the runs have: {', '.join(recorded)}"
        raise ConfigError("metric", name or "none", expected, hint=did_you_mean(name, recorded))
    counting = [headline for headline in headlines.values() if headline.name == base_name(name) and name not in COSTS]
    better = _direction(name, mode, counting)
    if counting:
        units = list(dict.fromkeys(headline.unit for headline in counting if headline.unit))
        unit = units[0] if len(units) == 1 else ""
        headline: Headline | None = replace(counting[0], direction=better or counting[0].direction, unit=unit)
    else:
        units = []
        is_named = name not in _NEUTRAL and base_name(name) != "loss"
        headline = headline_of(name, better) if is_named else None
    headline, doubt = _in_percent(name, headline, arms)
    warnings = [mode_warning(name, mode) or ""]
    warnings += [f"{name} is in different units: {', '.join(units)}"] if len(units) > 1 else []
    warnings += [doubt] if doubt else []
    is_foreign = all(result.run.command in FOREIGN for result in _runs(arms))
    models: list[ModelName] = ["final", "saved"] if name in of_models else []
    if models and any(result.value(f"refit_{name}") is not None for result in _runs(arms)):
        models.append("refit")
    views = _views(name, _phrase(name, headline), better, models, is_foreign=is_foreign)
    return Measure(name, views, better, headline, tuple(filter(None, warnings)), doubt)


def _in_percent(name: str, headline: Headline | None, arms: Sequence[RunArm]) -> tuple[Headline | None, str]:
    """The headline of a metric that is a proportion by its name, and recorded in percent in some arms.

    Returns:
        It, and what makes it doubtful: in other arms it is never above 1, as a proportion is, and the accuracy in
        percent of a network that learns nothing.
    """
    by_name = None if headline is None else headline_of(headline.name, headline.direction)
    if headline is None or by_name is None or by_name.kind != "proportion":
        return headline, ""
    percent = [arm.label for arm in arms if any(_is_in_percent(name, by_name, result) for result in arm.runs)]
    if not percent:
        return headline, ""
    others = ", ".join(arm.label for arm in arms if arm.label not in percent)
    doubt = f"{name} is in percent in {', '.join(percent)}, and never above 1 in {others}" if others else ""
    return replace(by_name, kind="score", unit=PERCENT), doubt


def _is_in_percent(name: str, by_name: Headline, result: RunResult) -> bool:
    counting = result.run.headline
    if counting.name == by_name.name and counting.unit == PERCENT:
        return True
    columns = [result.columns[name]] if name in result.columns else []
    return by_name.seen_in_columns(columns).unit == PERCENT


def _runs(arms: Sequence[RunArm]) -> list[RunResult]:
    return [result for arm in arms for result in arm.runs]


def _metrics_of_models(arms: Sequence[RunArm], headlines: Iterable[Headline]) -> list[str]:
    """The metrics that are compared as those of the final and the saved model."""
    names = dict.fromkeys([*(headline.name for headline in headlines), "loss"])
    tested = [name for result in _runs(arms) for name in (*result.final, *result.saved) if name.startswith("test_")]
    return list(dict.fromkeys([*(f"test_{name}" for name in names), *tested, *(f"train_{name}" for name in names)]))


def _has(result: RunResult, name: str) -> bool:
    return any(result.value(f"{view}{name}") is not None for view in ("", "final_", "saved_", "last_", "lowest_"))


def _metric_that_counts(arms: Sequence[RunArm], headlines: Mapping[str, Headline], recorded: Sequence[str]) -> str:
    """The name of what counts in all arms, on the rows that say the most of it; empty where nothing is known."""
    labels: dict[tuple[str, Direction], list[str]] = {}
    for label, headline in headlines.items():
        labels.setdefault((headline.name, headline.direction), []).append(label)
    if len(labels) > 1:
        counting = "; ".join(f"{name} in {', '.join(of_arms)}" for (name, _), of_arms in labels.items())
        raise ConfigError(
            "metric", "none", f"one of {', '.join(recorded)}, because not the same counts in all: {counting}"
        )
    names = [f"{rows}_{name}" for name, _ in labels for rows in ("test", "val", "train")]
    of_all = [name for name in names if all(any(_has(result, name) for result in arm.runs) for arm in arms)]
    return next(iter([*of_all, *(name for name in names if name in recorded)]), "")


def _direction(name: str, mode: str, counting: Sequence[Headline]) -> Direction | None:
    """Whether less or more of a value is better; None where neither is."""
    directions = {headline.direction for headline in counting}
    if mode == "auto" and len(directions) == 1:
        return directions.pop()
    return None if mode == "auto" and name in _NEUTRAL else resolve_direction(name, mode)


def _views(
    name: str, phrase: str, better: Direction | None, models: Sequence[ModelName], *, is_foreign: bool
) -> tuple[View, ...]:
    """
    Args:
        models: whose values they are; empty where they are of epochs, or a cost.
    """
    if name in COSTS:
        return (View("final", name, phrase, "final"),)
    if models:
        named = {"final": ("final", "final model"), "saved": ("saved", "saved model"), "refit": ("refit", "refit")}
        if is_foreign:
            # Of what something else trained, nothing is known but its epochs.
            named = {"final": ("final", "last epoch"), "saved": ("best", "best epoch")}
        return tuple(
            View(named[model][0], f"{model}_{name}", f"{phrase} of the {named[model][1]}", model) for model in models
        )
    last = View("final", f"last_{name}", f"{name} of the last epoch", "final")
    if better is None:
        return (last,)
    best = "lowest" if better == "min" else "highest"
    return (last, View("best", f"{best}_{name}", f"{name} of its best epoch"))
