"""What a recommendation says, in sentences: the rule and what to expect of it, or why there is none."""

from __future__ import annotations

from stopcli.analysis.recommend import FEWEST_RUNS, Expectation, Fold, Recommendation, flags_of
from stopcli.quantities import counted
from stopcli.report.document import code
from stopcli.stats.intervals import share_shown


def answers(recommendation: Recommendation) -> tuple[str, ...]:
    """The rule with what to expect of it, or what is missing, and how it was chosen; a sentence or two each."""
    sentences = {
        "too_few": _too_few,
        "none": _no_rule,
        "not_firm": _not_firm,
        "firm": _firm,
    }[recommendation.verdict](recommendation)
    return tuple(filter(None, (*sentences, _choices(recommendation), _on_other_experiments(recommendation))))


def conclusions(recommendation: Recommendation) -> tuple[str, ...]:
    """What else follows: what the rules beside it come to."""
    beside = recommendation.beside
    (label, patience), (_, _), (_, best) = beside.items()
    regret = f"for a mean regret of {share_text(patience.regret)} of the best value"
    return (
        f"Beside it: {label} trains {share_text(patience.cost.mean)} of the epochs {regret}. To stop at the best "
        f"epoch, which no rule knows before, would take {share_text(best.cost.mean)}.",
    )


def share_text(share: float) -> str:
    """A share as text, to a hundredth of a percent."""
    return f"{100 * share:.2f} %"


def bound_text(share: float) -> str:
    """A bound as it was asked for: 1 %, 0.5 %."""
    return f"{100 * share:g} %"


def choice_text(recommendation: Recommendation, rule: int | None) -> str:
    """A rule that was chosen by some runs; that none was, where none holds the bound on them."""
    return "no stopping" if rule is None else recommendation.rules[rule].label


def _too_few(recommendation: Recommendation) -> list[str]:
    return [
        f"Nothing is recommended: received {counted(recommendation.n, 'run')}, expected {FEWEST_RUNS} or more, such as "
        f"those of {FEWEST_RUNS} seeds. Fewer do not say how much a rule's regret varies."
    ]


def _no_rule(recommendation: Recommendation) -> list[str]:
    bound = bound_text(recommendation.within)
    sentence = (
        f"Nothing is recommended: no replayed rule that stops holds a mean regret in {recommendation.metric} within "
        f"{bound} of the best value, with its 95 % upper limit, on {counted(recommendation.n, 'run')}."
    )
    closest = _closest(recommendation)
    if closest is None:
        return [f"{sentence} None of them stops any run."]
    label, expectation = closest
    return [f"{sentence} The closest is {label}: {_cost(expectation)}, and {_regret(expectation)}."]


def _closest(recommendation: Recommendation) -> tuple[str, Expectation] | None:
    """Of the rules that stop some run, the one with the lowest limit."""
    stopping = [i for i, costs in enumerate(recommendation.results.costs) if costs.mean() < 1]
    if not stopping:
        return None
    pairs = [(recommendation.rules[i].label, recommendation.expectation(i)) for i in stopping]
    return min(pairs, key=lambda pair: (pair[1].limit or 0.0, pair[1].cost.mean))


def _not_firm(recommendation: Recommendation) -> list[str]:
    assert recommendation.rule is not None
    assert recommendation.expected is not None
    expected, bound = recommendation.expected, bound_text(recommendation.within)
    reasons = []
    if recommendation.exceeds:
        reasons.append(f"on runs left out {_regret(expected)}, which is more than {bound}")
    if recommendation.is_unstable:
        reasons.append(f"without one run another rule is chosen in {recommendation.changes} of {expected.n} cases")
    sentences = [
        f"Nothing firm: {_flags(recommendation)} is the cheapest rule that holds {bound} on all {expected.n} runs, but "
        f"{', and '.join(reasons)}. It trains {_cost(expected)}."
    ]
    if recommendation.runs_needed is not None:
        sentences.append(
            f"None of the {expected.n} runs lost anything, but as many as {share_text(1 - share_shown(expected.n))} of "
            f"all may lose, and a stop that is a little too early loses "
            f"{share_text(recommendation.results.size_of_loss)} here: {bound} takes "
            f"{recommendation.runs_needed:,} runs without a loss, or a larger --within."
        )
    return sentences


def _firm(recommendation: Recommendation) -> list[str]:
    assert recommendation.expected is not None
    expected = recommendation.expected
    return [
        f"Recommended: {_flags(recommendation)}. On runs that did not choose it, it trains {_cost(expected)}, and "
        f"{_regret(expected)}: within {bound_text(recommendation.within)}."
    ]


def _flags(recommendation: Recommendation) -> str:
    assert recommendation.rule is not None
    return code(flags_of(recommendation.rule, recommendation.replayed.options))


def _cost(expectation: Expectation) -> str:
    bounds = expectation.cost.bounds
    interval = f" (95 % interval {share_text(bounds[0])} to {share_text(bounds[1])})" if bounds else ""
    return f"{share_text(expectation.cost.mean)} of the epochs{interval}"


def _regret(expectation: Expectation) -> str:
    limit = "" if expectation.limit is None else f" and with 95 % confidence at most {share_text(expectation.limit)}"
    return f"its mean regret is {share_text(expectation.regret)} of the best value{limit}"


def _choices(recommendation: Recommendation) -> str:
    """How often which rule is chosen by all runs but one."""
    n = len(recommendation.folds)
    if not n:
        return ""
    if not recommendation.changes:
        which = choice_text(recommendation, recommendation.chosen)
        return f"Each run was left out once, and the others chose: {which} in all {n} cases."
    parts = [f"{choice_text(recommendation, rule)} in {count}" for rule, count in recommendation.choices]
    return f"Each run was left out once, and the others chose: {', '.join(parts)} of {n} cases."


def _on_other_experiments(recommendation: Recommendation) -> str:
    """What a rule that the other experiments choose comes to on one that had no part in it."""
    folds = recommendation.without_experiment
    if not folds:
        return ""
    worst = max(folds, key=_mean_regret)
    beyond = [fold.label for fold in folds if _mean_regret(fold) > recommendation.within]
    bound = bound_text(recommendation.within)
    sentence = (
        f"This is of other runs of these experiments. Of an experiment that had no part in the choice, each left out "
        f"once, the mean regret is {share_text(_mean_regret(worst))} at the most ({worst.label})"
    )
    if beyond:
        return f"{sentence}, and above {bound} in {len(beyond)} of {len(folds)}: do not expect it of other data."
    return f"{sentence}, and within {bound} in all {len(folds)}."


def _mean_regret(fold: Fold) -> float:
    return sum(fold.regrets) / len(fold.regrets)
