"""What a comparison says of looking after every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import integrate, stats
from written_comparisons import rows_of, written
from written_runs import write_run, write_sweep

from stopcli.analysis.compare import CompareResults, compare
from stopcli.analysis.compare_decisions import decision_figures, note_on_panels
from stopcli.analysis.compare_report import tables_of
from stopcli.analysis.decisions import more_seeds
from stopcli.errors import ConfigError
from stopcli.stats.sequential import seeds_needed

BASE = [0.90, 0.91, 0.89, 0.92, 0.90, 0.91, 0.90, 0.93]
BETTER = [0.93, 0.95, 0.92, 0.93, 0.94, 0.94, 0.93, 0.95]
OTHER = [0.91, 0.89, 0.90, 0.91, 0.92, 0.90, 0.91, 0.92]


def compared(arms: Mapping[str, Sequence[float]], **options: Any) -> CompareResults:
    """Sweeps of one arm each, with these accuracies of the final models; those of the saved ones are all 0.95."""
    for index, (name, accuracies) in enumerate(arms.items()):
        write_sweep(name, {name: accuracies}, **{name: {"patience": 5 + index}})
    return compare([Path(name) for name in arms], **options)


def decided(results: CompareResults) -> list[str]:
    differences = tables_of(results)[1]
    assert differences.columns[-1] == "decided"
    return [row[-1] for row in differences.rows]


def evidence_against(mean: float, differences: Sequence[float]) -> float:
    """The Bayes factor, by integrating over effect sizes of N(0, 1) how likely the t of the differences is."""
    n, t = len(differences), float(stats.ttest_1samp(differences, mean).statistic)
    likely, _ = integrate.quad(
        lambda effect: stats.nct.pdf(t, n - 1, effect * n**0.5) * stats.norm.pdf(effect), -8, 8, points=[0.0]
    )
    return float(likely / stats.t.pdf(t, n - 1))


@pytest.mark.rendered
def test_what_looking_after_every_seed_would_have_decided_is_said_and_left() -> None:
    results = compared({"none": BASE, "p200": BETTER})
    assert decided(results) == ["after 6 seeds: better", "after 4 seeds: equal"]
    folder, summary = written(results)
    row = rows_of(folder / "table.csv")[1]
    differences = [ours - theirs for ours, theirs in zip(BETTER, BASE, strict=True)]
    bounds = [float(row[f"final_difference_anytime_{end}"]) for end in ("low", "high")]
    assert bounds[0] < sum(differences) / 8 < bounds[1]
    assert [evidence_against(bound, differences) for bound in bounds] == pytest.approx([20, 20], rel=1e-4)
    # The first look at which the evidence against 0 is that strong.
    evidence = [evidence_against(0.0, differences[:n]) for n in (5, 6)]
    assert evidence[0] < 20 <= evidence[1]
    assert (row["final_difference_decided"], row["final_difference_decided_verdict"]) == ("6", "better")
    looks = rows_of(folder / "decisions.csv")
    assert [(look["view"], look["n"], look["seed"]) for look in looks] == [
        (view, str(seed + 1), str(seed)) for view in ("final", "saved") for seed in range(8)
    ]
    assert [look["outcome"] for look in looks[:8]] == ["undecided"] * 5 + ["higher"] * 3
    final, saved = (difference["sequential"] for difference in summary["differences"])
    assert (final["verdict"], final["decided"], final["seeds"]) == ("better", 6, list(range(8)))
    assert (final["last"]["low"], final["last"]["high"]) == pytest.approx(bounds)
    assert (saved["outcome"], saved["decided"], saved["more_seeds"]) == ("equal", 4, None)
    sentences = [text for text in summary["conclusions"] if text.startswith("Looked at after every seed, ")]
    assert [text.split("; ")[0] for text in sentences] == [
        "Looked at after every seed, p200 against none: better, decided after 6 seeds",
        "Looked at after every seed, p200 against none: equal for practical purposes, decided after 4 seeds",
    ]
    assert (folder / "plots" / "decisions.svg").is_file()
    report = (folder / "report.md").read_text()
    assert "`decided` says what somebody who had looked after every seed" in report
    assert "The mean difference against the number of seeds" in report
    # Nor would more seeds tell the saved models apart.
    assert "stopcli replay none p200" in report
    assert "Train more seeds" not in report


def test_of_an_undecided_comparison_it_says_how_many_more_seeds_would_tell() -> None:
    results = compared({"none": BASE, "other": OTHER})
    assert decided(results)[0] == "undecided"
    needed = seeds_needed([ours - theirs for ours, theirs in zip(OTHER, BASE, strict=True)], 0.01)
    assert needed is not None
    assert needed.more is not None
    # A seed of both takes two times 0.4 s.
    duration = f"about {needed.more * 0.8:.1f}s of training"
    (sentence,) = [text for text in results.conclusions() if "undecided" in text]
    assert sentence.startswith("Looked at after every seed, other against none: undecided after 8 seeds; test accuracy")
    assert f"At this spread {needed.more} more seeds would tell a difference of 0.0100 (80% power; " in sentence
    assert duration in sentence
    # What is larger takes fewer.
    larger = compare([Path("none"), Path("other")], resolve="2%").comparisons[0].decision
    assert larger is not None
    assert larger.needed is not None
    assert larger.needed.effect == pytest.approx(0.02 * sum(BASE) / 8)
    assert larger.needed.more is not None
    assert larger.needed.more < needed.more


def test_how_long_it_takes_is_not_said_where_it_is_not_known() -> None:
    needed = seeds_needed([-0.02, 0.01, 0.0, 0.02, 0.01], 0.01)
    assert "training" not in more_seeds(needed, str, None)
    assert "about 32s of training." in more_seeds(needed, str, 2.0)


def test_the_more_arms_are_compared_the_more_seeds_it_takes() -> None:
    four = [0.9] * 4
    two = compared({"a": four, "b": [0.93] * 4})
    write_sweep("c", {"c": four}, c={"patience": 9})
    three = compare([Path("a"), Path("b"), Path("c")])
    assert decided(two) == ["after 4 seeds: better", "after 4 seeds: equal"]
    assert decided(three) == ["undecided"] * 4


def test_what_a_cost_has_to_differ_by_is_a_share_of_it_and_neither_direction_is_better() -> None:
    for seed in range(6):
        write_run(f"none/{seed}", seed=seed, epochs=400, patience=None)
        write_run(f"p200/{seed}", seed=seed, epochs=100 + seed, patience=200)
    results = compare(sorted(Path().glob("*/*")), metric="epochs")
    assert decided(results) == ["after 5 seeds: lower"]
    (decision,) = (decision for _, decision in results.decisions())
    assert decision.test is not None
    assert decision.test.looks[-1].margin == pytest.approx(4.0)


@pytest.mark.parametrize(("first", "seeds"), [(10, 4), (0, 1)])
def test_without_two_pairs_there_is_nothing_to_look_at(first: int, seeds: int) -> None:
    for seed in range(seeds):
        write_run(f"a/{seed}", seed=seed, patience=5, accuracy=BASE[seed])
        write_run(f"b/{seed}", seed=first + seed, patience=6, accuracy=BETTER[seed])
    results = compare(sorted(Path().glob("*/*")))
    assert tables_of(results)[1].columns[-1] == "verdict"
    folder, summary = written(results)
    assert [difference["sequential"] for difference in summary["differences"]] == [None, None]
    assert not (folder / "decisions.csv").exists()
    assert rows_of(folder / "table.csv")[1]["final_difference_decided_verdict"] == ""


def test_nothing_is_said_or_drawn_of_seeds_that_are_too_few_to_decide_anything() -> None:
    results = compared({"a": BASE[:2], "b": BETTER[:2]})
    assert decided(results) == ["undecided", "undecided"]
    assert not any("Looked at" in text for text in results.conclusions())
    assert decision_figures(results) == {}
    # Of one comparison, five seeds are enough.
    assert decision_figures(compared({"c": BASE[:5], "d": BETTER[:5]})).keys() == {"decisions"}


def test_decisions_on_many_arms_are_summed_up_and_the_first_are_drawn() -> None:
    arms = {f"a{i}": [value + (0.2 if i > 5 else 0.0) for value in BASE[i:] + BASE[:i]] for i in range(8)}
    results = compared({"base": [0.5] * 8, **arms, "mixed": [0.3, 0.7] * 4})
    final, saved = results.conclusions()
    assert final == (
        "Looked at after every seed, test accuracy of the final model of 9 against base: 8 better (a0, a1, a2, a3, a4, "
        "a5, a6, a7); 1 undecided (mixed)."
    )
    assert saved.startswith("Looked at after every seed, test accuracy of the saved model of 9 against base: 9 equal")
    assert note_on_panels(results) == ["The figure of decisions shows the first 14 of 18 comparisons."]
    assert len(decision_figures(results)["decisions"]().axes) == 14


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "", "x", "100%", "1%%"])
def test_a_difference_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"resolve: received .*, expected a number > 0, a share of the baseline"):
        compare([Path("nowhere"), Path("there")], resolve=text)
