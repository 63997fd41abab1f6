"""Rules as text: the metric behind an @, all(…) of several, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from stopcli.errors import ConfigError
from stopcli.stopping import (
    AllOf,
    GeneralizationLoss,
    Patience,
    ProgressQuotient,
    Rule,
    SmoothedRule,
    SuccessiveIncreases,
    Threshold,
)
from stopcli.stopping.combine import mode_warnings, parse_rule, rule_of_reason, rules_by_keyword


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("patience:20", Patience(20)),
        ("patience:20:0.001", Patience(20, min_delta=0.001)),
        ("patience:20:1%", Patience(20, min_delta="1%")),
        ("patience:20@val_auc", Patience(20, "val_auc")),
        ("patience:20:1%@val_rmse", Patience(20, "val_rmse", min_delta="1%")),
        ("patience:20@val_score:max", Patience(20, "val_score", "max")),
        # Not the mode of another metric.
        ("patience:20@val_loss:min", Patience(20, "val_loss", "min")),
        ("threshold:0.9@val_accuracy", Threshold(0.9, "val_accuracy")),
        ("gl:2@val_rmse", GeneralizationLoss(2.0, "val_rmse")),
        ("pq:0.75:10@val_rmse", ProgressQuotient(0.75, 10, "val_rmse", "rmse")),
        ("up:3@val_distance:min", SuccessiveIncreases(3, monitor="val_distance")),
        # Colons and parentheses are parts of some names.
        ("patience:3@loss (mm):min", Patience(3, "loss (mm)", "min")),
        ("patience:3@valid:loss", Patience(3, "valid:loss")),
        (" all( patience:20@val_loss , gl:2 ) ", AllOf((Patience(20), GeneralizationLoss(2.0)))),
    ],
)
def test_a_text_is_its_rule(text: str, rule: Rule[Any]) -> None:
    assert parse_rule(text) == rule
    smoothed = AllOf(tuple(SmoothedRule(part, 0.9) for part in rule.rules)) if isinstance(rule, AllOf) else None
    assert parse_rule(text, smooth=0.9) == (smoothed or SmoothedRule(rule, 0.9))
    assert parse_rule(text, smooth=0) == rule


def test_the_mode_is_that_of_the_monitored_metric_and_of_names_that_do_not_tell() -> None:
    monitored = ("val_score", "max")
    assert parse_rule("patience:3", *monitored) == Patience(3, "val_score", "max")
    assert parse_rule("patience:3@val_score", *monitored) == Patience(3, "val_score", "max")
    assert parse_rule("patience:3@val_other", *monitored) == Patience(3, "val_other", "max")
    assert parse_rule("patience:3@val_loss", *monitored) == Patience(3, "val_loss")
    assert parse_rule("patience:3@val_loss:max", "val_loss") == Patience(3, "val_loss", "max")
    assert parse_rule("patience:3@val_loss", "val_loss", "max") == Patience(3, "val_loss", "max")


@pytest.mark.parametrize(
    ("text", "expected", "hint"),
    [
        ("patience:3@", "a recorded metric behind @: loss, val_loss, val_score", ""),
        ("patience:3@val_los", "a recorded metric behind @: loss, val_loss, val_score", "Did you mean val_loss?"),
        ("patience:3@test_loss", "a recorded metric behind @: loss, val_loss, val_score", "Test rows choose nothing."),
        ("patience:3@val_score", "@val_score:min or @val_score:max: the name does not tell which is better", ""),
        ("patience:3@val_score:auto", "@val_score:min or @val_score:max: the name does not tell", ""),
        ("gl:2@val_score:max", "a metric that is better when lower behind @: gl compares losses", ""),
        ("pq:2@loss", "a metric of validation behind @, such as val_loss", ""),
        ("patience:3:4:5", "KIND:VALUE, such as patience:200, gl:2, pq:0.75, up:3, threshold:0.3, 'all(", ""),
        ("patience:3:-1", "a finite number ≥ 0, or a share of the best value below 100 %", ""),
        ("patience:3:100%", "a finite number ≥ 0, or a share of the best value below 100 %", ""),
        ("patince:3", "KIND:VALUE", "Did you mean patience?"),
        ("all", "'all(RULE,RULE,…)' with a single pair of parentheses (the shell needs the quotes)", ""),
        ("all(patience:3,gl:2", "'all(RULE,RULE,…)'", ""),
        ("all(patience:3,gl:2))", "'all(RULE,RULE,…)'", ""),
        ("all(patience:3,gl:2)x", "'all(RULE,RULE,…)'", ""),
        ("all(all(patience:3,gl:2),up:3)", "'all(RULE,RULE,…)'", ""),
        ("all()", "two rules or more: 'all(RULE,RULE,…)'", ""),
        ("all(patience:3)", "two rules or more", ""),
        ("all(patience:3,)", "two rules or more", ""),
        ("all(patience:3,all)", "KIND:VALUE", ""),
        ("all(patience:3,patince:4)", "KIND:VALUE", "Did you mean patience?"),
        ("any(patience:3,gl:2)", "'all(RULE,RULE,…)'", "Several rules behind --stop need no word for it"),
        ("al(patience:3,gl:2)", "'all(RULE,RULE,…)'", "Did you mean all?"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_is(text: str, expected: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rule(text, recorded=("loss", "val_loss", "val_score"))
    assert (caught.value.setting, caught.value.received) == ("stop", text)
    assert caught.value.expected.startswith(expected)
    assert caught.value.hint.startswith(hint)
    assert bool(caught.value.hint) == bool(hint)


def test_a_mode_that_contradicts_a_name_is_warned_of_once() -> None:
    rules = [parse_rule("all(patience:3@val_loss:max,threshold:1@val_loss:max)", smooth=0.5), parse_rule("gl:2")]
    assert mode_warnings(rules) == ["mode 'max' contradicts the metric 'val_loss', which is better when lower"]


def test_figures_draw_every_kind_of_rule_with_a_look_of_its_own() -> None:
    rules = rules_by_keyword()
    assert list(rules) == ["patience", "gl", "pq", "up", "threshold", "all"]
    assert len({rule.marker for rule in rules.values()}) == len(rules)
    joined = parse_rule("all(patience:3,gl:2)", smooth=0.9)
    assert (joined.family, parse_rule("gl:2", smooth=0.9).family) == ("all", "gl")
    assert rule_of_reason("all_of") is AllOf
