"""Rules that are evaluated only where cycles end."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.errors import ConfigError
from stopcli.stopping import AtCycleEnds, NonFinite, Patience, RuleRunner, Threshold, rule_from_dict


@given(
    st.lists(st.floats(0, 10, width=32), min_size=1, max_size=80),
    st.integers(0, 8),
    st.integers(1, 40),
    st.integers(1, 12),
)
def test_it_stops_at_the_first_cycle_s_end_at_which_the_rule_would_stop(
    values: list[float], patience: int, cycle: int, steps_per_epoch: int
) -> None:
    rule, judge = Patience(patience), RuleRunner(AtCycleEnds(Patience(patience), cycle, steps_per_epoch))
    state, expected = rule.init(), None
    for epoch, value in enumerate(values, start=1):
        state, verdict = rule.update(state, epoch, {"val_loss": value})
        # An epoch holds a cycle's end where one of its updates is a cycle's last.
        updates = range((epoch - 1) * steps_per_epoch + 1, epoch * steps_per_epoch + 1)
        if verdict is not None and any(update % cycle == 0 for update in updates):
            expected = replace(verdict, rule=f"{rule.describe()}, at a cycle's end")
        found = judge.update(epoch, {"val_loss": value})
        assert found == expected
        if found is not None:
            break


def test_a_loss_that_is_no_number_ends_a_run_at_once() -> None:
    for rule in (Patience(5), NonFinite(("val_loss",)), Threshold(0.0)):
        verdict = RuleRunner(AtCycleEnds(rule, 100, 1)).update(1, {"val_loss": math.nan})
        assert verdict is not None
        assert verdict.reason == "non_finite"


def test_it_is_saved_with_its_state() -> None:
    rule = AtCycleEnds(Patience(3, min_delta=0.5), 8, 4)
    again = rule_from_dict(rule.to_dict())
    assert again == rule
    assert again.describe() == "val_loss patience=3 min_delta=0.5, at a cycle's end"
    state, _ = rule.update(rule.init(), 1, {"val_loss": 1.0})
    assert again.state_from_dict(rule.state_to_dict(state)) == state
    assert again.progress(state) == "wait 0/3"


@pytest.mark.parametrize("wrong", [{"cycle": 0}, {"steps_per_epoch": 0}, {"cycle": 1.5}])
def test_cycles_of_no_length_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a whole number ≥ 1"):
        AtCycleEnds(Patience(1), **{"cycle": 4, "steps_per_epoch": 2, **wrong})
