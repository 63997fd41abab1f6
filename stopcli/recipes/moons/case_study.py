"""The four published arms from one training: where each would have stopped, and the model that it would have left.

A rule changes nothing of the training that it watches, so that an arm is the beginning of the training without one. Its
epoch is found by asking its rules over the recorded metrics; the model of that epoch is had by training up to it again,
which is checked to give the recorded metrics to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from stopcli.recipes.moons.case_tables import ArmResult, run_case_conclusions, run_case_table
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.recipes.moons.published import ArmValues, CaseArm, case_arms
from stopcli.runs.files import write_text
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import Columns, read_metrics
from stopcli.stopping import BestState, RuleRunner
from stopcli.training.evaluate import evaluate_model, predictor_of
from stopcli.training.experiment import Experiment, readable
from stopcli.training.loop import EpochBlock, Loop, State
from stopcli.training.model_files import load_model, save_model
from stopcli.training.stop_plan import stop_plan


@dataclass(frozen=True)
class _Ending:
    """Where an arm ends.

    Attributes:
        epoch: at which it stopped.
        saved: its best epoch for checkpoints.
        fired: whether a rule stopped it.
    """

    arm: CaseArm
    epoch: int
    saved: int
    fired: bool

    @property
    def model_epoch(self) -> int:
        """The epoch of its model."""
        return self.saved if self.arm.loads_saved else self.epoch


@dataclass(frozen=True)
class CaseStudy:
    """What is done when a case study's training has ended.

    Args:
        initial: the state that the training begins from.
    """

    config: MoonsConfig
    experiment: Experiment
    initial: State

    def __call__(self, loop: Loop, folder: RunFolder) -> dict[str, Any]:
        """Find, measure and save the arms. Returns what summary.json holds of them; the loop's state stays.

        Raises:
            ReplayError: training again gives other metrics than are recorded.
        """
        metrics = read_metrics(folder.metrics)
        endings = [_ending(self.config, arm, metrics) for arm in case_arms()]
        live = loop.state()
        accuracies = self._measure(loop, folder, metrics, endings)
        loop.restore(live)
        results = [self._result(ending, *accuracies[ending.arm.name]) for ending in endings]
        table = run_case_table(results, self.config.seed, self.experiment.parts.test.count)
        write_text(folder.path / "case_study.csv", table.csv())
        return {
            "case_study": [asdict(result) for result in results],
            "table": table.for_summary(),
            "conclusions": run_case_conclusions(self.config),
        }

    def _measure(
        self, loop: Loop, folder: RunFolder, metrics: Columns, endings: Sequence[_Ending]
    ) -> dict[str, tuple[float, float]]:
        """The accuracies of each arm's model on the training and on the test rows, by the arm's name."""
        predict = predictor_of(self.experiment, loop.model)
        accuracies: dict[str, tuple[float, float]] = {}
        for epoch in self._epochs(loop, metrics, sorted({ending.model_epoch for ending in endings})):
            for ending in endings:
                if ending.model_epoch != epoch:
                    continue
                model, predict_rows = loop.model, predict
                if ending.arm.loads_saved:
                    save_model(loop.model, folder.case_model)
                    model = load_model(folder.case_model)
                    predict_rows = predictor_of(self.experiment, model)
                values = evaluate_model(self.experiment, model, predict_rows)[0]
                accuracies[ending.arm.name] = values["train"]["accuracy"], values["test"]["accuracy"]
        return accuracies

    def _epochs(self, loop: Loop, metrics: Columns, epochs: Sequence[int]) -> Iterator[int]:
        """Some epochs, ascending; as each is yielded, the loop is in its state."""
        rows = np.stack([metrics[name] for name in loop.columns], axis=1).astype(np.float32)
        for epoch, _ in loop.replay_states(EpochBlock(1, rows, self.initial), epochs):
            yield epoch

    def _result(self, ending: _Ending, train: float, test: float) -> ArmResult:
        saved = ending.saved if ending.arm.loads_saved else None
        comparable = not self.config.unpublished and (ending.fired or self.config.epochs == MoonsConfig.epochs)
        return ArmResult(
            ending.arm.name,
            ArmValues(ending.epoch, saved, train, test),
            ending.arm.published if comparable else None,
            ran_out=bool(ending.arm.settings) and not ending.fired,
        )


def _ending(config: MoonsConfig, arm: CaseArm, metrics: Columns) -> _Ending:
    """Where the rules of an arm, as its live run has them, end a training with these metrics."""
    run = replace(config, case_study=False, **arm.settings)
    plan = stop_plan(run, run, run.metrics)
    rules, best = RuleRunner(plan.rule), BestState()
    names = readable(tuple(name for name in metrics if name not in ("epoch", "step")))
    rows = zip(*(metrics[name].tolist() for name in names), strict=True)
    epoch = 0
    for epoch, row in enumerate(rows, start=1):
        values = dict(zip(names, row, strict=True))
        verdict = rules.update(epoch, values)
        if plan.best_checkpoint is not None:
            best = plan.best_checkpoint.update(best, epoch, values)
        if verdict is not None:
            return _Ending(arm, epoch, best.epoch, fired=True)
    return _Ending(arm, epoch, best.epoch, fired=False)
