"""What a run is told of other precisions: by what the machine has, and by steps that are measured."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from program import run
from quick_runs import quick_runs

from stopcli.runner import precision as precision_module
from stopcli.runner.precision import (
    ComparisonError,
    PrecisionCost,
    is_slow,
    measured_before,
    measured_cost,
    other_precision,
    planned_cost,
)
from stopcli.training.session import NullObserver


def has(*precisions: str) -> Any:
    return lambda precision: precision in precisions


class Listener:
    """An observer that keeps what it is told to note."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def small_config(**settings: Any) -> Any:
    from stopcli.configs.base import parse
    from stopcli.configs.classifier import CifarResnetConfig

    given = {"dataset": "digits", "depth": 8, "limit": 64, "test_limit": 32, "epochs": 1, "scale": "full", **settings}
    return parse(CifarResnetConfig, {"checkpoint": False, "threads": 1, **given})


def test_the_sentences_name_the_factor_and_what_all_of_it_takes() -> None:
    assert PrecisionCost("float32", "bfloat16", 6000.0, 0.6).sentence == (
        "in bfloat16 (--precision bfloat16) a training step takes 0.60 times as long: about 1h00m00s instead of "
        "1h40m00s"
    )
    assert PrecisionCost("bfloat16", "float32", 60.0, 0.8).sentence == (
        "this machine has no instructions for bfloat16, which saves time only where there are some: a training step "
        "takes 1.25 times as long as in float32"
    )


@pytest.mark.parametrize(
    ("here", "config", "slow", "other"),
    [
        ((), "float32", False, None),
        ((), "bfloat16", True, "float32"),
        ((), "float16", True, "float32"),
        (("bfloat16",), "float32", False, "bfloat16"),
        (("bfloat16",), "bfloat16", False, None),
        (("bfloat16",), "float16", True, "float32"),
    ],
)
def test_what_is_compared_follows_from_what_the_machine_has(
    here: tuple[str, ...], config: str, *, slow: bool, other: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_module, "has_gpu", lambda: False)
    monkeypatch.setattr(precision_module, "computes_in", has(*here))
    assert is_slow(small_config(precision=config)) == slow
    assert other_precision(small_config(precision=config)) == other


def test_a_gpu_is_asked_instead_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "has_gpu", lambda: True)
    monkeypatch.setattr(precision_module, "computes_in", has("bfloat16"))
    monkeypatch.setattr(precision_module, "gpus_compute_in", has("float16"))
    assert is_slow(small_config(precision="bfloat16"))
    assert not is_slow(small_config(precision="float16"))


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(
    ("capabilities", "bfloat16", "float16"),
    [
        ([(8, 0)], True, True),
        ([(7, 5)], False, True),
        ([(9, 0), (7, 0)], False, True),
        ([(6, 1)], False, False),
        ([None], None, None),
        ([(9, 0), None], None, None),
    ],
)
def test_a_gpu_computes_by_its_generation(
    capabilities: list[tuple[int, int] | None],
    bfloat16: bool | None,
    float16: bool | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    from stopcli.training.tf_setup import gpus_compute_in

    details = [{} if capability is None else {"compute_capability": capability} for capability in capabilities]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: range(len(details)))
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details[gpu])
    assert [gpus_compute_in(precision) for precision in ("bfloat16", "float16")] == [bfloat16, float16]


def test_what_a_gpu_does_not_tell_is_neither_advised_nor_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "has_gpu", lambda: True)
    monkeypatch.setattr(precision_module, "gpus_compute_in", lambda precision: None)
    assert not is_slow(small_config(precision="bfloat16"))
    assert other_precision(small_config()) is None


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(("precision", "here"), [("bfloat16", ()), ("float32", ("bfloat16",))])
def test_steps_are_measured_and_leave_the_loop_at_its_start(
    precision: str, here: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from stopcli.recipes.base import recipe_for

    monkeypatch.setattr(precision_module, "has_gpu", lambda: False)
    monkeypatch.setattr(precision_module, "computes_in", has(*here))
    config = small_config(precision=precision)
    recipe = recipe_for(config)
    loaded = recipe.load(config, NullObserver())
    experiment = recipe.build(loaded)
    loop = experiment.make_loop()
    loop.compile()
    start = loop.state()
    if precision == "float32":
        # A short run is not worth compiling another one.
        assert measured_cost(loaded, experiment, loop, print) is None
        monkeypatch.setattr(precision_module, "LONG_SECONDS", 0.0)
    cost = measured_cost(loaded, experiment, loop, print)
    assert cost is not None
    assert (cost.precision, cost.other) == (precision, "float32" if precision == "bfloat16" else "bfloat16")
    assert cost.seconds > 0
    assert 0.01 < cost.ratio < 100
    assert loop.partial is None
    assert all(np.array_equal(a, b) for a, b in zip(loop.state(), start, strict=True))


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that computes in bfloat16, on which every training is long."""
    monkeypatch.setattr(precision_module, "has_gpu", lambda: False)
    monkeypatch.setattr(precision_module, "computes_in", has("bfloat16"))
    monkeypatch.setattr(precision_module, "LONG_SECONDS", 0.0)


@pytest.mark.usefixtures("tensorflow", "with_bfloat16")
def test_a_comparison_that_fails_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has asked for it: whatever it raises, the run trains, and its log has the reason."""
    from stopcli.configs.base import to_toml
    from stopcli.recipes.base import recipe_for
    from stopcli.runner.run import run_one
    from stopcli.runs.folder import RunFolder
    from stopcli.training.session import Session

    class Unfit:
        def build(self, loaded: Any) -> Any:
            assert loaded.config.precision == "bfloat16"
            raise TypeError("float32 and bfloat16 in one product")

    monkeypatch.setattr(precision_module, "recipe_for", lambda config: Unfit())
    listener, config = Listener(), small_config()
    folder = RunFolder.create(
        root=tmp_path, command=config.command, name="", run_dir=tmp_path / "run", config=to_toml(config)
    )
    with folder:
        summary = run_one(recipe_for(config).load(config, listener), folder, Session(listener), plots=False)
    assert (summary.state, listener.notes, summary.warnings) == ("finished", [], ())
    log = (tmp_path / "run/log.txt").read_text()
    assert "what bfloat16 would take could not be measured: " in log
    assert "float32 and bfloat16 in one product" in log


@pytest.mark.usefixtures("tensorflow", "with_bfloat16")
def test_nothing_is_compared_once_a_stop_is_requested_or_where_the_model_has_short_numbers_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dataclasses import replace

    from stopcli.recipes.base import recipe_for

    def build(precision: str) -> Any:
        config = small_config(precision=precision)
        loaded = recipe_for(config).load(config, NullObserver())
        experiment = recipe_for(config).build(loaded)
        loop = experiment.make_loop()
        loop.compile()
        return replace(loaded, config=small_config()), experiment, loop

    loaded, experiment, loop = build("float32")
    start, stages = loop.state(), []
    assert measured_cost(loaded, experiment, loop, stages.append, lambda: True) is None
    assert stages == ["measuring a few steps"]
    assert all(np.array_equal(a, b) for a, b in zip(loop.state(), start, strict=True))

    def fails(loop: Any, most: int) -> float:
        raise MemoryError

    # A file that sets bfloat16 itself is not told what it has.
    assert measured_cost(*build("bfloat16"), stages.append) is None
    assert stages == ["measuring a few steps"]
    calls = iter([lambda *_: 1.0, fails])
    monkeypatch.setattr(precision_module, "step_seconds_of", lambda *arguments: next(calls)(*arguments))
    with pytest.raises(ComparisonError, match="what bfloat16 would take could not be measured: MemoryError"):
        measured_cost(loaded, experiment, loop, stages.append)


@pytest.mark.usefixtures("with_bfloat16")
def test_a_plan_is_compared_by_its_first_arm_unless_that_has_short_numbers_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from stopcli.recipes.base import LoadedConfig
    from stopcli.runner.estimate import ArmEstimate, SweepEstimate
    from stopcli.sweeps.layout import Layout
    from stopcli.sweeps.plan import plan_jobs

    def estimate(train_seconds: float, *, has_short_numbers: bool = False) -> ArmEstimate:
        return ArmEstimate(1, 64, 1, 1.0, train_seconds, 1.0, has_short_numbers)

    def measure(loaded: LoadedConfig, process_seconds: float) -> ArmEstimate:
        assert loaded.config.precision == "bfloat16"
        return estimate(60.0)

    monkeypatch.setattr(precision_module, "measure_arm", measure)
    config = small_config(seeds=2)
    jobs, layout = plan_jobs(config), Layout("in-process", 1, 1)
    loaded = LoadedConfig(config, None, ())
    arm = jobs[0].arm
    plan = SweepEstimate(config, jobs, {arm: estimate(100.0)}, layout)
    assert planned_cost(plan, loaded) == PrecisionCost("float32", "bfloat16", plan.seconds, 0.6)
    own = SweepEstimate(config, jobs, {arm: estimate(100.0, has_short_numbers=True)}, layout)
    assert planned_cost(own, loaded) is None


@pytest.mark.usefixtures("tensorflow")
def test_a_run_that_is_slow_here_says_so_and_its_file_reaches_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stopcli.configs.base import to_toml
    from stopcli.recipes.base import recipe_for
    from stopcli.runner.run import run_one
    from stopcli.runs.folder import RunFolder
    from stopcli.training.session import Session

    monkeypatch.setattr(precision_module, "has_gpu", lambda: False)
    monkeypatch.setattr(precision_module, "computes_in", has())
    listener = Listener()
    config = small_config(precision="bfloat16", checkpoint=True, checkpoint_monitor="val_loss")
    loaded = recipe_for(config).load(config, listener)
    folder = RunFolder.create(
        root=tmp_path, command=config.command, name="", run_dir=tmp_path / "run", config=to_toml(config)
    )
    with folder:
        summary = run_one(loaded, folder, Session(listener), plots=False)
    assert len(listener.notes) == 1
    factor = r"a training step takes \d+\.\d\d times as long as in float32"
    assert re.fullmatch(f"this machine has no instructions for bfloat16, .*: {factor}", listener.notes[0])
    assert listener.notes[0] in (folder.path / "log.txt").read_text()
    assert summary.warnings.count(listener.notes[0]) == 1

    with zipfile.ZipFile(folder.best_model) as file:
        assert b"stopcli" not in file.read("config.json"), "it needs Keras alone"
    # So loaded, the file reaches what the summary says, in its own precision.
    import keras

    saved, test = keras.saving.load_model(folder.best_model), loaded.data.parts.test
    assert {layer.compute_dtype for layer in saved.layers} == {"bfloat16", "float32"}
    assert {weight.dtype for weight in saved.weights} == {"float32"}
    loss, accuracy = saved.evaluate(test.x / np.float32(255), test.y, verbose=0)
    assert accuracy == pytest.approx(summary.best.get("test", "accuracy"), abs=1e-6)
    assert loss == pytest.approx(summary.best.get("test", "loss"), rel=1e-5)


SLOW = "this machine has no instructions for bfloat16, which saves time only where there are some"
FACTOR = re.compile(f"{SLOW}: a training step takes \\d+\\.\\d\\d times as long as in float32")


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "has_gpu", lambda: False)
    monkeypatch.setattr(precision_module, "computes_in", has())


def slow_warnings(path: str | Path) -> list[str]:
    return [text for text in json.loads(Path(path, "summary.json").read_text())["warnings"] if SLOW in text]


@pytest.mark.usefixtures("tensorflow", "without_bfloat16")
def test_a_sweep_that_is_slow_here_says_the_factor_that_its_first_run_has_measured() -> None:
    with quick_runs():
        assert (
            run("moons", "--epochs", "4", "--seeds", "2", "--precision", "bfloat16", "--run-dir", "two", "--quiet") == 0
        )
    first, second = sorted(Path("two/jobs").iterdir())
    (measured,) = slow_warnings(first)
    assert FACTOR.fullmatch(measured)
    assert slow_warnings(second) == [], "one measurement is enough"
    assert slow_warnings("two") == [measured]
    assert measured in Path("two/report.md").read_text()


@pytest.mark.usefixtures("tensorflow", "without_bfloat16")
def test_a_sweep_whose_first_run_measures_nothing_says_that_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "measured_cost", lambda *arguments: None)
    with quick_runs():
        assert (
            run("moons", "--epochs", "4", "--seeds", "2", "--precision", "bfloat16", "--run-dir", "two", "--quiet") == 0
        )
    assert slow_warnings("two") == [SLOW]


@pytest.mark.usefixtures("tensorflow", "without_bfloat16")
def test_what_was_measured_stands_in_the_results_of_a_run_that_is_resumed() -> None:
    with quick_runs():
        assert run("moons", "--epochs", "4", "--precision", "bfloat16", "--run-dir", "one", "--quiet") == 0
        (measured,) = slow_warnings("one")
        assert run("resume", "one", "--epochs", "6", "--quiet") == 0
    assert FACTOR.fullmatch(measured)
    assert slow_warnings("one") == [measured]


@pytest.mark.usefixtures("tensorflow", "without_bfloat16")
def test_a_range_test_that_is_slow_here_says_the_factor_and_suggests_as_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("lr-range", "--dataset", "moons", "--model", "mlp", "--iterations", "20", "--seeds", "2")
    with quick_runs():
        assert run(*command, "--precision", "bfloat16", "--run-dir", "measured", "--quiet") == 0
        monkeypatch.setattr(precision_module, "measured_cost", lambda *arguments: None)
        assert run(*command, "--precision", "bfloat16", "--run-dir", "unmeasured", "--quiet") == 0
    (measured,) = slow_warnings("measured")
    assert FACTOR.fullmatch(measured)
    assert slow_warnings("unmeasured") == [SLOW]
    # What a resumed one repeats.
    assert measured_before(Path("measured"), "bfloat16") == measured
    assert measured_before(Path("unmeasured"), "bfloat16") == ""
    for seed in (0, 1):
        name = f"steps-seed{seed}.csv"
        assert Path("measured", name).read_bytes() == Path("unmeasured", name).read_bytes()


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("where", ["file", "build"])
def test_a_record_names_the_policy_that_a_file_has_set(where: str) -> None:
    policy = 'keras.config.set_dtype_policy("mixed_bfloat16")'
    Path("net.py").write_text(
        f"""
import keras
import numpy as np

{policy if where == "file" else ""}

def data():
    x = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
    return x, x.sum(axis=1)

def build(x, y):
    {policy if where == "build" else ""}
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    return model
"""
    )
    with quick_runs():
        assert run("fit", "net.py", "--epochs", "1", "--run-dir", "own", "--quiet") == 0
        assert run("moons", "--epochs", "1", "--precision", "bfloat16", "--run-dir", "short", "--quiet") == 0
    recorded = {name: json.loads(Path(name, "environment.json").read_text())["precision"] for name in ("own", "short")}
    assert recorded == {"own": "mixed_bfloat16", "short": "mixed_bfloat16"}
