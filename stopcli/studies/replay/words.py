"""What follows from replayed rules, in sentences."""

from __future__ import annotations

from stopcli.counts import counted
from stopcli.evidence.differences import Difference, paired_difference
from stopcli.evidence.interval import FEWEST
from stopcli.evidence.replay import RuleResults
from stopcli.studies.replay.replaying import ExperimentResults, ReplayResults
from stopcli.studies.replay.tables import accuracy_name, percent

# Prechelt 1998: what he found over his 12 tasks.
PUBLISHED = "Prechelt (1998) found slower criteria about 4 % better on average, for about 4 times the training time"


def conclusions(results: ReplayResults) -> tuple[str, ...]:
    """What follows, a sentence or two each; of several experiments each by its name."""
    told = []
    for experiment in results.experiments:
        name = f"{experiment.label}: " if len(results.experiments) > 1 else ""
        sentences = [_as_good_as_all(experiment), _best_kept(results, experiment), _slow_and_fast(experiment)]
        told += [name + sentence for sentence in [*sentences, _never(experiment)] if sentence]
    return tuple(told)


def _as_good_as_all(experiment: ExperimentResults) -> str:
    """The cheapest rule that is not distinguishably worse than training on."""
    accuracy = _accuracy(experiment)
    if not accuracy or experiment.n < FEWEST:
        return ""
    known = False
    for result in _by_cost(experiment):
        found = _against_all(result)
        known = known or found is not None
        if found is not None and not (found.distinguishable and found.mean < 0):
            base = "the best epoch of all"
            return (
                f"The cheapest rule whose {accuracy} is not distinguishably lower than that of {base}: "
                f"{result.rule.label}, {_cost(result)}. {found.sentence('It', base, accuracy, 'max')}"
            )
    if not known:
        return ""
    return f"Every rule that stops has a distinguishably lower {accuracy} than the best epoch of all."


def _against_all(result: RuleResults) -> Difference | None:
    """The accuracy of the kept epoch less that of the best epoch of all; None where too few runs kept any."""
    kept, best = result.pairs("kept_accuracy", "best_accuracy")
    return paired_difference(kept, best) if len(kept) >= FEWEST else None


def _best_kept(results: ReplayResults, experiment: ExperimentResults) -> str:
    """The cheapest rule after which the best epoch of all has been seen."""
    metric, best, most = results.selecting_rule.monitor, None, 0
    for result in _by_cost(experiment):
        kept = sum(regret == 0 for regret in result.values("regret"))
        if kept > most:
            best, most = result, kept
    if not _by_cost(experiment):
        return ""
    if best is None:
        return f"No rule that stops has seen the best {metric} of {_these(experiment.n, 'the run', 'any run')}."
    told = f"saw the best {metric} of all"
    if experiment.n > 1:
        told += " in every run" if most == experiment.n else f" in the most runs ({most} of {experiment.n})"
    return f"The cheapest rule that {told}: {best.rule.label}, {_cost(best)}."


def _slow_and_fast(experiment: ExperimentResults) -> str:
    """The dearest rule that always stops beside the cheapest, as Prechelt set slow criteria beside fast ones."""
    always = [result for result in _by_cost(experiment) if not result.not_fired and result.mean("kept_accuracy")]
    if len(always) < 2:
        return ""
    fast, slow = always[0], always[-1]
    cheap, dear = fast.mean("epochs") or 0.0, slow.mean("epochs") or 0.0
    error, less = 1 - (fast.mean("kept_accuracy") or 0.0), 1 - (slow.mean("kept_accuracy") or 0.0)
    if dear <= cheap or error <= 0:
        return ""
    change = (error - less) / error
    better = f"{percent(abs(change))} {'lower' if change > 0 else 'higher'}" if change else "the same"
    epochs = counted(round(cheap), "epoch")
    what = (accuracy_name(experiment)).replace(" acc.", "").replace("val.", "validation")
    return (
        f"From the fastest rule ({fast.rule.label}, {epochs}) to the slowest that always stops "
        f"({slow.rule.label}, {dear:,.0f}), {dear / cheap:.1f} times the epochs, the {what} error of the kept epoch "
        f"goes from {error:.4f} to {less:.4f}: {better}. {PUBLISHED}."
    )


def _never(experiment: ExperimentResults) -> str:
    """Which rules did not fire, and what counts as their cost."""
    labels: dict[int, list[str]] = {}
    for result in experiment.rules:
        if result.not_fired:
            labels.setdefault(result.not_fired, []).append(result.rule.label)
    if not labels:
        return ""
    groups = [
        ", ".join(names) + _these(experiment.n, "", f" in {count} of {experiment.n} runs")
        for count, names in labels.items()
    ]
    told = f"Did not stop: {'; '.join(groups)}. All recorded epochs count as the cost of that"
    beyond = {
        replay.history.run.path
        for result in experiment.rules
        for replay in result.replays
        if replay.verdict is None and not replay.history.complete
    }
    if beyond:
        several = "every run" if len(beyond) == experiment.n else f"{len(beyond)} of the runs"
        runs = _these(experiment.n, "the run", several)
        told += f"; where {runs} ended before all epochs had run, the stop lies beyond what is on record"
    return f"{told}."


def _accuracy(experiment: ExperimentResults) -> str:
    return accuracy_name(experiment).replace("acc.", "accuracy").replace("val.", "validation")


def _by_cost(experiment: ExperimentResults) -> list[RuleResults]:
    """The rules that stop in some run, the cheapest first."""
    stop = [result for result in experiment.rules if result.not_fired < experiment.n]
    return sorted(stop, key=lambda result: result.mean("epochs") or 0.0)


def _cost(result: RuleResults) -> str:
    share = 1 - (result.mean("share_saved") or 0.0)
    average = _these(len(result.replays), "", " on average")
    whole = "all" if all(replay.history.complete for replay in result.replays) else "those on record"
    return f"after {counted(round(result.mean('epochs') or 0), 'epoch')}{average} ({percent(share)} of {whole})"


def _these(n: int, one: str, several: str) -> str:
    return one if n == 1 else several
