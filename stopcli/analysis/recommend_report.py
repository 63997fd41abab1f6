"""What `stopcli recommend` leaves: tables, CSV files in full precision, the answer in sentences, a figure, a report."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stopcli.analysis.recommend import Expectation, Recommendation, expectation_of, flags_of, settings_of
from stopcli.analysis.recommend_answers import answers, bound_text, choice_text, conclusions
from stopcli.quantities import counted
from stopcli.report.document import Bullets, Document, Paragraph, Part, Picture, Section, Table, Warn, alt_text, csv_of
from stopcli.report.html import AnalysisOutput
from stopcli.report.run_report import note_on_test_rows
from stopcli.stats.differences import NONE
from stopcli.stats.intervals import MeanInterval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE = "recommendation"
_LIMIT = "at most (95 %)"
_COLUMNS = ("epochs trained (%)", "regret (%)", _LIMIT, "runs that lose")
_LEFT_OUT = "chosen by the others, on runs left out"


def _cells(expectation: Expectation) -> tuple[str, ...]:
    """The cost, the regret, its limit, and how many runs lose anything."""
    cost = expectation.cost.cell(_percent, sd=False, interval=expectation.cost.sd != 0)
    if not math.isfinite(expectation.regret):
        return (cost, NONE, NONE, f"{expectation.losing} of {expectation.n}")
    limit = NONE if expectation.limit is None else _percent(expectation.limit)
    return (cost, _percent(expectation.regret), limit, f"{expectation.losing} of {expectation.n}")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def expected_table(recommendation: Recommendation) -> Table:
    """What to expect of other runs: of the rule that is chosen, and of what nobody chose."""
    rows = []
    if recommendation.expected is not None:
        rows.append((_LEFT_OUT, recommendation.expected))
    if recommendation.chosen is not None and recommendation.rule is not None:
        # Of the runs that chose, an upper limit is none: it was chosen for it.
        chosen = replace(recommendation.expectation(recommendation.chosen), limit=None)
        rows.append((f"{recommendation.rule.label}, on the runs that chose it", chosen))
    rows += list(recommendation.beside.items())
    title = f"What to expect, by {counted(recommendation.n, 'run')}"
    return Table(title, ("rule", *_COLUMNS), tuple((label, *_cells(expectation)) for label, expectation in rows))


def rules_table(recommendation: Recommendation) -> Table:
    """A row for each rule, the cheapest first: what it came to on all runs, and whether that is within the bound."""
    costs = recommendation.results.costs.mean(axis=1)
    rows = []
    for i in sorted(range(len(costs)), key=lambda i: costs[i]):
        expectation = recommendation.expectation(i)
        rows.append((recommendation.rules[i].label, *_cells(expectation), _mark(recommendation, i, expectation)))
    columns = ("rule", *(_COLUMNS[:2]), "limit", _COLUMNS[3], f"within {bound_text(recommendation.within)}")
    return Table(f"All rules, on {counted(recommendation.n, 'run')}", columns, tuple(rows))


def _mark(recommendation: Recommendation, rule: int, expectation: Expectation) -> str:
    if rule == recommendation.chosen:
        return "yes, the cheapest"
    return "yes" if expectation.limit is not None and expectation.limit <= recommendation.within else "no"


def experiments_table(recommendation: Recommendation) -> Table:
    """A row for each experiment left out: what the others chose, and what it came to on its runs."""
    rows = tuple(
        (fold.label, choice_text(recommendation, fold.rule), *_cells(expectation_of(fold.costs, fold.regrets)))
        for fold in recommendation.without_experiment
    )
    return Table("Each experiment, by the choice of the others", ("experiment", "rule", *_COLUMNS), rows)


def rules_csv(recommendation: Recommendation) -> str:
    """A row for each rule, in full precision."""
    return csv_of(
        [
            {
                "rule": rule.label,
                "family": rule.rule.family,
                "describes": rule.rule.describe(),
                "n": recommendation.n,
                **_values(recommendation.expectation(i)),
                "chosen": i == recommendation.chosen,
            }
            for i, rule in enumerate(recommendation.rules)
        ]
    )


def folds_csv(recommendation: Recommendation) -> str:
    """A row for each run that was left out: what the others chose, and what it came to on this one."""
    rows = []
    for fold in recommendation.folds:
        (index,), (cost,), (regret,) = fold.runs, fold.costs, fold.regrets
        history = recommendation.runs[index][1]
        rows.append(
            {
                "experiment": fold.label,
                "run": history.run.path,
                "seed": history.run.seed,
                "recorded_epochs": history.epochs,
                "rule": choice_text(recommendation, fold.rule),
                "cost": cost,
                "regret": regret if math.isfinite(regret) else None,
            }
        )
    return csv_of(rows)


def _values(expectation: Expectation) -> dict[str, Any]:
    """In full precision; what is infinite, because no epoch is selected in some run, is None."""
    cost = expectation.cost
    values = {
        "cost": cost.mean,
        "cost_low": cost.low,
        "cost_high": cost.high,
        "regret": expectation.regret,
        "regret_limit": expectation.limit,
        "losing": expectation.losing,
    }
    return {name: None if value is not None and not math.isfinite(value) else value for name, value in values.items()}


def _summary(recommendation: Recommendation) -> dict[str, Any]:
    rule, options = recommendation.rule, recommendation.replayed.options
    expected = recommendation.expected
    return {
        "monitor": options.monitor,
        "select": recommendation.metric,
        "within": recommendation.within,
        "verdict": recommendation.verdict,
        "recommended": rule
        and {
            "rule": rule.label,
            "describes": rule.rule.describe(),
            "flags": flags_of(rule, options),
            "settings": settings_of(rule, options),
        },
        "expected": expected and _values(expected),
        "on_all_runs": None
        if recommendation.chosen is None
        else _values(recommendation.expectation(recommendation.chosen)),
        "beside": {label: _values(expectation) for label, expectation in recommendation.beside.items()},
        "folds": len(recommendation.folds),
        "changes": recommendation.changes,
        "choices": {choice_text(recommendation, choice): count for choice, count in recommendation.choices},
        "size_of_loss": recommendation.results.size_of_loss,
        "experiments": [
            {"label": experiment.label, "runs": [str(history.run.path) for history in experiment.histories]}
            for experiment in recommendation.replayed.experiments
        ],
        "without_experiment": [
            {
                "label": fold.label,
                "rule": choice_text(recommendation, fold.rule),
                **_values(expectation_of(fold.costs, fold.regrets)),
            }
            for fold in recommendation.without_experiment
        ],
    }


def output_of(recommendation: Recommendation) -> AnalysisOutput:
    """What a recommendation leaves in its folder."""
    expected = expected_table(recommendation)
    tables = [expected, *([experiments_table(recommendation)] if recommendation.without_experiment else [])]
    files = {"table.csv": rules_csv(recommendation)}
    if recommendation.folds:
        files["folds.csv"] = folds_csv(recommendation)
    return AnalysisOutput(
        "recommend",
        expected,
        tables,
        recommendation.warnings,
        files,
        answers(recommendation),
        conclusions(recommendation),
        _summary(recommendation),
        lambda: {FIGURE: functools.partial(_figure, recommendation)},
        lambda pictures: _document(recommendation, tables, pictures),
    )


def _document(recommendation: Recommendation, tables: Sequence[Table], pictures: Sequence[Picture]) -> Document:
    lead: list[Part] = [
        *map(Paragraph, answers(recommendation)),
        Bullets(conclusions(recommendation)),
        *(Warn(f"{warning}.") for warning in recommendation.warnings),
    ]
    rules = rules_table(recommendation)
    drawn = [Picture(picture.path, alt_text(FIGURE)) for picture in pictures]
    sections = [Section(table.title, (table,)) for table in tables]
    sections.append(Section(rules.title, (*drawn, rules)))
    sections.append(Section("How to read it", (Bullets(tuple(_notes(recommendation))),)))
    return Document("The stopping rule to use", tuple(lead), tuple(sections))


def _notes(recommendation: Recommendation) -> list[str]:
    metric, bound = recommendation.metric, bound_text(recommendation.within)
    notes = [
        "Epochs trained: as a share of those on record; all of them where a rule does not fire. Square brackets: 95 % "
        "bootstrap interval of the mean.",
        f"Regret: how much worse the best {metric} until the stop is than that of the whole record, as a share of the "
        f"latter. It is what a checkpoint by {metric} (`--checkpoint-monitor {metric}`) would lose.",
        f"Chosen is the cheapest rule whose mean regret is within {bound} (`--within`) with its one-sided 95 % upper "
        "limit: the higher one of Student's and of the bootstrap's (BCa, widened for few runs). Of a rule that lost "
        "nothing in any run it is 0, which says nothing of other runs.",
        "On runs left out: each run is left out once, the others choose, and what they choose is replayed on it. Only "
        "these runs had no part in the choice. Here the limit is no lower than the 95 % upper limit of the share of "
        "runs that lose (Clopper and Pearson) times what a run loses that does; where none has lost, what the last "
        "stop that is too early loses, of all rules, in the mean over the runs.",
        f"Firm is a rule whose limit on runs left out is within {bound}, and which is chosen in three of four cases or "
        "more.",
        "table.csv has a row for each rule, folds.csv one for each run left out, both in full precision.",
    ]
    if recommendation.without_experiment:
        notes.append(
            "Runs of one experiment are more like each other than like those of another. A run left out is of an "
            "experiment that has chosen; for other data look at the experiments left out."
        )
    chosen = [
        experiment.headline
        for experiment in recommendation.replayed.experiments
        if experiment.headline_column and experiment.histories[0].test_rows_validate
    ]
    return [*notes, *dict.fromkeys(map(note_on_test_rows, chosen))]


def _figure(recommendation: Recommendation) -> Figure:
    from stopcli.report.frontier import FrontierPoint, Panel, Reference, frontier

    points = []
    for i, (rule, costs) in enumerate(zip(recommendation.rules, recommendation.results.costs, strict=True)):
        expectation = recommendation.expectation(i)
        cost, regret = _drawn(expectation)
        points.append(
            FrontierPoint(
                rule.label,
                rule.rule.family,
                cost,
                (regret if math.isfinite(expectation.regret) else None,),
                bool((costs < 1).all()),
                is_marked=i == recommendation.chosen,
            )
        )
    expected = recommendation.expected
    is_drawn = expected is not None and math.isfinite(expected.regret)
    within = 100 * recommendation.within
    panel = Panel(
        f"regret, % of the best {recommendation.metric}",
        (within, f"--within {bound_text(recommendation.within)}"),
        linear_to=within,
    )
    return frontier(
        points,
        [panel],
        f"{counted(recommendation.n, 'run')}: what stopping rules cost, and what they lose",
        cost_name="epochs trained, % of those on record",
        interval_name="to the 95 % upper limit of the mean",
        mark_name="chosen",
        reference=Reference(_LEFT_OUT, *_drawn(expected)) if expected is not None and is_drawn else None,
    )


def _drawn(expectation: Expectation) -> tuple[MeanInterval, MeanInterval]:
    """The cost without its interval, and the regret up to its limit, both in percent."""
    n, regret, limit = expectation.n, 100 * expectation.regret, expectation.limit
    upper = None if limit is None else 100 * limit
    return (
        MeanInterval(n, 100 * expectation.cost.mean, None, None, None),
        MeanInterval(n, regret, None, None if upper is None else regret, upper),
    )
