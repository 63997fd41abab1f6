"""The refit: what it is trained on and for how long, that the run does not notice it, and that it resumes exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from job_results import job_result
from summaries import run_content, run_summary

from stopcli.analysis.arms import Arm
from stopcli.analysis.gate import _view_of
from stopcli.analysis.measure import measure_of
from stopcli.analysis.refit import with_refit
from stopcli.analysis.run_result import measured_result
from stopcli.analysis.sweep import seed_results
from stopcli.configs.base import parse, to_toml
from stopcli.configs.fit import FitConfig
from stopcli.data.dataset import Examples, Splits
from stopcli.data.row_view import RowView
from stopcli.errors import ConfigError
from stopcli.report.run_report import conclusions_of, outcome, results_table
from stopcli.runner.resume import find_position
from stopcli.runs.folder import RunFolder
from stopcli.runs.metrics import read_metrics
from stopcli.runs.removal import plan_pruning, remove
from stopcli.runs.run import Run
from stopcli.runs.status import Status
from stopcli.runs.summary import Refit, RunSummary, parse_summary
from stopcli.sweeps.plan import plan_jobs
from stopcli.training.session import CallSizer, NullObserver, Progress, Session, Start, StopRequest, Stopwatch
from stopcli.training.state_file import StateStore

FILE = """
import keras
import numpy as np

def data():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(70, 4)).astype("float32")
    return x, (x[:, 0] + np.sin(2 * x[:, 1]) + 0.5 * draw.normal(size=70)).astype("float32")

def build(x, y):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(12, "relu"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.02), "mse", metrics=[keras.metrics.RootMeanSquaredError(name="rmse")])
    return model
"""
# 45 rows train, 11 validate, 14 test: 6 updates an epoch, of the refit 7.
SETTINGS: dict[str, Any] = {"batch_size": 8, "epochs": 40, "patience": 4, "xla": "no", "seed": 2, "save_every": "2"}
LOOPS = ("epochs", "steps")


class Runs:
    """Runs of the file, in this process, whose loops are compiled once for each kind."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._caches = folder, {loop: dict[Any, Any]() for loop in LOOPS}
        self._loaded: Any = None
        (folder / "net.py").write_text(FILE)

    def loaded(self, **settings: Any) -> Any:
        from stopcli.recipes.fit import Fit

        config = parse(FitConfig, {"file": str(self._folder / "net.py"), "exact": True, **SETTINGS, **settings})
        if self._loaded is None:
            self._loaded = Fit().load(replace(config, refit=True), NullObserver())
        names = ("code_sha256", "code_hash", "validation", "settings", "metric", "model_metrics", "monitor")
        filled = {name: getattr(self._loaded.config, name) for name in (*names, "checkpoint_monitor")}
        return replace(self._loaded, config=replace(config, **filled))

    def train(self, path: Path, session: Session | None = None, **settings: Any) -> RunSummary:
        loaded = self.loaded(**settings)
        with RunFolder.create(root=path.parent, command="fit", run_dir=path, config=to_toml(loaded.config)) as folder:
            return self._run(loaded, folder, session or Session(), Start())

    def resume(self, path: Path, session: Session | None = None, **settings: Any) -> RunSummary:
        state, _ = find_position(path, tensorboard=False)
        with RunFolder.reopen(path) as folder:
            return self._run(self.loaded(**settings), folder, session or Session(), Start(state, resumed=True))

    def _run(self, loaded: Any, folder: RunFolder, session: Session, start: Start) -> RunSummary:
        from stopcli.runner.run import run_one

        cache = self._caches[loaded.config.loop]
        summary = run_one(loaded, folder, session, start, loop_cache=cache, plots=False)
        assert isinstance(summary, RunSummary)
        return summary

    def refit(
        self, path: Path, epoch: int, session: Session | None = None, **settings: Any
    ) -> tuple[Refit, tuple[str, ...]]:
        """The refit alone, in a folder of a run that is resumed."""
        from stopcli.recipes.fit import Fit
        from stopcli.runner.refit import plan_refit, refit
        from stopcli.runner.training_run import compiled_loop
        from stopcli.training.state_file import data_fingerprint, settings_fingerprint

        loaded = self.loaded(refit=True, **settings)
        config, run = loaded.config, Fit().build(loaded)
        plan = plan_refit(run, Fit().build(loaded), epoch)
        fingerprint = {**settings_fingerprint(config), **data_fingerprint(run.parts), **run.identity}
        cache = self._caches[config.loop]
        with RunFolder.reopen(path) as folder:
            return refit(
                config,
                plan,
                folder,
                session or Session(),
                fingerprint,
                lambda experiment, session: compiled_loop(experiment, cache, session, "refit"),
            )


@pytest.fixture(scope="module")
def runs(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("file"))


@pytest.fixture(scope="module")
def wholes(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By the kind of loop, runs with a refit that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs")
    for loop in LOOPS:
        runs.train(folder / loop, loop=loop, refit=True)
    return {loop: folder / loop for loop in LOOPS}


@pytest.fixture(params=LOOPS)
def whole(request: pytest.FixtureRequest, wholes: dict[str, Path]) -> tuple[str, Path]:
    """The kind of loop, and such a run of it."""
    return request.param, wholes[request.param]


def read(path: Path) -> RunSummary:
    summary = parse_summary(json.loads((path / "summary.json").read_text()))
    assert isinstance(summary, RunSummary)
    return summary


def weights(path: Path, name: str = "refit") -> list[bytes]:
    """Of a model and of its optimizer."""
    from stopcli.training.model_files import load_model

    model = load_model(path / "checkpoints" / f"{name}.keras")
    return [variable.numpy().tobytes() for variable in [*model.variables, *model.optimizer.variables]]


def test_it_is_keras_on_the_rows_of_both_parts_for_the_updates_of_the_saved_epoch(
    runs: Runs, whole: tuple[str, Path]
) -> None:
    from stopcli.seeding import derive_seed
    from stopcli.training.model_files import load_model
    from stopcli.training.step import epoch_order_array

    loop, path = whole
    summary, loaded = read(path), runs.loaded(loop=loop)
    parts: Splits = loaded.data.parts
    refit, best = summary.refit, summary.best
    assert refit is not None
    assert best is not None
    assert (refit.rows, refit.updates) == (56, 6 * best.epoch)
    assert refit.updates % 7, "the last epoch is a part of one"
    x, y = (np.concatenate([getattr(part, role) for part in (parts.train, parts.validation)]) for role in "xy")
    model = loaded.data.build(loaded.config)[0]
    for update in range(refit.updates):
        epoch, step = divmod(update, 7)
        order = epoch_order_array(derive_seed(SETTINGS["seed"], "order"), epoch + 1, 56)[8 * step : 8 * step + 8]
        model.train_on_batch(x[order], y[order])
    fitted = load_model(path / "checkpoints" / "refit.keras")
    assert int(fitted.optimizer.iterations) == refit.updates
    for ours, theirs in zip(fitted.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_it_is_measured_on_the_test_rows_beside_the_saved_model(runs: Runs, whole: tuple[str, Path]) -> None:
    from stopcli.training.model_files import load_model

    loop, path = whole
    summary, test = read(path), runs.loaded(loop=loop).data.parts.test
    refit, best = summary.refit, summary.best
    assert refit is not None
    assert refit.values is not None
    assert refit.difference is not None
    assert best is not None
    assert best.test is not None
    predicted = load_model(path / "checkpoints" / "refit.keras").predict(test.x, verbose=0)[:, 0]
    rmse = float(np.sqrt(np.mean((predicted - test.y) ** 2)))
    assert refit.values.get("test", "rmse") == pytest.approx(rmse, rel=1e-5)
    assert refit.difference.mean == pytest.approx(rmse - best.test["rmse"], abs=1e-4)
    assert refit.difference.low < refit.difference.mean < refit.difference.high
    interval = summary.test_interval["refit"]
    assert interval["low"] < rmse < interval["high"]
    shown = dict(outcome(summary))["Refit"]
    assert shown.startswith(f"{refit.updates} updates on 56 rows; test RMSE {rmse:.4f} (95 % interval ")
    assert results_table(summary).columns[-2:] == ("refit updates", "refit test RMSE")
    assert "checkpoints/refit.keras" in " ".join(conclusions_of(summary))
    # No row but those that it is trained on is measured meanwhile, and an epoch that is a part of one is no epoch.
    recorded = read_metrics(path / "refit" / "metrics.csv")
    assert set(recorded) == {"epoch", "step", "loss", "rmse", "learning_rate"}
    assert len(recorded["epoch"]) == refit.updates // 7


def test_the_run_itself_does_not_notice_it(runs: Runs, wholes: dict[str, Path], tmp_path: Path) -> None:
    plain, path = tmp_path / "plain", wholes["epochs"]
    summary = runs.train(plain, loop="epochs")
    assert summary.refit is None
    assert (plain / "metrics.csv").read_bytes() == (path / "metrics.csv").read_bytes()
    assert not (plain / "refit").exists()
    for name in ("best", "final"):
        assert weights(plain, name) == weights(path, name)
    assert (read(path).best, read(path).final) == (summary.best, summary.final)
    assert "refit" not in json.loads((plain / "summary.json").read_text())


class StopIn(NullObserver):
    """Requests a stop within the refit, once so many of its calls have ended."""

    def __init__(self, request: StopRequest, calls: int, seen: Callable[[], None] = lambda: None) -> None:
        self._request, self._calls, self._seen = request, calls, seen
        self._in_refit = False

    def stage(self, text: str) -> None:
        self._in_refit |= text.startswith("refit: training")

    def progress(self, progress: Progress) -> None:
        if self._in_refit:
            self._calls -= 1
            self._seen()
            if self._calls == 0:
                self._request.cancel("a test")


def stopped_after(calls: int, seen: Callable[[], None] = lambda: None) -> Session:
    request = StopRequest()
    return Session(StopIn(request, calls, seen), request, Stopwatch())


def copied(whole: Path, to: Path, *, states: int = 0) -> Path:
    """A copy of a finished run as one that was killed in its refit, with so many of its refit's states."""
    shutil.copytree(whole, to)
    for name in ("summary.json", "checkpoints/refit.keras"):
        (to / name).unlink()
    # The last is that of its end.
    files = StateStore(to / "refit" / "checkpoints" / "resume").files()
    for file in files if states == 0 else files[:-states]:
        file.unlink()
    return to


@pytest.mark.slow
def test_an_interrupted_refit_says_so_and_ends_with_the_same_bits(
    runs: Runs, wholes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = copied(wholes["steps"], tmp_path / "run"), wholes["steps"]
    monkeypatch.setattr("stopcli.runs.status.HEARTBEAT_SECONDS", 0.0)
    told: list[dict[str, Any]] = []
    session = stopped_after(9, lambda: told.append(json.loads((path / "status.json").read_text())))
    summary = runs.resume(path, session, loop="steps", refit=True)
    assert {(status["state"], status["progress"]["stage"]) for status in told} == {("running", "refit")}
    assert {status["epoch"] for status in told} == {summary.epochs}
    assert (summary.state, summary.reason) == ("interrupted", "a test")
    assert summary.stop.reason == "patience", "the training itself has ended"
    assert Run.read(path).state == "interrupted"
    assert not (path / "checkpoints" / "refit.keras").exists()
    assert "was interrupted (a test)" in conclusions_of(summary)[0]
    finished = runs.resume(path, loop="steps", refit=True)
    assert finished.state == "finished"
    assert weights(path) == weights(whole)
    assert finished.refit == read(whole).refit
    assert (path / "refit" / "metrics.csv").read_bytes() == (whole / "refit" / "metrics.csv").read_bytes()


# Calls of one epoch, and of one step: the first stop is after one, the last within the epoch that is only a part.
@pytest.mark.slow
@pytest.mark.parametrize(("loop", "calls"), [("epochs", (1, 9, 16)), ("steps", (1, 8, 175))])
def test_stopped_again_and_again_it_ends_with_the_same_bits(
    runs: Runs, wholes: dict[str, Path], tmp_path: Path, loop: str, calls: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(CallSizer, "size", lambda sizer, remaining: 1)
    best = read(wholes[loop]).best
    assert best is not None
    assert divmod(6 * best.epoch, 7) == (26, 4)
    path = copied(wholes[loop], tmp_path / "run")
    for number in calls:
        result, _ = runs.refit(path, best.epoch, stopped_after(number), loop=loop)
        assert (result.state, result.reason) == ("interrupted", "a test")
    state = StateStore(path / "refit" / "checkpoints" / "resume").load().state
    assert state is not None
    assert state.step == (26 * 7 + 2 if loop == "steps" else 26 * 7)
    # A budget that is spent from the start still gets on by a call: of the short epoch, the last.
    result, _ = runs.refit(path, best.epoch, Session(NullObserver(), StopRequest(0.0), Stopwatch()), loop=loop)
    assert result.state == ("paused" if loop == "steps" else "finished")
    result, _ = runs.refit(path, best.epoch, loop=loop)
    assert result.state == "finished"
    assert weights(path) == weights(wholes[loop])


@pytest.mark.parametrize(
    ("loop", "left"),
    [
        ("epochs", "a state"),
        ("epochs", "a changed record"),
        ("steps", "a damaged state"),
        ("steps", "nothing of it"),
    ],
)
def test_a_killed_refit_ends_with_the_same_bits(
    runs: Runs, wholes: dict[str, Path], tmp_path: Path, loop: str, left: str
) -> None:
    best = read(wholes[loop]).best
    assert best is not None
    path = copied(wholes[loop], tmp_path / "died", states=1)
    (state,) = StateStore(path / "refit" / "checkpoints" / "resume").files()
    if left == "a damaged state":
        state.write_bytes(state.read_bytes()[:-100])
    elif left == "a changed record":
        text = (path / "refit" / "metrics.csv").read_text()
        (path / "refit" / "metrics.csv").write_text(text.replace("1,7,", "1,8,", 1))
    elif left == "nothing of it":
        shutil.rmtree(path / "refit")
    result, warnings = runs.refit(path, best.epoch, loop=loop)
    assert result.state == "finished"
    assert weights(path) == weights(wholes[loop])
    is_anew = left in ("a damaged state", "a changed record")
    assert [warning for warning in warnings if "the refit was begun again" in warning] == list(warnings)
    assert bool(warnings) == is_anew


def test_of_another_number_of_updates_it_is_another_one(runs: Runs, wholes: dict[str, Path], tmp_path: Path) -> None:
    path, other = copied(wholes["epochs"], tmp_path / "run", states=2), tmp_path / "other"
    best = read(wholes["epochs"]).best
    assert best is not None
    shutil.copytree(path, other)
    shutil.rmtree(other / "refit")
    for folder in (path, other):
        result, warnings = runs.refit(folder, best.epoch - 3, loop="epochs")
        assert (result.updates, warnings) == (6 * (best.epoch - 3), ())
    assert weights(path) == weights(other) != weights(wholes["epochs"])


@pytest.mark.slow
def test_it_starts_where_the_run_has_started_though_its_source_is_gone(
    runs: Runs, wholes: dict[str, Path], tmp_path: Path
) -> None:
    from stopcli.training.model_files import load_model

    source, path, again = tmp_path / "source", tmp_path / "run", tmp_path / "again"
    shutil.copytree(wholes["epochs"], source)
    settings = {"loop": "epochs", "init_from": str(source), "epochs": 2}
    summary = runs.train(path, refit=True, **settings)
    start = StateStore(path / "refit" / "checkpoints" / "start").load().state
    assert start is not None
    saved = load_model(source / "checkpoints" / "best.keras").variables
    assert [array.tobytes() for array in start.live[: len(saved)]] == [array.numpy().tobytes() for array in saved]
    copied(path, again)
    shutil.rmtree(source)
    assert summary.best is not None
    runs.refit(again, summary.best.epoch, **settings)
    assert weights(again) == weights(path)
    # Where a finished run's states are deleted, those of its refit go, too.
    removals, _ = plan_pruning([Run.read(path)], ["states"])
    for removal in removals:
        remove(removal)
    assert not (path / "refit" / "checkpoints").exists()
    assert (path / "checkpoints" / "refit.keras").exists()


def test_it_needs_rows_that_validate_and_a_saved_model() -> None:
    for settings, expected in [
        ({"checkpoint": False}, "no refit with --no-checkpoint"),
        ({"validation": "none", "monitor": "loss", "checkpoint_monitor": "loss"}, "no refit where no rows validate"),
        ({"validation": "test"}, "no refit where the test rows validate"),
    ]:
        with pytest.raises(ConfigError, match=expected):
            parse(FitConfig, {"file": "net.py", "refit": True, **settings})
    parse(FitConfig, {"file": "net.py", "refit": True, "validation": "last", "test_share": 0.0})


def test_rows_are_joined_with_their_weights_and_views_stay_views() -> None:
    base = np.arange(20.0).reshape(10, 2)
    train = Examples({"a": RowView(base, np.array([4, 1]), np.float32)}, np.arange(2), np.array([0.5, 2.0]))
    others = Examples({"a": RowView(base, slice(7, 9), np.float32)}, np.arange(2, 4))
    joined = train.joined(others)
    view = joined.x["a"]
    assert isinstance(view, RowView)
    assert view.base is base
    assert view.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(view), base[[4, 1, 7, 8]])
    np.testing.assert_array_equal(joined.y, np.arange(4))
    assert joined.weight is not None
    np.testing.assert_array_equal(joined.weight, [0.5, 2, 1, 1])
    copy = Examples(RowView(base, slice(0, 2)), base[:2]).joined(Examples(RowView(base.copy(), slice(3, 4)), base[3:4]))
    np.testing.assert_array_equal(np.asarray(copy.x), base[[0, 1, 3]])


REFIT = {
    "updates": 340, "epochs": 11.5, "rows": 353, "values": {"epoch": 17, "test": {"rmse": 54.0}}, "state": "finished",
    "difference": {
        "rows": 89, "mean": -0.5, "low": -1.8, "high": 0.7, "p": 0.4, "test": "bootstrap p",
        "verdict": "not distinguishable",
    },
}  # fmt: skip
RMSE = {"name": "rmse", "direction": "min", "kind": "error", "unit": ""}


def with_refit_of(**changes: Any) -> RunSummary:
    best = {"monitor": "val_rmse", "epoch": 17, "value": 53.0, "test": {"rmse": 54.5}, "val": {"rmse": 53.0}}
    return run_summary(command="fit", headline=RMSE, best=best, refit={**REFIT, **changes})


def test_which_file_to_use_is_said() -> None:
    difference: Any = REFIT["difference"]
    for verdict, advice in [
        ("better", "better: use checkpoints/refit.keras."),
        ("worse", "worse: use checkpoints/best.keras."),
        ("not distinguishable", "not distinguishable: either file will do"),
    ]:
        how, which = conclusions_of(with_refit_of(difference={**difference, "verdict": verdict}))
        assert how == (
            "Refit: a fresh model, trained on the rows that validate too (353 rows) for 340 updates, as many as the "
            "saved model of epoch 17 had, has a test RMSE of 54.00."
        )
        assert "−0.5000 (95 % interval −1.800 to +0.7000; bootstrap p = 0.4) on the same 89 test rows" in which
        assert advice in which
    untested = with_refit_of(values={"epoch": 17, "train": {"rmse": 50.0}}, difference=None)
    assert "No rows test" in conclusions_of(untested)[1]
    failed = with_refit_of(values=None, difference=None, state="failed", reason="a metric is not finite (loss)")
    assert failed.reason == "", "the run itself has finished"
    assert "The refit failed: a metric is not finite (loss)." in conclusions_of(failed)[0]
    # What earlier versions wrote.
    assert parse_summary(run_content()).refit is None  # type: ignore[union-attr]


def test_commands_that_compare_have_it_beside_the_saved_model_which_a_requirement_is_of() -> None:
    summary = with_refit_of()
    runs = [Run(Path(name), Status(state="finished"), summary) for name in ("a", "b")]
    for run in runs:
        run.path.mkdir()
        (run.path / "config.toml").write_text('command = "fit"\n')
    results = [measured_result(run, summary) for run in runs]
    arms = [Arm(result.run.path.name, (result,)) for result in results]
    measure = measure_of("test_rmse", arms)
    assert [(view.name, view.phrase) for view in measure.views] == [
        ("final", "test RMSE of the final model"),
        ("saved", "test RMSE of the saved model"),
        ("refit", "test RMSE of the refit"),
    ]
    assert [arm.mean("refit_test_rmse") for arm in arms] == [54.0, 54.0]
    assert results[0].value("refit_updates") == 340
    assert results[0].value("refit_val_rmse") is None, "it was trained on the rows that validate"
    assert _view_of(*arms, measure).name == "saved"


def test_over_seeds_the_difference_is_paired_and_the_updates_vary() -> None:
    config = parse(FitConfig, {"file": "net.py", "refit": True, "seeds": 4, "patience": 3})
    values = [(50.0, 49.0, 100), (52.0, 51.5, 200), (51.0, 51.5, 150), (53.0, 50.0, 350)]
    results = []
    for job, (saved, refitted, updates) in zip(plan_jobs(config), values, strict=True):
        of_seed = with_refit_of(updates=updates, values={"epoch": 17, "test": {"rmse": refitted}})
        best = replace(of_seed.best, test={"rmse": saved})  # type: ignore[type-var]
        results.append(job_result(job, "finished", summary=replace(of_seed, seed=job.config.seed, best=best)))
    sweep = with_refit(config, seed_results(config, results), results)
    seeds, refits = sweep.tables
    assert seeds.columns[-2:] == ("refit updates", "refit test RMSE")
    assert [row[-2] for row in seeds.rows[:4]] == ["100", "200", "150", "350"]
    (row,) = refits.rows
    # Mean −1, of −1, −0.5, 0.5 and −3.
    assert row[4].startswith("−1.000 [")
    assert row[5:] == ("200", "108", "100", "350")
    compared, varied = sweep.conclusions[-2:]
    assert compared.startswith("Refit against saved model: test RMSE −1.000 (95 % interval ")
    assert "n = 4" in compared
    assert varied == (
        "The number of updates that stopping chose varies over 4 seeds: mean 200, standard deviation 108, from 100 to "
        "350."
    )
    (summary,) = sweep.summary["refit"]
    assert summary["difference_mean"] == pytest.approx(-1.0)
    assert summary["updates_sd"] == pytest.approx(np.std([100, 200, 150, 350], ddof=1))
