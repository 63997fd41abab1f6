"""Other rules replayed over what a run has on record: the state that they would have, or why they cannot be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stopcli.configs.base import parse
from stopcli.configs.classifier import ClassifierConfig
from stopcli.configs.moons import MoonsConfig
from stopcli.errors import RequestError
from stopcli.runner.provenance import with_other_rules
from stopcli.runs.metrics import MetricsFile
from stopcli.stopping import RuleRunner
from stopcli.training.state_file import TrainState

NAMES = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
LIVE, KEPT = (np.array([1.0]),), (np.array([2.0]),)
CYCLES = {"dataset": "digits", "lr_policy": "clr", "step_size_iterations": 6, "patience": 1, "stop_at": "cycle-end"}


def recorded(val_losses: list[float], **fields: Any) -> TrainState:
    """The position after some epochs of 4 steps, with their metrics.csv in this folder."""
    rows = np.array([[0.5, 0.5, value, 0.5, 0.1] for value in val_losses], np.float32).reshape(-1, len(NAMES))
    Path("metrics.csv").unlink(missing_ok=True)
    file = MetricsFile(Path("metrics.csv"), NAMES)
    file.append(1, 4, rows)
    file.close()
    epochs = len(val_losses)
    best = {"watch": (1, 0.5), "keep": (1, 0.5)}
    state = TrainState(epochs, 4 * epochs, LIVE, {}, best, {"keep": KEPT}, {}, 0.0, {}, steps_per_epoch=4)
    return replace(state, **fields)


def changed(state: TrainState, **settings: Any) -> TrainState:
    return with_other_rules(Path(), state, parse(MoonsConfig, settings))[0]


losses = st.lists(st.floats(0.0625, 8, width=32), min_size=1, max_size=40)
rules = st.fixed_dictionaries(
    {},
    optional={
        "patience": st.integers(1, 12),
        "min_delta": st.sampled_from([0.0, 0.001, 0.5]),
        "start_from_epoch": st.integers(0, 5),
        "baseline": st.floats(0.01, 10),
        "threshold": st.floats(0.001, 1),
        "stop": st.lists(st.sampled_from(["gl:50", "pq:2", "up:3:2"]), unique=True).map(tuple),
    },
)


@given(losses, rules)
def test_a_replayed_rule_has_the_state_and_the_verdict_that_it_would_have_live(
    values: list[float], settings: dict[str, Any]
) -> None:
    config = parse(MoonsConfig, settings)
    plan = config.stop_plan(1)
    judge, verdict, epoch = RuleRunner(plan.rule), None, 0
    for epoch, value in enumerate(values, start=1):
        row = dict.fromkeys(config.metrics, 0.5) | {"val_loss": float(np.float32(value))}
        verdict = judge.update(epoch, row)
        if verdict is not None:
            break
    state = recorded(values)
    if epoch < len(values):
        with pytest.raises(RequestError, match=f"would have stopped it after epoch {epoch} "):
            changed(state, **settings)
        return
    found = changed(state, **settings)
    assert found.rule_state == plan.rule.state_to_dict(judge.state)
    assert (found.stopped is None) == (verdict is None)
    assert plan.rule.state_from_dict(found.rule_state) == judge.state


def test_a_rule_is_asked_at_the_ends_of_cycles_where_the_settings_say_so() -> None:
    config = parse(ClassifierConfig, CYCLES)
    # Cycles of 12 steps end with epochs 3 and 6; the loss rises from epoch 4 on.
    state = recorded([5, 4, 3, 3.5, 4])
    found, _ = with_other_rules(Path(), state, config)
    assert found.stopped is None
    assert found.best["watch"] == (3, 3.0)
    with pytest.raises(RequestError, match=r"would have stopped it after epoch 4 \(1 epoch after"):
        with_other_rules(Path(), state, replace(config, stop_at="epoch"))
    ended, _ = with_other_rules(Path(), recorded([5, 4, 3, 3.5, 4, 5]), config)
    assert ended.stopped is not None
    assert ended.stopped["rule"] == "val_loss patience=1, at a cycle's end"


def test_a_position_within_an_epoch_lies_beyond_a_stop_before_it() -> None:
    state = recorded([3, 4])
    stopped = changed(state, patience=1).stopped
    assert stopped is not None
    assert stopped["epoch"] == 2
    with pytest.raises(RequestError, match=r"after epoch 2 .* it has started epoch 3"):
        changed(replace(state, partial_sums=(np.zeros(2),)), patience=1)


def test_rules_that_would_have_stopped_the_run_before_can_be_forced() -> None:
    config = parse(MoonsConfig, {"patience": 1})
    state, forced = with_other_rules(Path(), recorded([3, 4, 5]), config, force=True)
    assert state.stopped is None
    (words,) = forced
    assert words.startswith(
        "val_loss patience=1 would have stopped it after epoch 2 (1 epoch after the best, val_loss 3"
    )
    assert words.endswith("; it has trained 3 epochs")
    # It goes on from the state that they have by now.
    assert state.rule_state["states"][1]["wait"] == 2


def test_the_state_of_the_best_epoch_is_taken_from_where_it_is() -> None:
    config = parse(ClassifierConfig, {"dataset": "digits", "restore_best": True})

    def states(state: TrainState, **others: Any) -> Any:
        return with_other_rules(Path(), state, replace(config, **others))[0].best_states

    kept = {"watch": (1, 0.5), "keep": (2, 0.5)}
    # The best epoch for checkpoints is that for stopping too, or the last epoch is.
    assert states(recorded([3, 2, 4], best=kept)) == {"keep": KEPT, "watch": KEPT}
    assert states(recorded([3, 2, 1], best=kept)) == {"keep": KEPT, "watch": LIVE}
    assert states(recorded([3, 2, 4], best=kept), restore_best=False) == {"keep": KEPT}
    assert states(recorded([3, 2, 4], best=kept), start_from_epoch=3) == {"keep": KEPT}
    for values, position, others in (
        ([3, 2, 4], {}, {}),
        ([3, 2, 1], {"partial_sums": (np.zeros(2),)}, {}),
        ([3, 2, 1], {}, {"lr_policy": "plateau"}),
    ):
        with pytest.raises(RequestError, match="restore_best needs the model of epoch"):
            states(recorded(values, **position), **others)


def test_a_record_that_is_too_short_or_damaged_is_refused() -> None:
    state = recorded([3, 2])
    with pytest.raises(RequestError, match=r"metrics.csv: has 2 epochs, and had 3 when the run was saved"):
        changed(replace(state, epoch=3))
    Path("metrics.csv").write_text("epoch,step\n1,\n")
    with pytest.raises(RequestError, match="damaged"):
        changed(state)
    with pytest.raises(RequestError, match=r"run: epoch 1: val_loss is -3; Prechelt's rules"):
        with_other_rules(Path("run"), _moved(recorded([-3])), parse(MoonsConfig, {"stop": ("gl:2",)}))


def _moved(state: TrainState) -> TrainState:
    Path("run").mkdir()
    Path("metrics.csv").rename("run/metrics.csv")
    return state
