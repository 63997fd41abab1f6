"""The trainer: stops at the epoch that the rules name, with that epoch's state, whatever the size of a call."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stopcli.configs.base import parse
from stopcli.configs.moons import MoonsConfig
from stopcli.errors import MetricError
from stopcli.recipes.moons import Moons
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.stopping import BestEpoch
from stopcli.training.session import NullObserver, Progress, SaveCadence, Session, StopRequest, Stopwatch

pytestmark = pytest.mark.usefixtures("tensorflow")

SMALL = {"hidden": 20, "batch_size": 8, "learning_rate": 0.02, "epochs": 400}


# Compiled loops, by what they were compiled for.
LOOPS: dict[tuple[Any, ...], Any] = {}


def build_moons(config: MoonsConfig) -> Any:

    return Moons().build(Moons().load(config, NullObserver()))


def loop_of(experiment: Any, config: MoonsConfig) -> Any:
    """A loop in the experiment's initial state: an earlier one's of the same data and model, begun again."""
    key = (config.hidden, config.batch_size, config.validation)
    if key not in LOOPS:
        LOOPS[key] = experiment.make_loop()
    LOOPS[key].reset(experiment.initial_state(), experiment.seed)
    return LOOPS[key]


class Run:
    """A trained run with its folder."""

    def __init__(self, folder: Path, observer: Any = None, request: StopRequest | None = None, **settings: Any) -> None:

        self.config = parse(MoonsConfig, {**SMALL, **settings})
        self.folder = RunFolder.create(root=folder, command="moons", run_dir=folder / "run")
        self.experiment = build_moons(self.config)
        self.loop = loop_of(self.experiment, self.config)
        session = Session(observer or NullObserver(), request or StopRequest(), Stopwatch())
        self.outcome = trained(self.experiment, self.loop, self.folder, session)

    @property
    def metrics(self) -> dict[str, np.ndarray]:
        return read_metrics(self.folder.metrics)


def trained(experiment: Any, loop: Any, folder: RunFolder, session: Session) -> Any:
    """The outcome of a new run."""
    from stopcli.training.run_log import RunLog
    from stopcli.training.trainer import Trainer

    cadence = SaveCadence("auto")
    with RunLog(folder, loop.columns, experiment.steps_per_epoch, cadence, {}, None, resumed=False) as run_log:
        return Trainer(experiment, loop, folder, run_log, session).train()


@functools.cache
def whole_run() -> tuple[dict[str, np.ndarray], list[Any]]:
    """A run without stopping, epoch by epoch: its metrics, and the state after each epoch (0: before any)."""

    experiment = build_moons(parse(MoonsConfig, SMALL))
    # Not the loop of the runs that are compared with it.
    loop = experiment.make_loop()
    states, rows = [loop.state()], []
    for epoch in range(1, experiment.epochs + 1):
        rows.append(loop.run(epoch, 1).metrics[0])
        states.append(loop.state())
    return dict(zip(loop.columns, np.stack(rows).T, strict=True)), states


def same(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_ends_exactly_at_the_epoch_that_a_rule_names_and_keeps_exactly_the_best(tmp_path: Path) -> None:
    metrics, states = whole_run()
    run = Run(tmp_path, patience=7)
    stop = run.outcome.verdict
    assert (stop.reason, stop.wait) == ("patience", 7)
    assert stop.best_epoch == int(np.argmin(metrics["val_loss"][: stop.epoch])) + 1 == stop.epoch - 7
    assert len(run.metrics["epoch"]) == stop.epoch < run.config.epochs
    for name in run.loop.columns:
        np.testing.assert_array_equal(run.metrics[name].astype(np.float32), metrics[name][: stop.epoch], err_msg=name)
    assert same(run.outcome.final, states[stop.epoch])

    best = int(np.argmax(metrics["val_accuracy"][: stop.epoch])) + 1
    assert run.outcome.best.epoch == best
    assert run.outcome.best_state is not None
    assert same(run.outcome.best_state, states[best])


def test_the_saved_files_hold_weights_and_optimizer_of_their_epochs(tmp_path: Path) -> None:
    from stopcli.training.model_files import load_model

    run = Run(tmp_path, patience=7, checkpoint_monitor="val_loss")
    for path, state, epoch in [
        (run.folder.best_model, run.outcome.best_state, run.outcome.best.epoch),
        (run.folder.final_model, run.outcome.final, run.outcome.verdict.epoch),
    ]:
        model = load_model(path)
        saved = [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]
        assert state is not None
        assert same(tuple(saved), state)
        assert int(model.optimizer.iterations) == epoch * run.experiment.steps_per_epoch


def test_restore_best_ends_with_the_best_monitored_epoch(tmp_path: Path) -> None:
    _, states = whole_run()
    run = Run(tmp_path, patience=7, restore_best=True)
    assert run.outcome.final_epoch == run.outcome.verdict.best_epoch == run.outcome.verdict.epoch - 7
    assert same(run.outcome.final, states[run.outcome.final_epoch])
    assert same(run.loop.state(), run.outcome.final)


def test_every_nth_epoch_is_kept_as_it_was(tmp_path: Path) -> None:
    from stopcli.training.model_files import load_model

    _, states = whole_run()
    run = Run(tmp_path, epochs=23, checkpoint_every=5)
    names = sorted(path.name for path in run.folder.checkpoints.glob("epoch_*"))
    assert names == [f"epoch_{epoch:04d}.keras" for epoch in (5, 10, 15, 20)]
    for epoch in (5, 20):
        model = load_model(run.folder.epoch_model(epoch))
        assert same(tuple(v.numpy() for v in [*model.variables, *model.optimizer.variables]), states[epoch])
    assert same(run.outcome.final, states[23])


def test_no_checkpoint_writes_no_model(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=5, checkpoint=False)
    assert not list(run.folder.checkpoints.glob("*.keras"))
    assert run.outcome.best_state is None


def test_all_epochs_without_a_rule(tmp_path: Path) -> None:
    run = Run(tmp_path, epochs=37)
    assert (run.outcome.verdict.reason, run.outcome.verdict.epoch) == ("completed", 37)
    assert run.metrics["step"].tolist() == [4.0 * e for e in range(1, 38)]


def test_the_best_epoch_of_a_run_that_diverged_later_is_restored_and_saved(tmp_path: Path) -> None:
    from stopcli.stopping import AnyOf, Patience
    from stopcli.stopping.rule import Verdict

    class DivergesAt30(Patience):
        def update(self, state: Any, epoch: int, metrics: Any) -> Any:
            return state, Verdict("non_finite", "loss is nan", epoch) if epoch == 30 else None

    experiment = build_moons(parse(MoonsConfig, {**SMALL, "restore_best": True}))
    experiment = replace(experiment, plan=replace(experiment.plan, rule=AnyOf((DivergesAt30(1),))))
    folder = RunFolder.create(root=tmp_path, command="moons", run_dir=tmp_path / "run")
    outcome = trained(experiment, loop_of(experiment, parse(MoonsConfig, SMALL)), folder, Session())
    assert (outcome.verdict.reason, outcome.verdict.epoch) == ("non_finite", 30)
    assert 0 < outcome.final_epoch < 30
    assert folder.final_model.exists()


def test_a_threshold_stops(tmp_path: Path) -> None:
    run = Run(tmp_path, threshold=0.4)
    values = run.metrics["val_loss"]
    assert run.outcome.verdict.reason == "threshold"
    assert values[-1] <= 0.4 < values[:-1].min()


def test_a_loss_that_is_no_number_ends_the_run_and_is_never_the_best(tmp_path: Path) -> None:
    run = Run(tmp_path, learning_rate=1e30)
    assert run.outcome.verdict.reason == "non_finite"
    assert not np.isfinite(run.metrics["val_loss"][-1])
    assert run.outcome.best_state is None
    assert not run.folder.best_model.exists()
    assert not run.folder.final_model.exists()


def test_a_run_that_diverges_keeps_no_final_model_of_the_session_before(tmp_path: Path) -> None:
    config = parse(MoonsConfig, {**SMALL, "learning_rate": 1e30})
    folder = RunFolder.create(root=tmp_path, command="moons", run_dir=tmp_path / "run")
    folder.checkpoints.mkdir(exist_ok=True)
    folder.final_model.write_bytes(b"of the epoch at which it was paused")
    experiment = build_moons(config)
    outcome = trained(experiment, loop_of(experiment, config), folder, Session())
    assert outcome.verdict.reason == "non_finite"
    assert not folder.final_model.exists()


def test_a_request_stops_at_the_end_of_a_call_and_saves(tmp_path: Path) -> None:
    request = StopRequest()

    class AsksAtEpoch100(NullObserver):
        def progress(self, progress: Progress) -> None:
            if progress.epoch >= 100:
                request.ask(15)

    run = Run(tmp_path, observer=AsksAtEpoch100(), request=request, epochs=10**6)
    assert (run.outcome.verdict.reason, run.outcome.verdict.rule) == ("interrupted", "SIGTERM")
    assert request.exit_status == 143
    assert 100 <= run.outcome.verdict.epoch < 10**6
    assert len(run.metrics["epoch"]) == run.outcome.verdict.epoch
    assert run.folder.best_model.exists()
    assert run.folder.final_model.exists()


def test_the_observer_receives_the_best_and_the_wait_but_nothing_of_held_out_rows(tmp_path: Path) -> None:
    reports: list[Progress] = []

    class Records(NullObserver):
        def progress(self, progress: Progress) -> None:
            reports.append(progress)

    run = Run(tmp_path, observer=Records(), patience=7, validation="holdout")
    assert {"test_loss", "test_accuracy"} <= run.metrics.keys()
    assert set(reports[-1].metrics) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert reports[-1].waiting == "wait 7/7"
    assert (reports[-1].epoch, reports[-1].best_epoch) == (run.outcome.verdict.epoch, run.outcome.verdict.best_epoch)


def test_held_out_rows_change_nothing_that_is_chosen(tmp_path: Path) -> None:
    """With other test rows the run stops at the same epoch with the same weights."""
    from stopcli.data.dataset import Examples, Splits

    config = parse(MoonsConfig, {**SMALL, "patience": 7, "validation": "holdout"})
    outcomes = []
    for i in range(2):
        experiment = build_moons(config)
        if i:
            test = experiment.parts.test
            wrong = Splits(experiment.parts.train, experiment.parts.validation, Examples(-test.x, 1 - test.y))
            experiment = replace(experiment, parts=wrong)
        folder = RunFolder.create(root=tmp_path, command="moons", run_dir=tmp_path / f"run{i}")
        loop = experiment.make_loop() if i else loop_of(experiment, config)
        outcomes.append(trained(experiment, loop, folder, Session()))
    assert outcomes[0].verdict == outcomes[1].verdict
    assert outcomes[0].best == outcomes[1].best
    assert same(outcomes[0].final, outcomes[1].final)


@pytest.mark.parametrize("monitor", ["test_loss", "val_hue_loss", "learning_rate"])
def test_a_metric_that_cannot_be_monitored_is_an_error_before_training(monitor: str) -> None:

    experiment = build_moons(parse(MoonsConfig, {**SMALL, "validation": "holdout"}))
    plan = replace(experiment.plan, best_monitored=BestEpoch(monitor, "min"))
    with pytest.raises(
        MetricError, match=rf"'{monitor}' can be monitored; there are: loss, accuracy, val_loss, val_acc"
    ):
        replace(experiment, plan=plan).make_loop()


@pytest.mark.parametrize(("steps_per_epoch", "resumes"), [(4, True), (5, False)])
def test_sums_over_other_batches_are_not_resumed_from(steps_per_epoch: int, resumes: bool, tmp_path: Path) -> None:
    from stopcli.stopping import RuleRunner
    from stopcli.training.state_file import TrainState
    from stopcli.training.trainer import Trainer

    experiment = build_moons(parse(MoonsConfig, SMALL))
    loop = experiment.make_loop()
    assert loop.steps_per_epoch == 4
    partials: list[Any] = []
    loop.resume = lambda state, partial: partials.append(partial)
    rule = experiment.plan.rule
    state = TrainState(
        epoch=2,
        step=11,
        live=loop.state(),
        rule_state=rule.state_to_dict(RuleRunner(rule).state),
        best={"watch": (0, None), "keep": (0, None)},
        best_states={},
        files={},
        train_seconds=1.0,
        fingerprint={},
        # Saved with so many steps an epoch, which a forced change of the batch size has made 4.
        partial_sums=(np.zeros(3, np.float32),),
        steps_per_epoch=steps_per_epoch,
    )
    folder = RunFolder.create(root=tmp_path, command="moons", run_dir=tmp_path / "run")
    Trainer(experiment, loop, folder, None, Session(), state)  # type: ignore[arg-type]
    (partial,) = partials
    assert (partial is not None) == resumes
    assert partial is None or partial.steps == 3


def test_every_file_of_a_run_holds_the_whole_of_the_model_that_is_trained(tmp_path: Path) -> None:
    import keras

    from stopcli.recipes.whole_model import whole_model
    from stopcli.training.model_files import load_model

    rows = keras.Input((2,))
    halves = keras.Model([rows], rows / 2)
    config = parse(MoonsConfig, {**SMALL, "epochs": 4, "checkpoint_every": 2})
    folder = RunFolder.create(root=tmp_path, command="moons", run_dir=tmp_path / "run")
    experiment = replace(
        build_moons(config), whole=lambda model: whole_model(halves, model, {"a": "float32", "b": "float32"})
    )
    loop = loop_of(experiment, config)
    outcome = trained(experiment, loop, folder, Session(NullObserver(), StopRequest(), Stopwatch()))
    files = {path.name: load_model(path) for path in folder.checkpoints.glob("*.keras")}
    assert set(files) == {"best.keras", "final.keras", folder.epoch_model(2).name, folder.epoch_model(4).name}
    assert outcome.best_state is not None
    x = experiment.parts.train.x
    for name, state, epoch in (
        ("final.keras", outcome.final, 4),
        ("best.keras", outcome.best_state, outcome.best.epoch),
    ):
        loop.restore(state)
        np.testing.assert_array_equal(files[name]({"a": x[:, 0] * 2, "b": x[:, 1] * 2}), loop.model(x))
        assert int(files[name].optimizer.iterations) == epoch * experiment.steps_per_epoch
    assert all(set(model.input) == {"a", "b"} for model in files.values())
