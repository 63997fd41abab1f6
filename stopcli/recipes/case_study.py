"""The case study of `stopcli moons`: the published arms, each measured in one training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from stopcli.analysis.arms import Arm, SeedValues, difference
from stopcli.analysis.sweep import SweepResults, answer_against
from stopcli.configs.moons import ArmValues, CaseArm, MoonsConfig, case_arms
from stopcli.quantities import counted
from stopcli.recipes.base import val_rows
from stopcli.report.document import Table, csv_of
from stopcli.report.drawing import Figures
from stopcli.runs.files import write_text
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import Columns, read_metrics, read_rows
from stopcli.runs.summary import RunSummary
from stopcli.stats.differences import NONE
from stopcli.stats.intervals import proportion_of
from stopcli.sweeps.plan import JobResult
from stopcli.training.model_files import load_model, save_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from stopcli.training.loop import Loop, State
    from stopcli.training.trainer import Experiment


def moons_title(config: MoonsConfig) -> str:
    """The experiment and its arm; every figure says when it is of quick scale."""
    scale = " (quick scale)" if config.scale == "quick" else ""
    return f"moons, {config.arm.replace('-', ' ')}{scale}"


COLUMNS = ("arm", "source", "stopped at", "saved epoch", "train accuracy", "test accuracy")


@dataclass(frozen=True)
class ArmResult:
    """An arm as a run measured it.

    Attributes:
        published: None where the settings are not those of the published study.
        ran_out: whether its rule never fired within the epochs.
    """

    name: str
    measured: ArmValues
    published: ArmValues | None
    ran_out: bool = False

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ArmResult:
        """What a run's summary.json holds of it."""
        measured, published = (values[key] and ArmValues(**values[key]) for key in ("measured", "published"))
        return cls(values["name"], measured, published, values["ran_out"])


def arms_of_run(summary: RunSummary) -> list[ArmResult]:
    """The arms of a run, from its summary.json."""
    return [ArmResult.from_dict(values) for values in summary.case_study or ()]


def run_case_table(arms: Sequence[ArmResult], seed: int, test_rows: int) -> Table:
    """Each arm of one seed above what was published of it; test accuracies with their binomial 95 % interval."""
    rows = []
    for arm in arms:
        cells = _cells(arm.measured)
        if arm.ran_out:
            cells["stopped_at"] += " (all)"
        interval = proportion_of(arm.measured.test_accuracy, test_rows)
        if interval:
            cells["test_accuracy"] += f" [{interval.low:.3f}, {interval.high:.3f}]"
        rows += _rows(arm, f"seed {seed}", cells)
    return Table("Results", COLUMNS, tuple(rows))


def _rows(arm: ArmResult, source: str, measured: Mapping[str, str]) -> list[tuple[str, ...]]:
    rows = [(arm.name, source, *measured.values())]
    return rows + ([(arm.name, "published", *_cells(arm.published).values())] if arm.published else [])


def _cells(values: ArmValues) -> dict[str, str]:
    return {name: NONE if value is None else _show(name, "{:.10g}")(value) for name, value in asdict(values).items()}


def _show(name: str, epochs: str) -> Callable[[float], str]:
    return ("{:.3f}" if name.endswith("accuracy") else epochs).format


def seeds_case_results(config: MoonsConfig, runs: Mapping[int, Sequence[ArmResult]], test_rows: int) -> SweepResults:
    """Each arm over seeds above what was published: mean, standard deviation, from three seeds on a 95 % interval.

    Args:
        runs: the arms of each finished run, by seed, in the same order; one run or more.
        test_rows: that each accuracy was measured on.
    """
    rows, summary, arms = [], [], []
    for of_seeds in zip(*runs.values(), strict=True):
        values = zip(runs, of_seeds, strict=True)
        arm = Arm(of_seeds[0].name, tuple(SeedValues(seed, asdict(result.measured)) for seed, result in values))
        intervals = {name: arm.interval(name) for name in asdict(of_seeds[0].measured)}
        cells = {
            name: interval.cell(_show(name, "{:.0f}")) if interval else NONE for name, interval in intervals.items()
        }
        rows += _rows(of_seeds[0], f"mean, n = {len(runs)}", cells)
        measured = {name: asdict(interval) for name, interval in intervals.items() if interval}
        summary.append({"name": arm.label, "measured": measured})
        arms.append(arm)
    return SweepResults(
        f"moons: case study, {counted(config.most_seeds, 'seed')}",
        (Table("Results", COLUMNS, tuple(rows)),),
        {
            "table.csv": csv_of(
                [
                    {"seed": seed, "arm": result.name, **asdict(result.measured)}
                    for seed, results in runs.items()
                    for result in results
                ]
            )
        },
        (*_conclusions(arms, list(runs.values()), test_rows), *_not_published(config)),
        {"case_study": summary},
    )


def _conclusions(arms: Sequence[Arm[SeedValues]], runs: Sequence[Sequence[ArmResult]], test_rows: int) -> list[str]:
    """What follows over seeds: each arm's test accuracy against that of no stopping."""
    base, *others = arms
    gains = [(arm, gain) for arm in others if (gain := difference(arm, base, "test_accuracy")) is not None]
    sentences = [answer_against(base, gains, "max")]
    for arm, gain in gains:
        cost = sum(arm.values("stopped_at")) / sum(base.values("stopped_at"))
        sentence = gain.sentence(arm.label, base.label, "test accuracy", "max")
        sentences.append(f"{sentence} It takes {cost:.0%} of the epochs.")
    for i, arm in enumerate(arms):
        if ran_out := sum(run[i].ran_out for run in runs):
            sentences.append(
                f"{arm.label}: in {ran_out} of {counted(len(runs), 'seed')} it ran all epochs without stopping."
            )
    best = max(arm.mean("test_accuracy") or 0.0 for arm in arms)
    interval = proportion_of(best, test_rows)
    if interval:
        sentences.append(
            f"Seeds share their {test_rows:,} test rows, whose uncertainty no interval over seeds includes: for "
            f"{best:.3f} it is {interval.low:.3f} to {interval.high:.3f} (Wilson); --data-seed draws other rows."
        )
    return sentences


def run_case_answer(arms: Sequence[ArmResult]) -> str:
    """Which arm of one seed has the highest test accuracy, of several the one that stopped first."""
    base = arms[0]
    best = min(arms, key=lambda arm: (-arm.measured.test_accuracy, arm.measured.stopped_at))
    reached = f"{base.measured.test_accuracy:.3f} after {counted(base.measured.stopped_at, 'epoch')}"
    if best is base:
        return f"In this run no arm has a higher test accuracy than {base.name}, {reached}."
    return (
        f"In this run the test accuracy of {best.name} is the highest, {best.measured.test_accuracy:.3f} after "
        f"{counted(best.measured.stopped_at, 'epoch')}; that of {base.name} is {reached}."
    )


def run_case_conclusions(config: MoonsConfig) -> tuple[str, ...]:
    """What is said below the table of one seed."""
    first = "All arms come from one training: each is its beginning, up to the epoch at which the arm's rules stop it."
    few = "One seed proves little: --seeds 30 gives means with their intervals."
    return (first, *_not_published(config), few)


def _not_published(config: MoonsConfig) -> tuple[str, ...]:
    if not config.unpublished:
        return ()
    changed = ", ".join(f"{name} {getattr(config, name)}" for name in config.unpublished)
    return (f"Nothing was published for {changed}.",)


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
        """Find, measure and save the arms. Returns what summary.json holds of them; the loop's state stays. Raises
        ReplayError where training again gives other metrics than are recorded."""
        metrics = read_metrics(folder.metrics)
        endings = [_ending(self.config, arm, metrics) for arm in case_arms()]
        live = loop.state()
        accuracies = self._measure(loop, folder, endings)
        loop.restore(live)
        results = [self._result(ending, *accuracies[ending.arm.name]) for ending in endings]
        table = run_case_table(results, self.config.seed, self.experiment.parts.test.count)
        write_text(folder.path / "case_study.csv", table.csv())
        return {
            "case_study": [asdict(result) for result in results],
            "table": table.for_summary(),
            "conclusions": (run_case_answer(results), *run_case_conclusions(self.config)),
        }

    def _measure(self, loop: Loop, folder: RunFolder, endings: Sequence[_Ending]) -> dict[str, tuple[float, float]]:
        """The accuracies of each arm's model on the training and on the test rows, by the arm's name."""
        from stopcli.training.evaluate import evaluate_model, predictor_of
        from stopcli.training.loop import EpochBlock

        recorded = EpochBlock(1, read_rows(folder.metrics, loop.columns), self.initial)
        predict = predictor_of(self.experiment, loop.model)
        accuracies: dict[str, tuple[float, float]] = {}
        for epoch, _ in loop.replay_states(recorded, sorted({ending.model_epoch for ending in endings})):
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
    plan = run.stop_plan(1)
    verdict = plan.rule.first_stop(metrics)
    epoch = verdict.epoch if verdict else len(metrics["epoch"])
    best = plan.best_checkpoint.epochs(metrics)[epoch - 1] if plan.best_checkpoint else 0
    return _Ending(arm, epoch, int(best), fired=verdict is not None)


def case_curves(metrics: Columns, arms: Sequence[ArmResult], val_name: str, title: str) -> Figure:
    """The published figure of each arm: loss on the training rows and on those that validate, up to where it stopped.

    Args:
        val_name: the rows that the `val_` metrics were measured on.
    """
    from stopcli.report.curves import legend_below, new_figure

    figure, panels = new_figure(6.2, 2, 2, title=title, sharey=True)
    for axes, arm in zip(panels, arms, strict=True):
        _draw_arm(axes, metrics, arm, val_name)
    for axes in panels[::2]:
        axes.set_ylabel("loss (cross-entropy)")
    for axes in panels[2:]:
        axes.set_xlabel("epoch")
    # The last arm has every mark.
    legend_below(figure, panels[-1:])
    return figure


def _draw_arm(axes: Axes, metrics: Columns, arm: ArmResult, val_name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    from stopcli.report.curves import BLUE, ORANGE, PURPLE, thinned

    last, saved = arm.measured.stopped_at, arm.measured.saved_epoch
    epochs = slice(None, last, thinned(last).step)
    for name, colour, label in (("loss", BLUE, "train (as it trains)"), ("val_loss", ORANGE, val_name)):
        axes.plot(metrics["epoch"][epochs], metrics[name][epochs], color=colour, lw=1.4, label=label)
    axes.axvline(last, color="black", lw=1.3, ls=":", label="last epoch")
    text = f"epoch {last:,}"
    if saved is not None:
        axes.axvline(saved, color=PURPLE, lw=1.3, ls="-.", label="saved epoch")
        text += f", saved {saved:,}"
    accuracies = f"train {arm.measured.train_accuracy:.3f}, test {arm.measured.test_accuracy:.3f}"
    axes.set_title(f"{arm.name}\n{text}\n{accuracies}")
    axes.set_xlim(0, last * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def seeds_case_figures(config: MoonsConfig, results: Sequence[JobResult]) -> Figures:
    """The curves of all seeds, and where each arm ends and what its models are worth, a point a seed."""
    from stopcli.report.curves import seed_curves, seed_points

    runs = [(result.summary, result.run.metrics) for result in results if result.state == "finished"]
    metrics = [columns for _, columns in runs]
    seeds = [arms_of_run(summary) for summary, _ in runs if summary]
    title = f"{moons_title(config)}: {counted(len(seeds), 'seed')}"
    epochs, accuracies = {}, {}
    for i, arm in enumerate(seeds[0]):
        measured = [arms[i].measured for arms in seeds]
        accuracies[arm.name] = [values.test_accuracy for values in measured]
        # Where nothing stops there is no point to show; an arm with a saved model stops where the one before it does.
        if i > 0:
            epochs[arm.name] = [values.saved_epoch or values.stopped_at for values in measured]
    stops = [arm.measured.stopped_at for arms in seeds for arm in arms[1:3]]
    return {
        "curves": lambda: seed_curves(metrics, val_rows(config), stops, title),
        "stop_epochs": lambda: seed_points(epochs, "epoch", "{:.0f}".format, f"{title}, epoch of each arm's model"),
        "accuracies": lambda: seed_points(accuracies, "accuracy", "{:.3f}".format, f"{title}, test accuracy"),
    }
