"""Whether a new run may take the place of an old one: by which interval, and how often that is wrong."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from program import run
from written_runs import ENVIRONMENT, write_run, write_sweep

from stopcli.analysis.compare import compare
from stopcli.analysis.gate import Gate, Requirement, gate_of, outer_bounds
from stopcli.errors import ConfigError
from stopcli.runs.predictions import PredictedClasses, PredictedValues, write_predictions
from stopcli.stats import bootstrap
from stopcli.stats.bootstrap import RowScores
from stopcli.stats.differences import rows_difference
from stopcli.stats.scores_difference import scores_difference

Floats = NDArray[np.float64]
RMSE = {"name": "rmse", "direction": "min", "kind": "error", "unit": "EUR"}
DRAW = np.random.default_rng(0)
# Rows are hard for both models.
HARD = DRAW.gamma(4, 0.25, 200)
OLD = HARD * DRAW.uniform(0.9, 1.1, 200)
# Their RMSE differs by less than 0.01 from the old one's, by −0.2, and by +0.2.
ALIKE = HARD * DRAW.uniform(0.9, 1.1, 200)
LOWER, HIGHER = (HARD * DRAW.uniform(low, low + 0.2, 200) for low in (0.7, 1.1))


def rmse(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors.astype(np.float32) ** 2)))


def predicted(errors: Floats, rows: str) -> PredictedValues:
    scores = (errors[:, None] ** 2).astype(np.float32)
    return PredictedValues(rows, "root", rmse(errors), rmse(errors), scores, scores)


def write(name: str, errors: Floats, rows: str = "the rows", **settings: object) -> Path:
    """A run of a regression whose final and saved model are the same."""
    path = write_run(name, **{"hidden": 4, **settings})
    summary = json.loads((path / "summary.json").read_text())
    tested = {"loss": rmse(errors) ** 2, "rmse": rmse(errors)}
    for model in ("final", "best"):
        summary[model] |= {"test": tested, "train": tested}
    (path / "summary.json").write_text(json.dumps(summary | {"headline": RMSE}))
    write_predictions(path / "predictions.npz", predicted(errors, rows))
    return path


def gate(require: str, by: str = "0", metric: str = "test_rmse", *, runs: tuple[str, ...] = ("old", "new")) -> Gate:
    results = compare([Path(name) for name in runs], metric=metric, apart=len(runs) == 2)
    return gate_of(results, Requirement(require, by))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("errors", "require", "by", "holds"),
    [
        (ALIKE, "not-worse", "0.1", True),
        (ALIKE, "not-worse", "0", None),
        (ALIKE, "better", "0", None),
        (ALIKE, "better", "0.1", False),
        (LOWER, "not-worse", "0", True),
        (LOWER, "better", "10%", True),
        (LOWER, "better", "0.2", None),
        (HIGHER, "not-worse", "5%", False),
        (HIGHER, "not-worse", "20%", None),
        (HIGHER, "better", "0", False),
        # The very same predictions are not worse, for sure.
        (OLD, "not-worse", "0", True),
        (OLD, "better", "0", False),
    ],
)
def test_two_runs_on_the_same_rows_pass_by_their_interval(
    errors: Floats, require: str, by: str, holds: bool | None
) -> None:
    write("old", OLD)
    write("new", errors)
    found = gate(require, by)
    assert found.holds is holds
    assert found.exit_status == {True: 0, False: 3, None: 4}[holds]
    assert found.evidence.difference == pytest.approx(rmse(errors) - rmse(OLD), abs=1e-6)
    expected = float(by.removesuffix("%")) * (rmse(OLD) / 100 if by.endswith("%") else 1)
    assert found.margin == pytest.approx(expected)


def test_the_answer_is_the_first_sentence_and_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    # They differ by their seed only, and are still two things.
    write("old", OLD, seed=0)
    write("new", HIGHER, seed=1)
    words = ["compare", "old", "new", "--metric", "test_rmse", "--require", "not-worse", "--by", "0.05", "--json"]
    assert run(*words) == 3
    said = capsys.readouterr()
    first = said.err.splitlines()[0]
    assert first.startswith(
        "The requirement does not hold: new must not be worse than old by more than 0.05 EUR in test RMSE of the saved "
        "model, and differs by +0."
    )
    assert first.endswith("on the same 200 test rows); all of the interval is worse by more than the margin.")
    summary = json.loads(said.out)
    found = summary["gate"]
    assert found == found | {"require": "not-worse", "by": "0.05", "margin": 0.05, "holds": False, "words": first}
    assert 0.05 < found["low"] < found["difference"] < found["high"]
    assert first in Path(summary["run_dir"], "report.md").read_text()


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--by", "0.1"], "--by: received '0.1', expected nothing without --require"),
        (["--require", "better", "--by=-0.1"], "--by: received '-0.1', expected a finite number ≥ 0"),
        (["--require", "better", "--by", "nan"], "--by: received 'nan', expected a finite number ≥ 0"),
        (["--require", "better", "--by", "inf%"], "--by: received 'inf%', expected a finite number ≥ 0"),
        (["--require", "better", "--metric", "epochs"], "--mode: received 'auto', expected 'min' or 'max'"),
        (["third", "--require", "better"], "--require: received 3 arms"),
        (["--require", "worse"], "worse"),
    ],
)
def test_a_wrong_request_is_no_answer(words: list[str], answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, hidden in (("old", 4), ("new", 5), ("third", 6)):
        write(name, OLD, hidden=hidden)
    assert run("compare", "old", "new", *words) == 2
    assert answer in capsys.readouterr().err
    assert not Path("runs").exists()


def started(name: str, errors: Floats, before: Floats | None, model: Path) -> None:
    """A run on other test rows, which was started from a model, whose errors there are known, or are not."""
    ancestry = {"path": str(model), "sha256": hashlib.sha256(model.read_bytes()).hexdigest(), "optimizer": False}
    path = write(name, errors, "new rows", environment={**ENVIRONMENT, "init_from": ancestry})
    if before is not None:
        write_predictions(path / "before.npz", predicted(before, "new rows"))


def test_a_run_that_went_on_with_more_rows_is_compared_on_its_own() -> None:
    (write("old", OLD * 3) / "checkpoints").mkdir()
    model = Path("old/checkpoints/best.keras")
    model.write_bytes(b"a model")
    started("new", LOWER, OLD, model)
    found = gate("better", "1%")
    assert found.holds is True
    assert found.evidence.old == pytest.approx(rmse(OLD))
    assert found.margin == pytest.approx(rmse(OLD) / 100)
    assert "on new's 200 test rows, for which old's model was measured (before.npz)" in found.sentence
    started("unmeasured", LOWER, None, model)
    found = gate("better", runs=("old", "unmeasured"))
    assert found.exit_status == 4
    assert found.reason.startswith(
        "unmeasured was started from old, which is not known on its test rows (unmeasured/bef"
    )
    # Another model than that which the folder has is no ancestor.
    model.write_bytes(b"another model")
    found = gate("better")
    assert found.holds is None
    assert found.reason == "the runs have other test rows, or the same in another order"


def test_accuracies_are_compared_by_the_rows_that_only_one_model_has_right() -> None:
    target = np.zeros(300, np.uint8)
    wrong = {"old": 60, "new": 30}
    for name, count in wrong.items():
        path = write_run(name, accuracy=1 - count / 300, saved=1 - count / 300, hidden=4)
        classes = np.where(np.arange(300) < count, np.uint8(1), np.uint8(0))
        write_predictions(path / "predictions.npz", PredictedClasses("rows", target, classes, classes))
    expected = rows_difference(240, 30, 0, 30)
    found = gate("better", "0.05", "test_accuracy")
    assert found.evidence.bounds == (expected.low, expected.high)
    assert found.holds is True
    assert gate("not-worse", "0", "test_accuracy", runs=("new", "old")).holds is False


def test_sweeps_are_compared_over_their_seeds() -> None:
    from scipy import stats

    old, new = [0.90, 0.91, 0.93, 0.92, 0.90], [0.92, 0.94, 0.94, 0.95, 0.91]
    for name, values in (("old", old), ("new", new)):
        write_sweep(name, {"simple": values}, simple={"saved": None})
    found = gate("better", "0", "test_accuracy")
    assert found.holds is True
    assert "over 5 seeds" in found.sentence
    differences = np.subtract(new, old)
    student = stats.t.interval(0.95, 4, differences.mean(), differences.std(ddof=1) / math.sqrt(5))
    assert found.evidence.bounds is not None
    assert found.evidence.bounds[0] <= student[0] < student[1] <= found.evidence.bounds[1]
    assert gate("not-worse", "0.05", "test_accuracy", runs=("new", "old")).holds is True
    assert gate("not-worse", "0.001", "test_accuracy", runs=("new", "old")).holds is False


@pytest.mark.parametrize("state", ["failed", "paused"])
def test_seeds_that_failed_make_no_better_answer(state: str) -> None:
    for name, values in (("old", [0.90, 0.91, 0.93, 0.92, 0.90]), ("new", [0.92, 0.94, 0.94, 0.95])):
        write_sweep(name, {"simple": values}, simple={"saved": None})
    write_run("new/jobs/simple-seed4", seed=4, accuracy=0.1, saved=None, state=state)
    content = json.loads(Path("new/summary.json").read_text())
    content["jobs"].append({"name": "simple-seed4", "state": state, "reason": "why"})
    Path("new/summary.json").write_text(json.dumps(content))
    found = gate("better", "0", "test_accuracy")
    assert (found.holds, found.exit_status) == (None, 4)
    assert found.reason == f"1 of 5 runs of new has not finished ({state})"


@pytest.mark.parametrize(
    ("diverged", "reason"),
    [((3,), "1 of 5 runs of new has no val_loss"), (range(5), "new has no val_loss")],
)
def test_seeds_that_diverged_make_no_better_answer(diverged: Sequence[int], reason: str) -> None:
    files = []
    for name, loss in (("old", 0.9), ("new", 0.5)):
        Path(name).mkdir()
        for seed in range(5):
            value = math.nan if name == "new" and seed in diverged else loss + seed / 100
            files.append(f"{name}/seed{seed}.csv")
            Path(files[-1]).write_text(f"epoch,val_loss\n1,{value}\n2,{value}\n")
    found = gate("better", "0", "val_loss", runs=tuple(files))
    assert (found.holds, found.exit_status) == (None, 4)
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rows": "other rows"}, "the runs have other test rows, or the same in another order"),
        ({"state": "interrupted"}, "new has not finished (interrupted)"),
    ],
)
def test_what_cannot_be_told_is_said_with_the_reason(change: dict[str, str], reason: str) -> None:
    write("old", OLD)
    write("new", LOWER, **change)
    found = gate("not-worse", "0.1")
    assert (found.holds, found.reason) == (None, reason)


def test_where_no_rows_are_on_record_the_settings_say_which_they_are() -> None:
    write("old", OLD)
    write("new", LOWER, data_seed=2)
    # The same rows, whatever the settings are called.
    assert gate("better").holds is True
    for name in ("old", "new"):
        Path(name, "predictions.npz").unlink()
    found = gate("better")
    assert (found.holds, found.reason) == (None, "the runs are measured on different test rows (data_seed 1 and 2)")


def test_the_tables_call_the_runs_as_the_answer_does() -> None:
    write("old", OLD)
    write("new", LOWER, hidden=5)
    results = compare([Path("old"), Path("new")], metric="test_rmse", apart=True)
    assert [arm.label for arm in results.arms] == ["old", "new"]
    assert results.comparisons[0].sentence.startswith("new against old")
    assert "new must be better than old" in gate_of(results, Requirement("better")).sentence


def test_a_single_run_tells_nothing_of_other_metrics_and_few_seeds_of_none() -> None:
    write("old", OLD)
    write("new", LOWER)
    assert "there is no interval" in gate("better", metric="val_loss").reason
    assert gate("better", metric="test_loss").reason.endswith("in the metric that counts in them, test_rmse")
    for name, value in (("flat", 0.9), ("higher", 0.95)):
        write_sweep(name, {"simple": [value] * 3}, simple={"saved": None})
    found = gate("better", "0", "test_accuracy", runs=("flat", "higher"))
    assert (found.holds, found.reason) == (None, "the values of 3 seeds do not vary, which may be chance")
    Path("new/predictions.npz").write_bytes(b"PK\3\4 no archive")
    assert gate("better").reason.startswith("new/predictions.npz: damaged")


def test_requirements_are_checked() -> None:
    with pytest.raises(ConfigError, match="require: received 'worse'"):
        Requirement("worse")  # type: ignore[arg-type]
    for by in ("", "%", "much", "-1", "-1%", "nan", "1e999"):
        with pytest.raises(ConfigError, match="by: received "):
            Requirement("better", by)


# How often the gate is wrong; the draws are the same every time. More than 5 % of so many cases at 2.5 % are rare.
CASES = 200
MOST_WRONG = CASES * 5 // 100


@pytest.fixture
def _drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bootstrap's resamples, which are the same for the same number of rows, and take most of its time."""
    draw, known = bootstrap._counts, dict[int, list[Floats]]()
    monkeypatch.setattr(bootstrap, "RESAMPLES", 499)
    monkeypatch.setattr(bootstrap, "_counts", lambda groups: known.setdefault(groups, list(draw(groups))))


def normal(draw: np.random.Generator, rows: int) -> Floats:
    return draw.normal(size=rows)


def exponential(draw: np.random.Generator, rows: int) -> Floats:
    return draw.exponential(size=rows) / math.sqrt(2)


def lognormal(draw: np.random.Generator, rows: int) -> Floats:
    """Of 50 rows, one makes a fifth of the squared error."""
    return np.exp(0.75 * draw.normal(size=rows)) / math.exp(0.75**2)


def bounds_of_errors(ours: Floats, theirs: Floats) -> tuple[float, float]:
    difference = scores_difference(
        RowScores("root", ours[:, None] ** 2), RowScores("root", theirs[:, None] ** 2), "min"
    )
    assert difference is not None
    bounds = (difference.low, difference.high)
    return outer_bounds(difference.mean, bounds, difference.standard_error, difference.rows)


def regressions(
    errors: Callable[[np.random.Generator, int], Floats], rows: int, worse: float
) -> Iterator[tuple[float, float]]:
    """Intervals of the difference of two RMSE whose true values are 1 + worse and 1. Half of what makes a row hard is
    the same for both models."""
    draw = np.random.default_rng(rows)
    for _ in range(CASES):
        # Signs, so that the parts add up as they do in their squares.
        both, *own = (errors(draw, rows) * draw.choice([-1, 1], rows) for _ in range(3))
        new, old = ((both + one) / math.sqrt(2) for one in own)
        yield bounds_of_errors((1 + worse) * new, old)


@pytest.mark.usefixtures("_drawn_once")
@pytest.mark.parametrize(
    ("errors", "rows"), [(normal, 50), (exponential, 50), (lognormal, 50), (exponential, 400), (lognormal, 400)]
)
def test_a_regression_that_is_worse_by_the_margin_seldom_passes(
    errors: Callable[[np.random.Generator, int], Floats], rows: int
) -> None:
    margin, requirement = 0.1, Requirement("not-worse", "0.1")
    answers = [requirement.holds(margin, *bounds, "min") for bounds in regressions(errors, rows, margin)]
    assert answers.count(True) <= MOST_WRONG
    assert answers.count(False) <= MOST_WRONG


@pytest.mark.usefixtures("_drawn_once")
def test_a_regression_that_is_as_good_passes_with_a_tenth_as_margin_and_enough_rows() -> None:
    requirement = Requirement("not-worse", "0.1")
    passed = {
        rows: sum(requirement.holds(0.1, *bounds, "min") is True for bounds in regressions(normal, rows, 0.0)) / CASES
        for rows in (50, 400)
    }
    assert passed[50] == pytest.approx(0.13, abs=0.05)
    assert passed[400] == pytest.approx(0.61, abs=0.05)


def accuracies(rows: int, old: float, worse: float) -> Iterator[tuple[float, float]]:
    """Intervals of the difference of two accuracies, old − worse and old; what makes a row hard is half the same."""
    draw, normal = np.random.default_rng(rows), statistics.NormalDist()
    for _ in range(CASES * 5):
        both, *own = draw.normal(size=(3, rows))
        new_right, old_right = (
            (both + one) / math.sqrt(2) < normal.inv_cdf(share)
            for one, share in zip(own, (old - worse, old), strict=True)
        )
        pairs = [new_right & old_right, new_right & ~old_right, ~new_right & old_right, ~new_right & ~old_right]
        difference = rows_difference(*(int(rows.sum()) for rows in pairs))
        yield difference.low, difference.high


@pytest.mark.parametrize("rows", [50, 400])
@pytest.mark.parametrize("old", [0.7, 0.95])
def test_a_classifier_that_is_worse_by_the_margin_seldom_passes(rows: int, old: float) -> None:
    requirement = Requirement("not-worse", "0.05")
    answers = [requirement.holds(0.05, *bounds, "max") for bounds in accuracies(rows, old, 0.05)]
    assert answers.count(True) <= MOST_WRONG * 5
    assert answers.count(False) <= MOST_WRONG * 5


def test_a_classifier_that_is_as_good_passes_with_enough_rows() -> None:
    requirement = Requirement("not-worse", "0.05")
    passed = {
        rows: np.mean([requirement.holds(0.05, *bounds, "max") is True for bounds in accuracies(rows, 0.9, 0.0)])
        for rows in (50, 400)
    }
    assert passed[50] < 0.3
    assert passed[400] > 0.65
