"""Which rule runs recommend: that a run left out has no part in the choice, and that what is stated holds on others."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded_curves import Floats, steps, valleys, walks, write_curves
from recorded_runs import write_recorded
from scipy import stats
from written_runs import write_run

from stopcli.analysis.recommend import (
    Recommendation,
    RuleCosts,
    expectation_of,
    flags_of,
    fold_without,
    parse_within,
    recommend,
    settings_of,
)
from stopcli.analysis.recommend_report import output_of
from stopcli.analysis.recorded_history import RecordedHistory
from stopcli.analysis.replay import LabelledRule, ReplayOptions
from stopcli.errors import ConfigError, RequestError
from stopcli.report.html import write_output
from stopcli.runs.typed_json import to_json
from stopcli.stopping.combine import parse_rule, smoothed

DEFAULT = ReplayOptions()


def recommended(
    curves: Sequence[Floats], options: ReplayOptions = DEFAULT, within: float = 0.01, folder: str = "runs"
) -> Recommendation:
    return recommend(write_curves(folder, curves), options, within)


def label_of(recommendation: Recommendation) -> str:
    assert recommendation.rule is not None
    return recommendation.rule.label


def test_the_cheapest_rule_within_the_bound_is_chosen_by_its_limit_and_not_by_its_mean() -> None:
    # Of 12 runs patience 5 loses 4 % in two, so 0.67 % in the mean; its limit is above 1 %. Patience 20 loses nothing.
    curves = [steps(30, 0.04) if i < 2 else steps(3, 0.04) for i in range(12)]
    recommendation = recommended(curves, ReplayOptions(patience=(0, 5, 40, 60)))
    cheap = recommendation.expectation(1)
    assert (cheap.regret, cheap.losing) == (pytest.approx(0.04 * 2 / 12, rel=1e-4), 2)
    losses = np.array([0.04] * 2 + [0.0] * 10)
    student = stats.ttest_1samp(losses, 0, alternative="less").confidence_interval(0.95).high
    assert cheap.limit is not None
    assert cheap.limit >= student * (1 - 1e-4) > 0.01 > cheap.regret
    assert label_of(recommendation) == "patience:40"
    assert recommendation.expectation(2).cost.mean == pytest.approx((2 * 70 + 10 * 43) / 12 / 100)
    assert label_of(recommended(curves, ReplayOptions(patience=(0, 5, 40)), 0.03, "again")) == "patience:5"


def test_a_run_that_changes_the_choice_has_no_part_in_its_own_regret() -> None:
    # Patience 10 loses 30 % in the last run alone. With that run patience 60 is chosen; without it patience 10, whose
    # regret is then that of the run left out.
    curves = [*[steps(4, 0.05)] * 9, steps(50, 0.3)]
    recommendation = recommended(curves, ReplayOptions(patience=(10, 60)))
    assert label_of(recommendation) == "patience:60"
    assert [fold.rule for fold in recommendation.folds] == [1] * 9 + [0]
    regrets = [regret for fold in recommendation.folds for regret in fold.regrets]
    costs = [cost for fold in recommendation.folds for cost in fold.costs]
    assert regrets == [0.0] * 9 + [pytest.approx(0.3, rel=1e-4)]
    assert costs == [pytest.approx(0.64)] * 9 + [pytest.approx(0.11)]
    assert recommendation.changes == 1
    expected = recommendation.expected
    assert expected is not None
    assert (expected.regret, expected.losing) == (pytest.approx(0.03, rel=1e-4), 1)
    # On the runs that chose it, it lost nothing.
    assert recommendation.expectation(1).regret == 0
    assert recommendation.verdict == "not_firm"
    output = output_of(recommendation)
    assert output.answers[0].startswith("Nothing firm: `--patience 60` is the cheapest rule that holds 1 % on all 10 ")
    assert "patience:60 in 9, patience:10 in 1 of 10 cases" in output.answers[1]
    (*_, last) = csv.DictReader(output.files["folds.csv"].splitlines())
    assert (last["seed"], last["rule"]) == ("9", "patience:10")
    assert float(last["regret"]) == regrets[-1]


def test_every_rule_is_replayed_once_on_every_run_whatever_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    replays = []
    replay = RecordedHistory.replay

    def counted_replay(history: RecordedHistory, rule: Any) -> Any:
        replays.append((history.run.seed, rule))
        return replay(history, rule)

    monkeypatch.setattr(RecordedHistory, "replay", counted_replay)
    recommendation = recommended(valleys(8))
    assert len(recommendation.folds) == 8
    assert len(replays) == len(set(replays)) == 8 * len(recommendation.rules)


def test_what_is_stated_is_what_other_runs_come_to() -> None:
    population = recommended(valleys(400)).results
    draws = np.random.default_rng(0)
    stated, others, held, wrongly_firm = [], [], [], []
    for _ in range(25):
        chosen_by, fresh = np.split(draws.permutation(400), [30])
        results = RuleCosts(population.costs[:, chosen_by], population.regrets[:, chosen_by])
        rule = results.choose(np.arange(30), 0.01)
        folds = [fold_without(results, "", [i], 0.01) for i in range(30)]
        regrets, costs = ([getattr(fold, name)[0] for fold in folds] for name in ("regrets", "costs"))
        expected = expectation_of(costs, regrets, results.size_of_loss)
        assert rule is not None
        assert expected.limit is not None
        fresh_regret, fresh_cost = population.regrets[rule, fresh].mean(), population.costs[rule, fresh].mean()
        stated.append((expected.regret, expected.cost.mean))
        others.append((fresh_regret, fresh_cost))
        held.append(fresh_regret <= expected.limit)
        wrongly_firm.append(expected.limit <= 0.01 < fresh_regret)
    # The limit of a rule that was chosen for it is held in fewer cases than 95 %; a firm one is hardly ever wrong.
    assert np.mean(stated, axis=0) == pytest.approx(np.mean(others, axis=0), rel=0.15)
    assert np.mean(held) >= 0.75
    assert sum(wrongly_firm) <= 1


@pytest.mark.parametrize("runs", [5, 10, 30])
def test_nothing_firm_is_recommended_by_random_walks(runs: int) -> None:
    verdicts = []
    for seed in range(6):
        recommendation = recommended(walks(runs, seed), folder=f"walks-{seed}")
        verdicts.append(recommendation.verdict)
        output = output_of(recommendation)
        assert output.answers[0].startswith(("Nothing firm: ", "Nothing is recommended: no replayed rule that stops "))
        if recommendation.verdict == "not_firm":
            assert recommendation.exceeds or recommendation.is_unstable
            assert recommendation.exit_status == 4
        else:
            assert recommendation.exit_status == 3
    assert set(verdicts) <= {"not_firm", "none"}


def test_a_rule_that_has_never_lost_may_lose_in_other_runs() -> None:
    # Patience 20 keeps the best epoch of each; patience 5 loses half of the value in each.
    recommendation = recommended([steps(12, 0.5)] * 10, ReplayOptions(patience=(5, 20)))
    expected = recommendation.expected
    assert expected is not None
    assert (label_of(recommendation), expected.regret, expected.losing) == ("patience:20", 0.0, 0)
    # As many of all runs as this lose with a probability of 5 % nothing in ten.
    assert expected.limit == pytest.approx((1 - 0.05 ** (1 / 10)) * 0.5, rel=1e-4)
    assert recommendation.verdict == "not_firm"
    assert recommendation.runs_needed == np.ceil(np.log(0.05) / np.log(1 - 0.01 / 0.5))
    assert (
        "None of the 10 runs lost anything, but as many as 25.89 % of all may lose"
        in output_of(recommendation).answers[1]
    )
    small = recommended([steps(12, 0.02)] * 10, ReplayOptions(patience=(5, 20)), folder="small")
    assert small.verdict == "firm"


def test_fewer_than_five_runs_recommend_nothing_and_the_rules_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    recommendation = recommended(valleys(4))
    assert (recommendation.verdict, recommendation.exit_status, recommendation.rule) == ("too_few", 4, None)
    folder, summary = write_output(output_of(recommendation), root=Path("runs"))
    results = to_json(summary)
    assert results["conclusions"][0].startswith("Nothing is recommended: received 4 runs, expected 5 or more")
    assert (results["recommended"], results["expected"], results["folds"]) == (None, None, 0)
    assert "--seeds 8" in (folder / "report.md").read_text()
    assert not (folder / "folds.csv").exists()
    assert len((folder / "table.csv").read_text().splitlines()) == 1 + len(recommendation.rules)


def test_a_choice_that_changes_without_a_run_is_not_firm() -> None:
    results = RuleCosts(np.array([[0.1] * 8, [0.5] * 8]), np.array([[0.004, 0.012] * 4, [0.0] * 8]))
    every = np.arange(8)
    # The limit of the first is near the bound: it is within it only without some of the runs.
    bound = 0.0109
    assert results.choose(every, bound) == 1
    choices = [results.choose(np.delete(every, i), bound) for i in range(8)]
    assert choices == [1, 0] * 4


def test_of_rules_that_cost_the_same_the_one_with_the_least_regret_is_chosen() -> None:
    results = RuleCosts(np.full((3, 6), 0.25), np.array([[0.001] * 6, [0.0] * 6, [0.002] * 6]))
    assert results.choose(np.arange(6), 0.01) == 1
    # A rule that stops nothing is none.
    assert RuleCosts(np.ones((1, 6)), np.zeros((1, 6))).choose(np.arange(6), 0.01) is None


def test_a_rule_after_which_no_epoch_is_selected_is_not_chosen() -> None:
    curves = [steps(3, 0.05)] * 6
    paths = write_curves("runs", curves)
    # Measured every tenth epoch, the metric that selects has no value when patience 1 stops.
    recommendation = recommend(paths, ReplayOptions(patience=(1, 30), start_from_epoch=0), 0.01)
    infinite = RuleCosts(recommendation.results.costs, np.array([[np.inf] * 6, [0.0] * 6]))
    assert infinite.choose(np.arange(6), 0.01) == 1
    assert infinite.size_of_loss == 0


def test_no_rule_within_the_bound_says_which_is_the_closest() -> None:
    recommendation = recommended([steps(90, 0.5)] * 6, ReplayOptions(patience=(0, 5)))
    assert (recommendation.verdict, recommendation.exit_status) == ("none", 3)
    output = output_of(recommendation)
    assert "no replayed rule that stops holds a mean regret in val_loss within 1 %" in output.answers[0]
    assert "The closest is patience:0: " in output.answers[0]
    expected = recommendation.expected
    assert expected is not None
    assert (expected.cost.mean, expected.regret) == (1.0, 0.0)


def test_an_experiment_left_out_is_measured_by_the_choice_of_the_others() -> None:
    # Of the first data set patience 10 is enough, of the second one patience 40.
    first = write_curves("first", [steps(4, 0.05)] * 12, hidden=10)
    second = write_curves("second", [steps(30, 0.3)] * 6, hidden=20)
    recommendation = recommend([*first, *second], ReplayOptions(patience=(10, 40)), 0.01)
    assert label_of(recommendation) == "patience:40"
    # Left out one by one, runs of the second data set still have others of it among those that choose.
    assert {fold.rule for fold in recommendation.folds} == {1}
    one, other = recommendation.without_experiment
    assert (one.rule, other.rule) == (1, 0)
    assert other.regrets == tuple([pytest.approx(0.3, rel=1e-4)] * 6)
    output = output_of(recommendation)
    assert "and above 1 % in 1 of 2: do not expect it of other data." in output.answers[-1]
    assert [row[1] for row in output.tables[1].rows] == ["patience:40", "patience:10"]
    assert len(output.summary["without_experiment"]) == 2


def test_beside_it_stand_patience_10_no_stopping_and_the_best_epoch() -> None:
    recommendation = recommended([steps(30, 0.1)] * 6, ReplayOptions(patience=(40,), rules=()))
    patience, whole, best = recommendation.beside.values()
    assert list(recommendation.beside) == ["patience:10", "no stopping", "stop at the best epoch"]
    assert (patience.cost.mean, patience.regret) == (pytest.approx(0.11), pytest.approx(0.1, rel=1e-4))
    assert (whole.cost.mean, whole.regret, best.cost.mean, best.regret) == (1.0, 0.0, pytest.approx(0.3), 0.0)


@pytest.mark.parametrize(
    ("text", "smooth", "flags"),
    [
        ("patience:120", 0.0, "--patience 120"),
        ("patience:20:1%", 0.9, "--patience 20 --min-delta 1% --smooth 0.9"),
        ("patience:20@val_accuracy", 0.0, "--patience 20 --monitor val_accuracy"),
        ("patience:20@val_score:max", 0.0, "--patience 20 --monitor val_score --mode max"),
        ("gl:2", 0.5, "--stop gl:2 --smooth 0.5"),
        ("all(patience:20,gl:2)", 0.0, "--stop 'all(patience:20,gl:2)'"),
    ],
)
def test_a_rule_is_written_as_options_of_a_command(text: str, smooth: float, flags: str) -> None:
    rule = LabelledRule(text, parse_rule(text)).smoothed(smooth)
    options = ReplayOptions(monitor="val_loss")
    assert flags_of(rule, options) == flags
    settings = settings_of(rule, options)
    assert settings.get("smooth", 0.0) == smooth
    if "patience" in settings:
        again = parse_rule(
            f"patience:{settings['patience']}:{settings.get('min_delta', 0)}@{settings['monitor']}"
            + (f":{settings['mode']}" if "mode" in settings else "")
        )
    else:
        again = parse_rule(settings["stop"][0])
    assert smoothed(again, smooth) == rule.rule


def test_the_next_command_trains_by_the_rule_that_is_recommended() -> None:
    paths = write_curves("trained", valleys(30), patience=300, stop=["gl:50"])
    recommendation = recommend(paths, ReplayOptions(patience=(5, 10, 20, 50)), 0.01)
    folder, _ = write_output(output_of(recommendation), root=Path("runs"))
    report = (folder / "report.md").read_text()
    command = re.search(r"^stopcli moons .*$", report, re.MULTILINE)
    assert command is not None
    assert flags_of(recommendation.rule, recommendation.replayed.options) in command[0]  # type: ignore[arg-type]
    assert "gl:50" not in command[0]
    assert "300" not in command[0]


def test_regret_is_of_the_metric_that_counts_where_runs_have_no_loss() -> None:
    paths = [write_recorded(f"run-{seed}", seed=seed, lowest=20 + seed, unit="°C") for seed in range(6)]
    recommendation = recommend(paths, ReplayOptions(monitor="val_rmse", patience=(5, 10)), 0.01)
    assert recommendation.metric == "val_rmse"
    assert flags_of(recommendation.rule, recommendation.replayed.options) == "--patience 5 --monitor val_rmse"  # type: ignore[arg-type]


def test_runs_in_which_not_the_same_metric_counts_are_refused() -> None:
    write_recorded("rmse")
    mae = {"name": "mae", "direction": "min", "kind": "error", "unit": ""}
    t = np.arange(1.0, 61)
    columns = {"epoch": t, "step": t, "loss": 1 / t, "val_loss": 1 / t, "val_mae": 1 / t}
    write_recorded("mae", seed=1, headline=mae, columns=columns)
    paths = [Path("rmse"), Path("mae")]
    with pytest.raises(
        RequestError, match=r"not the same metric counts \(rmse in .*; mae in .*\), expected runs of one"
    ):
        recommend(paths, DEFAULT, 0.01)
    assert recommend(paths, ReplayOptions(monitor="val_loss"), 0.01).verdict == "too_few"


def test_a_best_value_of_0_is_refused_because_nothing_is_a_share_of_it() -> None:
    loss = np.abs(np.arange(100.0) - 50)
    with pytest.raises(RequestError, match="runs/seed-0: its best val_loss is 0, of which no regret is a share"):
        recommended([np.where(np.arange(100) == 5, 100, loss)] * 5, ReplayOptions(patience=(0,)))


def test_a_metric_of_the_rows_that_train_is_warned_about_and_missing_validation_refused() -> None:
    t = np.arange(1.0, 61)
    paths = [
        write_run(f"run-{seed}", seed=seed, epochs=60, columns={"epoch": t, "step": t, "loss": 1 / t})
        for seed in range(5)
    ]
    with pytest.raises(
        RequestError, match="received 'val_loss', expected a metric that run-0 has recorded: loss"
    ) as error:
        recommend(paths, DEFAULT, 0.01)
    assert "not validated" in error.value.hint
    recommendation = recommend(paths, ReplayOptions(monitor="loss"), 0.01)
    assert any("loss is of the rows that train" in warning for warning in recommendation.warnings)


@pytest.mark.parametrize("text", ["0", "0%", "-1%", "1", "100%", "5", "nan", "inf", "a little", "", "%"])
def test_a_bound_that_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a share of the best value above 0 and below 100 %"):
        parse_within(text)


def test_a_bound_is_a_share_as_a_number_or_in_percent() -> None:
    assert [parse_within(text) for text in ("1%", "0.01", "2.5%", "0.999")] == [0.01, 0.01, 0.025, 0.999]
