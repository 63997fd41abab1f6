"""What the refits of a sweep's runs say together: against the saved models, and how much their lengths vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stopcli.analysis.arms import RunArm
from stopcli.analysis.sweep import SweepResults, difference_text, headline_of_runs, mean_cell, sweep_arms
from stopcli.quantities import counted
from stopcli.report.document import Table, csv_of
from stopcli.runs.headline import Headline
from stopcli.stats.differences import NONE, Difference, difference_by_seed, too_few, writer_of_differences
from stopcli.stats.intervals import FEWEST, mean_interval
from stopcli.sweeps.plan import JobResult

_UPDATES = "refit_updates"
_TITLE = "Refit"


def with_refit(config: Any, results: SweepResults, jobs: Sequence[JobResult]) -> SweepResults:
    """A sweep's results with those of the refits of its finished runs, where it has some.

    Args:
        config: the sweep's.
    """
    arms = [arm for arm in sweep_arms(config, jobs) if arm.values(_UPDATES)]
    if not arms:
        return results
    headline = headline_of_runs([job.summary for job in jobs if job.summary])
    rows = [_values(arm, headline) for arm in arms]
    return replace(
        results,
        tables=(*results.tables, Table(_TITLE, _columns(headline), tuple(_row(arm, headline) for arm in arms))),
        files={**results.files, "refit.csv": csv_of(rows)},
        conclusions=(*results.conclusions, *_conclusions(arms, headline)),
        summary={**results.summary, "refit": rows},
    )


def _tested(arm: RunArm, model: str, headline: Headline) -> dict[int, float]:
    return arm.by_seed(f"{model}_{headline.column('test')}")


def _difference(arm: RunArm, headline: Headline) -> Difference | None:
    """The metric that counts on the test rows, of the refits less that of the saved models, seed by seed; None where no
    rows test."""
    return difference_by_seed(_tested(arm, "refit", headline), _tested(arm, "saved", headline))


def _columns(headline: Headline) -> tuple[str, ...]:
    tested = f"test {headline.axis}"
    return (
        *("arm", "runs", f"saved {tested}", f"refit {tested}", "refit less saved"),
        *("updates", "sd", "smallest", "largest"),
    )


def _row(arm: RunArm, headline: Headline) -> tuple[str, ...]:
    updates = arm.values(_UPDATES)
    interval = mean_interval(updates)
    means = []
    for model in ("saved", "refit"):
        values = list(_tested(arm, model, headline).values())
        means.append(mean_cell(mean_interval(values) if values else None, headline))
    return (
        *(arm.label, str(len(updates)), *means, difference_text(_difference(arm, headline), headline)),
        *(f"{interval.mean:,.0f}", NONE if interval.sd is None else f"{interval.sd:,.0f}"),
        *(f"{min(updates):,.0f}", f"{max(updates):,.0f}"),
    )


def _values(arm: RunArm, headline: Headline) -> dict[str, object]:
    """A row of refit.csv, in full precision."""
    updates, difference = arm.values(_UPDATES), _difference(arm, headline)
    interval = mean_interval(updates)
    return {
        "arm": arm.name,
        "n": len(updates),
        **{f"difference_{key}": getattr(difference, key, None) for key in ("n", "mean", "low", "high", "p")},
        **{f"updates_{key}": getattr(interval, key) for key in ("mean", "sd")},
        "updates_min": min(updates),
        "updates_max": max(updates),
    }


def _conclusions(arms: Sequence[RunArm], headline: Headline) -> list[str]:
    """Of each arm how its refits compare with its saved models, and how much their numbers of updates vary."""
    sentences = []
    for arm in arms:
        of_arm = f"{arm.label}: " if len(arms) > 1 else ""
        difference = _difference(arm, headline)
        if difference is not None and difference.n < FEWEST:
            sentences.append(f"{of_arm}Refit against saved: {too_few(difference.n)}")
        elif difference is not None:
            written = writer_of_differences(headline), headline.unit
            what = f"test {headline.label}"
            sentences.append(of_arm + difference.sentence("Refit", "saved model", what, headline.direction, *written))
        sentences.append(f"{of_arm}{_on_updates(arm.values(_UPDATES))}")
    return sentences


def _on_updates(updates: Sequence[float]) -> str:
    if len(updates) == 1:
        return (
            f"The saved epoch had {counted(int(updates[0]), 'update')}; several seeds would show how much that varies."
        )
    interval = mean_interval(updates)
    return (
        f"The number of updates that stopping chose varies over {counted(len(updates), 'seed')}: mean "
        f"{interval.mean:,.0f}, standard deviation {interval.sd or 0:,.0f}, from {min(updates):,.0f} to "
        f"{max(updates):,.0f}."
    )
