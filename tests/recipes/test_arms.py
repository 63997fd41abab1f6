"""What sweeps say of arms before all of their runs have finished: whole comparisons alone, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from job_results import cells, job_result, result, without

from stopcli.analysis.sweep import not_finished
from stopcli.configs.base import parse, resolve
from stopcli.configs.clr import ClrConfig
from stopcli.configs.cutout_sweep import CutoutSweepConfig
from stopcli.recipes.base import recipe_of
from stopcli.runs.run import Run
from stopcli.sweeps.plan import JobResult, plan_jobs

CUTOUT = parse(CutoutSweepConfig, {"dataset": "digits", "m": (2, 4), "seeds": 3})
CLR = resolve(ClrConfig, {"dataset": "digits", "seeds": 2, "scale": "quick"})
SECONDS = {"simple": 10.0, "m2": 20.0, "m4": 40.0}


def results(config: Any = CUTOUT) -> list[JobResult]:
    """Of all runs of a sweep: the more an arm costs, the lower its error; each seed a little slower than the last."""
    jobs = plan_jobs(config)
    arms = list(dict.fromkeys(job.arm for job in jobs))
    return [
        result(job, 0.5 - 0.1 * arms.index(job.arm), SECONDS.get(job.arm, 10.0) + job.config.seed**2) for job in jobs
    ]


def conclusions(config: Any, jobs_done: Sequence[JobResult]) -> tuple[str, ...]:
    return recipe_of(config.command).sweep_results(config, jobs_done).conclusions


def pareto(jobs_done: Sequence[JobResult]) -> dict[str, str]:
    return {arm: row["Pareto"] for arm, row in cells(CUTOUT, jobs_done).items()}


def test_without_a_finished_baseline_there_is_no_ratio_and_none_of_another_arm() -> None:
    jobs_done = without(results(), "simple-seed0", "simple-seed1", "simple-seed2", "m2-seed2")
    table = cells(CUTOUT, jobs_done)
    assert {arm: row["cost ratio"] for arm, row in table.items()} == {"simple": "–", "M = 2": "–", "M = 4": "–"}
    # Published are multiples of simple, whatever has finished here.
    assert [row["published ratio"] for row in table.values()] == ["1.00", "1.20", "1.89"]
    assert conclusions(CUTOUT, jobs_done) == (
        "No run of simple, which the others are compared with, has finished: there are no differences and no cost "
        "ratios.",
        "The Pareto front is over seeds 0, 1, which every arm with runs has finished.",
    )


def test_ratios_are_of_the_same_seed_and_show_their_spread() -> None:
    table = cells(CUTOUT, results())
    ratios = [20 / 10, 21 / 11, 24 / 14]
    assert table["M = 2"]["cost ratio"] == f"{sum(ratios) / 3:.2f} ± 0.15"
    assert table["simple"]["cost ratio"] == "1.00"
    alone = without(results(), "m2-seed0", "m2-seed2", "simple-seed1")
    assert cells(CUTOUT, alone)["M = 2"]["cost ratio"] == "–"


def test_the_pareto_front_is_over_the_seeds_that_all_arms_have() -> None:
    # By seed 0 alone M = 4 is worth its cost; over all of its own runs M = 2 looks as good for less.
    jobs = plan_jobs(CUTOUT)
    errors = {"simple": [0.5, 0.5, 0.5], "m2": [0.4, 0.2, 0.2], "m4": [0.3, 0.3, 0.3]}
    jobs_done = [result(job, errors[job.arm][job.config.seed], SECONDS[job.arm]) for job in jobs]
    assert pareto(jobs_done) == {"simple": "yes", "M = 2": "yes", "M = 4": ""}
    thin = without(jobs_done, "m4-seed1", "m4-seed2")
    assert pareto(thin) == {"simple": "yes", "M = 2": "yes", "M = 4": "yes"}
    assert conclusions(CUTOUT, thin)[-1] == "The Pareto front is over seed 0, which every arm with runs has finished."
    none = without(thin, "m2-seed0")
    assert pareto(none) == {"simple": "–", "M = 2": "–", "M = 4": "–"}
    assert conclusions(CUTOUT, none)[-1].startswith(
        "There is no Pareto front, because no seed has finished in every arm"
    )


def test_few_runs_are_compared_over_the_seeds_that_all_have() -> None:
    jobs_done = without(results(), "simple-seed2", "m2-seed2", "m4-seed1", "m4-seed2")
    assert conclusions(CUTOUT, jobs_done)[0] == (
        "Not distinguishable at n = 2: fewer than 3 seeds give no interval. In seed 0 the lowest error at the end is "
        "that of M = 4, 0.300, against 0.500 of simple at 4.00 times its training; --seeds 5 or more would show "
        "whether that is more than chance."
    )


def test_what_has_not_run_is_said_by_arm_and_seed() -> None:
    jobs_done = without(results(), "m2-seed2", "m4-seed0", "m4-seed1", "m4-seed2")
    jobs_done[1] = job_result(jobs_done[1].job, "paused", "time_budget=9s")
    assert not_finished(CUTOUT, jobs_done) == (
        "Not finished: simple (seed 1 paused); M = 2 (seed 2 not begun); M = 4 (seeds 0 to 2 not begun)."
    )
    assert not_finished(CUTOUT, results()) == ""


def test_policies_without_a_finished_reference_differ_by_nothing() -> None:
    jobs_done = without(results(CLR), "constant-seed0", "constant-seed1")
    differences = {value for row in cells(CLR, jobs_done).values() for name, value in row.items() if "against" in name}
    assert differences == {"–"}
    assert conclusions(CLR, jobs_done) == (
        "No run of constant, which the others are compared with, has finished: there are no differences.",
    )


@pytest.mark.parametrize("config", [CUTOUT, CLR], ids=["cutout-sweep", "clr"])
def test_an_arm_has_its_colour_in_every_figure_whatever_has_finished(
    config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stopcli.report.curves import arm_look

    jobs_done, first = results(config), plan_jobs(config)[0].arm
    indices = {job.arm: i for i, job in enumerate(plan_jobs(config)[:: config.seeds])}
    del indices[first]
    thin = without(jobs_done, *(job.name for job in plan_jobs(config) if job.arm == first))
    looks = {label: arm_look(index)[0] for label, index in indices.items()}
    assert colours(config, thin, monkeypatch) == {config.arm_label(arm): colour for arm, colour in looks.items()}


def colours(config: Any, jobs_done: Sequence[JobResult], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The colour of each arm by its label, which has to be the same for its lines and points in all figures."""
    import numpy as np
    from matplotlib.colors import to_hex

    columns = {name: np.linspace(1.0, 0.5, 3) for name in ("loss", "val_loss", "val_accuracy", "learning_rate")}
    columns |= {name: np.arange(1.0, 4.0) for name in ("epoch", "step")}
    monkeypatch.setattr(Run, "metrics", columns)
    monkeypatch.setattr("stopcli.recipes.clr.read_metrics", lambda path: columns)
    drawn: dict[str, set[str]] = {}
    for draw in recipe_of(config.command).sweep_figures(config, jobs_done).values():
        for axes in draw().axes:
            title = axes.get_title(loc="left")
            for line in axes.get_lines():
                drawn.setdefault((title or str(line.get_label())).split(" (")[0], set()).add(to_hex(line.get_color()))
            for text in axes.texts:
                (points,) = [drawing for drawing in axes.collections if tuple(drawing.get_offsets()[0]) == text.xy]
                drawn.setdefault(text.get_text(), set()).add(to_hex(points.get_facecolor()[0]))
    labels = {config.arm_label(result.job.arm) for result in jobs_done}
    assert all(len(drawn[label]) == 1 for label in labels & drawn.keys()), drawn
    return {label: drawn[label].pop().upper() for label in drawn.keys() & labels}
