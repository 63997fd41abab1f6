"""What follows from a replay, in sentences: which rules keep the best epoch, and what stopping earlier costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stopcli.analysis.replay import MOST_RUNS, ExperimentResults, ReplayOptions, ReplayResults, RuleResults
from stopcli.quantities import counted
from stopcli.runs.headline import Headline
from stopcli.runs.summary import FOREIGN
from stopcli.stats.differences import Difference, difference_by_seed, writer_of_differences
from stopcli.stats.intervals import FEWEST, runs_to_show, share_shown

# Prechelt 1998: what he found over his 12 tasks.
PUBLISHED = "Prechelt (1998) found slower criteria about 4 % better on average, for about 4 times the training time"


def answers(results: ReplayResults) -> tuple[str, ...]:
    """Which patience and which rule keep the best epoch, a sentence or two each; of several experiments each by its
    name."""
    return _by_name(results, lambda experiment: _answers(experiment, results))


def conclusions(results: ReplayResults) -> tuple[str, ...]:
    """What else follows, as `answers`."""
    return _by_name(
        results, lambda experiment: (_as_good_as_all(experiment), _slow_and_fast(experiment), _not_fired(experiment))
    )


def _by_name(results: ReplayResults, of: Callable[[ExperimentResults], Sequence[str]]) -> tuple[str, ...]:
    several = len(results.experiments) > 1
    return tuple(
        f"{experiment.label}: {sentence}" if several else sentence
        for experiment in results.experiments
        for sentence in of(experiment)
        if sentence
    )


def _answers(experiment: ExperimentResults, results: ReplayResults) -> Sequence[str]:
    """The patience, the rule, and how little the runs prove of it."""
    complete = all(history.complete for history in experiment.histories)
    best = f"the best {results.selecting_rule.monitor}{'' if complete else ' on record'}"
    options = results.options
    runs = _one_or("The run", experiment.n, "Some runs")
    cut = "" if complete else f"{_why_cut(experiment, runs)}, so whether a better one would have come is not on record."
    if not options.replays_patience:
        return (cut, _cheapest(experiment, best))
    smallest = experiment.smallest_patience(options)
    if smallest is None:
        return (f"No epoch of {_one_or('the run', experiment.n, 'some runs')} counts, so no rule keeps its best.",)
    patience = (_enough(experiment, options, best), _smallest(experiment, smallest, options, best))
    rule = _cheapest(experiment, best) if len(experiment.rules) > 1 else ""
    return (cut, *patience, rule, _evidence(experiment))


def _why_cut(experiment: ExperimentResults, runs: str) -> str:
    """Why a better epoch may lie beyond what is on record."""
    if any(history.ended_early for history in experiment.histories):
        return f"{runs} ended before all epochs had run"
    return "How many epochs were planned is not on record"


def _enough(experiment: ExperimentResults, options: ReplayOptions, best: str) -> str:
    """Whether the only patience that is asked about is enough; empty where several are, or none."""
    if options.patience is None or len(set(options.patience)) > 1:
        return ""
    rule = experiment.results_of(options.patience_rule(options.patience[0]))
    runs_kept, n = rule.keeps_best, experiment.n
    verdict = "is enough: it keeps" if runs_kept == n else "is not enough: it loses"
    runs = _one_or("of the run", n, f"in all {n} runs" if runs_kept == n else f"in {n - runs_kept} of {n} runs")
    return f"{_patience_text(rule).capitalize()} {verdict} {best} {runs}."


def _smallest(experiment: ExperimentResults, smallest: RuleResults, options: ReplayOptions, best: str) -> str:
    """The smallest patience of all that keeps the best epoch in all runs, and where that is less, in nearly all."""
    n = experiment.n
    runs = _one_or("of the run", n, f"in all {n} runs")
    if smallest.not_fired == n:
        sentence = (
            f"No patience both keeps {best} {runs} and stops {_one_or('it', n, 'any of them')} before the end: "
            f"{_patience_text(smallest)}, the smallest that keeps it, never fires."
        )
    else:
        patience = _patience_text(smallest).capitalize()
        sentence = f"{patience} is the smallest that keeps {best} {runs}: it stops {_cost(smallest)}."
    most = experiment.smallest_patience(options, MOST_RUNS)
    if most is None or most.rule == smallest.rule or most.not_fired == n:
        return sentence
    runs_kept = f"{most.keeps_best} of {n} runs ({percent(most.keeps_best / n)})"
    return f"{sentence} In {runs_kept}, {_patience_text(most)} is enough: it stops {_cost(most)}."


def _evidence(experiment: ExperimentResults) -> str:
    """How much the smallest patience of some runs says of others."""
    n = experiment.n
    if n == 1:
        trained = "" if experiment.histories[0].run.command in FOREIGN else "; --seeds 5 trains five"
        return f"One run proves little: another seed may need another patience{trained}."
    shown = f"in {100 * share_shown(n):.0f} % or more of runs like these, with 95 % confidence"
    needed = runs_to_show(MOST_RUNS)
    if n >= needed:
        return f"What was enough in all {n} runs is enough {shown}."
    return f"What was enough in all {n} runs is enough {shown}; it takes {needed} runs to show 95 %."


def _patience_text(rule: RuleResults) -> str:
    return rule.label.replace("patience:", "patience ", 1)


def cheapest_rule(experiment: ExperimentResults) -> RuleResults | None:
    """Of the rules that keep the best epoch in the most runs, the one that trains the fewest epochs; None where no rule
    that stops keeps any."""
    runs_kept = max((rule.keeps_best for rule in _by_cost(experiment)), default=0)
    return next((rule for rule in _by_cost(experiment) if rule.keeps_best == runs_kept > 0), None)


def _cheapest(experiment: ExperimentResults, best: str) -> str:
    """The cheapest of the rules that keep the best epoch of all in the most runs."""
    n, rule = experiment.n, cheapest_rule(experiment)
    if rule is None:
        return f"No replayed rule that stops keeps {best} {_one_or('of the run', n, 'of any run')}."
    if rule.keeps_best == n:
        runs = _one_or("of the run", n, f"in all {n} runs")
        return f"The cheapest of the replayed rules that keep {best} {runs}: {rule.label}, {_cost(rule)}."
    runs_kept = f"{rule.keeps_best} of {n} runs ({percent(rule.keeps_best / n)})"
    return f"No replayed rule that stops keeps {best} in all {n} runs; {rule.label} does in {runs_kept}, {_cost(rule)}."


def _as_good_as_all(experiment: ExperimentResults) -> str:
    """The cheapest rule that is not distinguishably worse than training on."""
    if experiment.headline_column is None or experiment.n < FEWEST:
        return ""
    headline, base = experiment.headline, "the best epoch of all"
    what, worse = f"{experiment.headline_rows} {headline.label}", "higher" if headline.lower_is_better else "lower"
    differences = [(rule, _against_all(rule, headline)) for rule in _by_cost(experiment)]
    for rule, difference in differences:
        if difference is not None and difference.verdict(headline.direction) != "worse":
            sentence = difference.sentence(
                rule.label, base, what, headline.direction, writer_of_differences(headline), headline.unit
            )
            return (
                f"The cheapest rule whose {what} is not distinguishably {worse} than that of {base} stops "
                f"{_cost(rule)}. {sentence}"
            )
    if all(difference is None for _, difference in differences):
        return ""
    return f"Every rule that stops has a distinguishably {worse} {what} than {base}."


def _against_all(rule: RuleResults, headline: Headline) -> Difference | None:
    """The metric that counts, of the selected epoch less that of the best epoch of all; None where too few runs
    selected any."""
    difference = difference_by_seed(rule.by_seed(f"kept_{headline.name}"), rule.by_seed(f"best_{headline.name}"))
    return difference if difference is not None and difference.n >= FEWEST else None


def _slow_and_fast(experiment: ExperimentResults) -> str:
    """The dearest rule that always stops beside the cheapest, as Prechelt set slow criteria beside fast ones."""
    headline, measure = experiment.headline, f"kept_{experiment.headline.name}"
    always = [rule for rule in _by_cost(experiment) if not rule.not_fired and rule.mean(measure) is not None]
    if len(always) < 2:
        return ""
    fast, slow = always[0], always[-1]
    fast_epochs, slow_epochs = (rule.mean("epochs") or 0.0 for rule in (fast, slow))
    fast_value, slow_value = (rule.mean(measure) or 0.0 for rule in (fast, slow))
    if slow_epochs <= fast_epochs:
        return ""
    fast_value, slow_value = map(headline.as_error, (fast_value, slow_value))
    what, show = headline.label, headline.show_with_unit
    if headline.kind == "proportion":
        what, show = "error", "{:.4f}".format
    if headline.kind == "score":
        change = f"{headline.show_difference(slow_value - fast_value)}."
    elif fast_value <= 0:
        return ""
    else:
        change = f"{_relative_change(fast_value, slow_value)}. {PUBLISHED}."
    return (
        f"From the fastest rule ({fast.label}, {counted(round(fast_epochs), 'epoch')}) to the slowest that always "
        f"stops ({slow.label}, {slow_epochs:,.0f}), {slow_epochs / fast_epochs:.1f} times the epochs, the "
        f"{experiment.headline_rows} {what} of the selected epoch goes from {show(fast_value)} to {show(slow_value)}: "
        f"{change}"
    )


def _relative_change(first: float, second: float) -> str:
    """How much lower or higher the second of two values > 0 is."""
    change = (first - second) / first
    return f"{percent(abs(change))} {'lower' if change > 0 else 'higher'}" if change else "the same"


def _not_fired(experiment: ExperimentResults) -> str:
    """Which rules did not fire, and what counts as their cost."""
    labels: dict[int, list[str]] = {}
    for rule in experiment.rules:
        if rule.not_fired:
            labels.setdefault(rule.not_fired, []).append(rule.label)
    if not labels:
        return ""
    n = experiment.n
    groups = [", ".join(names) + _one_or("", n, f" in {count} of {n} runs") for count, names in labels.items()]
    sentence = f"Did not stop: {'; '.join(groups)}. All recorded epochs count as their cost"
    cut_short = {
        replay.history.run.path
        for rule in experiment.rules
        for replay in rule.runs
        if replay.ending == "beyond_recording" and replay.history.ended_early
    }
    if cut_short:
        several = "every run" if len(cut_short) == n else f"{len(cut_short)} of the runs"
        runs = _one_or("the run", n, several)
        sentence += f"; where {runs} ended before all epochs had run, the stop lies beyond what is on record"
    return f"{sentence}."


def _by_cost(experiment: ExperimentResults) -> list[RuleResults]:
    """The rules that stop in some run, the cheapest first."""
    stopping = [rule for rule in experiment.rules if rule.not_fired < experiment.n]
    return sorted(stopping, key=lambda rule: rule.mean("epochs") or 0.0)


def _cost(rule: RuleResults) -> str:
    share = 1 - (rule.mean("share_saved") or 0.0)
    average = _one_or("", len(rule.runs), " on average")
    whole = "all" if all(replay.history.complete for replay in rule.runs) else "those on record"
    return f"after {counted(round(rule.mean('epochs') or 0), 'epoch')}{average} ({percent(share)} of {whole})"


def _one_or(one: str, n: int, several: str) -> str:
    return one if n == 1 else several


def percent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.1f} %"
