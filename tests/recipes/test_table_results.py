"""How a network's models compare with simpler answers on test rows, and a table's worst rows as they stand in it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error
from summaries import run_summary

from stopcli.data.dataset import Examples, Splits
from stopcli.recipes import table_results
from stopcli.recipes.table_baselines import Baseline
from stopcli.recipes.table_results import (
    baselines_beside,
    parts_table,
    table_tables,
    telling_columns,
    with_baselines,
)
from stopcli.report.baselines import baseline_sentences, baselines_table
from stopcli.runs.headline import headline_of
from stopcli.runs.summary import parse_summary
from stopcli.runs.typed_json import to_json
from stopcli.stats.differences import rows_difference

ROWS = 240
DRAW = np.random.default_rng(4)
X = DRAW.normal(size=(ROWS, 3)).astype(np.float32)
NUMBERS = (20 + 5 * X[:, 0] + 8 * np.abs(X[:, 1]) + DRAW.normal(0, 1, ROWS)).astype(np.float32)
TWO = (X[:, 0] + np.abs(X[:, 1]) + DRAW.normal(0, 0.5, ROWS) > 1).astype(np.int32)
THREE = (TWO + (X[:, 2] > 1)).astype(np.int32)


class Plain:
    """An object with some attributes, which is itself and equal to no other."""

    def __init__(self, **values):
        self.__dict__.update(values)

    def trained_before(self):
        """The rows that earlier runs trained: there were none."""


def splits(y):
    rows = Examples(X, y)
    return Splits(rows.take(0, 120), rows.take(120, 160), rows.take(160, ROWS))


def model_of(units, activation, loss, metrics):
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation)])
    model.compile("sgd", loss(keras) if callable(loss) else loss, metrics=[one(keras) for one in metrics])
    return model


def compared(y, predictions, metric, units=1, activation=None, loss="mse", saved=None, classes=0):
    """The summary of a run whose final model predicts this for the test rows, and whose saved one perhaps something
    else, with its baselines."""
    from stopcli.training.row_scores import on_rows, value_on_rows

    headline, parts = headline_of(metric[0]), splits(y)
    model = model_of(units, activation, loss, [metric[1]])
    by_model = {"final": predictions, **({} if saved is None else {"best": saved})}
    values = {name: value_on_rows(model, headline, parts.test, of) for name, of in by_model.items()}
    measured = {name: on_rows(model, headline, parts.test, of, values[name]) for name, of in by_model.items()}
    content = {name: {"epoch": 9, "test": {metric[0]: value}} for name, value in values.items()}
    summary = run_summary(
        **{"best": None, **content}, rows={"train": 120, "validation": 40, "test": 80}, headline=to_json(headline)
    )
    evaluation = SimpleNamespace(summary=summary, test_predictions=predictions, on_rows=measured)
    table = Plain(columns=SimpleNamespace(classes=("a",) * classes))
    experiment = SimpleNamespace(headline=headline, model=model, parts=parts, loss=model.loss, table=table)
    return with_baselines(experiment, evaluation), baselines_beside(experiment)[0], parts.test


RMSE = ("rmse", lambda keras: keras.metrics.RootMeanSquaredError(name="rmse"))
MAE = ("mae", lambda keras: keras.metrics.MeanAbsoluteError(name="mae"))
ACCURACY = ("accuracy", lambda keras: "accuracy")
AUC = ("auc", lambda keras: keras.metrics.AUC(name="auc", num_thresholds=5000))

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_numbers_are_measured_and_compared_in_their_own_unit():
    better = (NUMBERS[160:, None] + DRAW.normal(0, 1, (80, 1))).astype(np.float32)
    worse = np.full((80, 1), 20, np.float32)
    summary, (mean, ridge), test = compared(NUMBERS, worse, RMSE, saved=better)
    ours, theirs = summary.baselines
    assert (ours.name, theirs.name) == ("mean", "ridge regression")
    for values, baseline in ((ours, mean), (theirs, ridge)):
        expected = root_mean_squared_error(test.y, baseline.predict(test.x)[:, 0])
        assert values.test["rmse"] == pytest.approx(expected, rel=1e-5)
        assert values.low < expected < values.high
    assert theirs.best.verdict == "better"
    assert theirs.best.mean == pytest.approx(summary.best.get("test", "rmse") - theirs.test["rmse"], rel=1e-5)
    assert theirs.best.low < theirs.best.mean < theirs.best.high < 0
    assert theirs.final.verdict == "worse"
    assert parse_summary(to_json(summary)) == summary
    (sentence,) = baseline_sentences(summary)
    first, second = sentence.split("). ")
    value, other = summary.best.get("test", "rmse"), theirs.test["rmse"]
    assert first.startswith(
        f"On the 80 test rows the saved model is better than ridge regression (test RMSE {value:.3f} against "
        f"{other:.3f}, difference −{other - value:.3f} [−"
    )
    assert second.startswith("It is better than the mean of the training targets (test RMSE ")
    table = baselines_table(summary)
    assert [row[0] for row in table.rows] == [
        "saved model, epoch 9", "final model, epoch 9", "mean", "ridge regression",
    ]  # fmt: skip
    assert table.columns[:3] == ("answer", "test RMSE", "difference")
    assert table.rows[3][3] == "better"
    assert table.rows[3][5] == "worse"
    assert float(table.exact[3][1]) == other


def test_a_network_that_is_no_better_than_a_linear_model_or_a_constant_is_told_so():
    _, (_, ridge), test = compared(NUMBERS, NUMBERS[160:, None], RMSE)
    same = ridge.predict(test.x)
    (sentence,) = baseline_sentences(compared(NUMBERS, same + np.float32(0.01), RMSE)[0])
    assert "the final model is not distinguishable from ridge regression (test RMSE" in sentence
    constant = np.full_like(same, 60)
    (sentence,) = baseline_sentences(compared(NUMBERS, constant, RMSE)[0])
    assert "]): use the linear model. It is worse than the mean of the training targets (" in sentence
    assert sentence.endswith("it predicts nothing that the training targets alone do not say.")


def test_absolute_errors_stand_beside_the_median():
    summary, (median, _), test = compared(NUMBERS, NUMBERS[160:, None] + 1, MAE)
    assert summary.baselines[0].name == "median"
    expected = mean_absolute_error(test.y, np.full(80, np.median(NUMBERS[:120])))
    assert summary.baselines[0].test["mae"] == pytest.approx(expected, rel=1e-5)
    assert median.predict(test.x)[0, 0] == np.median(NUMBERS[:120])


@pytest.mark.parametrize("form", ["one output", "one logit", "two outputs"])
def test_two_classes_are_compared_by_the_rows_that_only_one_has_right(form):
    right = TWO[160:] ^ (DRAW.random(80) < 0.05)
    predictions = np.where(right[:, None], 0.9, 0.1).astype(np.float32)
    units, activation, loss = 1, "sigmoid", "binary_crossentropy"
    if form == "one logit":
        predictions, activation = np.log(predictions / (1 - predictions)), None

        def loss(keras):
            return keras.losses.BinaryCrossentropy(from_logits=True)

    elif form == "two outputs":
        predictions, units, activation = np.hstack([1 - predictions, predictions]), 2, "softmax"
        loss = "sparse_categorical_crossentropy"
    summary, (shares, logistic), test = compared(TWO, predictions, ACCURACY, units, activation, loss, classes=2)
    probability = logistic.predict(test.x)[:, 1]
    # The author's own metric asks for more than one half of a logit.
    theirs = (probability > (1 / (1 + np.exp(-0.5)) if form == "one logit" else 0.5)) == test.y
    ours = right == test.y
    expected = rows_difference(
        *(int(rows.sum()) for rows in (ours & theirs, ours & ~theirs, ~ours & theirs, ~ours & ~theirs))
    )
    linear = summary.baselines[1]
    assert linear.test["accuracy"] == pytest.approx(theirs.mean())
    assert (linear.final.mean, linear.final.low, linear.final.high) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    assert linear.final.verdict == expected.verdict()
    majority = int(np.bincount(TWO[:120]).argmax())
    assert summary.baselines[0].test["accuracy"] == pytest.approx((test.y == majority).mean())
    assert shares.name == "most frequent class"
    assert "the most frequent class" in baseline_sentences(summary)[0]


def test_the_area_under_a_curve_and_the_cross_entropy_are_those_of_probabilities():
    predictions = np.clip(TWO[160:, None] * 0.4 + DRAW.uniform(0, 0.6, (80, 1)), 0.01, 0.99).astype(np.float32)
    options = {"activation": "sigmoid", "loss": "binary_crossentropy", "classes": 2}
    summary, (_, logistic), test = compared(TWO, predictions, AUC, **options)
    assert summary.baselines[0].test["auc"] == pytest.approx(0.5)
    assert summary.baselines[0].final.verdict == "better"
    probability = logistic.predict(test.x)
    assert summary.baselines[1].test["auc"] == pytest.approx(roc_auc_score(test.y, probability[:, 1]), abs=1e-3)
    assert summary.baselines[1].final.low < summary.baselines[1].final.mean
    summary, _, _ = compared(TWO, predictions, ("loss", ACCURACY[1]), **options)
    assert summary.baselines[1].test["loss"] == pytest.approx(log_loss(test.y, probability), rel=1e-4)


def test_of_several_classes_each_has_its_share():
    predictions = np.eye(3, dtype=np.float32)[THREE[160:]] * 0.7 + 0.1
    loss = "sparse_categorical_crossentropy"
    summary, (_, logistic), test = compared(THREE, predictions, ACCURACY, 3, "softmax", loss, classes=3)
    expected = (logistic.predict(test.x).argmax(axis=1) == test.y).mean()
    assert summary.baselines[1].test["accuracy"] == pytest.approx(expected)


def test_other_outputs_too_few_rows_and_one_class_are_no_failure():
    several, _, _ = compared(NUMBERS, NUMBERS[160:, None], RMSE)
    experiment = SimpleNamespace(
        headline=headline_of("rmse"), model=model_of(2, None, "mse", [RMSE[1]]), loss="mse", parts=splits(NUMBERS),
        table=Plain(columns=SimpleNamespace(classes=())),
    )  # fmt: skip
    evaluation = SimpleNamespace(
        summary=replace(several, baselines=()), test_predictions=np.zeros((80, 2), np.float32), on_rows={}
    )
    assert with_baselines(experiment, evaluation).baselines == ()
    one_class = np.zeros(ROWS, np.int32)
    summary, _, _ = compared(
        one_class, np.full((80, 1), 0.2, np.float32), AUC, activation="sigmoid", loss="binary_crossentropy", classes=2
    )
    assert summary.warnings == ("there is no linear model to compare with: all training rows have the same target",)
    assert baseline_sentences(summary) == [] or summary.baselines[0].final is None


def test_without_an_interval_a_sentence_says_why_nothing_is_told():
    summary, _, _ = compared(NUMBERS, NUMBERS[160:, None], RMSE)
    bare = tuple(replace(one, final=None) for one in summary.baselines)
    (sentence,) = baseline_sentences(replace(summary, baselines=bare))
    assert sentence.endswith("cannot be told on 80 test rows: they are too few, or the metric has no value for each.")


HEAD = "price,rooms,note,colour,area\n"


@pytest.fixture
def houses(tmp_path):
    """A table of six rows, one of which has no target and one two lines, with what a run knows of it."""
    from stopcli.data.table_columns import choose_columns, has_target, raw_rows
    from stopcli.data.table_file import read_table

    lines = [
        '612000.5,3,"two\nlines",red,80.25', ",4,x,red,90", "250000,,y,,55.5", "300000,2,z,blue,60",
        "100000,1,z,blue,20", "900000,9,z,green,300",
    ]  # fmt: skip
    path = tmp_path / "houses.csv"
    path.write_text(HEAD + "\n".join(lines) + "\n")
    table = read_table(path)
    columns, _ = choose_columns(table, target="price", task="regression")
    table = replace(table, frame=table.frame[has_target(table, columns)])
    parts = SimpleNamespace(
        table=(
            {"part": "train", "rows": 3, "from": "2026-01-01"},
            {"part": "test", "rows": 2, "from": "2026-02-01"},
        )
    )
    return Plain(table=table, columns=columns, raw=raw_rows(table, columns), row_parts=parts)


def run_on(houses, predicted):
    """The tables of a run whose test rows are the first and the second with a target."""
    order = np.array([2, 3, 4, 0, 1])
    y, in_file = houses.raw.target[order], houses.table.frame.index.to_numpy()[order]
    rows = Examples(np.zeros((5, 2), np.float32), y)
    parts = Splits(rows.take(0, 3), rows.take(0, 0), rows.take(3, 5), {"train": in_file[:3], "test": in_file[3:]})
    experiment = SimpleNamespace(loss="mse", parts=parts, classes=(), table=houses, headline=headline_of("rmse"))
    predictions = np.array(predicted, np.float32)[:, None]
    evaluation = SimpleNamespace(test_predictions=predictions, summary=run_summary(best=None))
    return experiment, evaluation


def test_the_worst_rows_are_named_by_their_line_and_shown_as_they_stand_in_the_table(houses, monkeypatch):
    columns, effects = houses.columns, {"rooms": 2.0, "area": 3.0, "note": 9.0, "colour": 1.0}
    baseline = Baseline(
        "ridge regression", len, True,
        number_effects=(*(effects[name] for name in columns.numbers), 50.0),
        word_effects=tuple(effects[name] for name in columns.words),
    )  # fmt: skip
    monkeypatch.setattr(table_results, "baselines_beside", lambda experiment: ((baseline,), ()))
    experiment, evaluation = run_on(houses, [612000.5, 1_250_000])
    worst = table_tables(experiment, evaluation)["worst"]
    assert worst.columns[:4] == ("line", "true", "predicted", "error")
    assert worst.columns[4:] == tuple(sorted(columns.features, key=lambda name: -effects[name]))
    by_column = [dict(zip(worst.columns, row, strict=True)) for row in worst.rows]
    # The second row with a target is on the fifth line: one without is left out, and a cell holds a line break.
    assert [row["line"] for row in by_column] == ["5", "2"]
    assert [by_column[0][name] for name in ("true", "predicted", "error")] == ["250000", "1250000", "1000000"]
    assert (by_column[0]["rooms"], by_column[0]["colour"], by_column[0]["area"]) == ("–", "–", "55.50")
    assert by_column[1]["note"] == "two lines" if "note" in columns.words else True
    exact = dict(zip(worst.columns, worst.exact[1], strict=True))
    assert (exact["area"], exact["true"]) == ("80.25", "612000.5")


def test_a_file_that_is_gone_by_then_has_rows_in_the_place_of_lines(houses):
    houses.table.path.unlink()
    experiment, evaluation = run_on(houses, [612000.5, 1_250_000])
    evaluation.summary = replace(evaluation.summary, state="interrupted")
    worst = table_tables(experiment, evaluation)["worst"]
    assert (worst.columns[0], worst.rows[0][0], worst.rows[1][0]) == ("row", "3", "1")
    assert worst.columns[4:] == houses.columns.features


def test_parts_have_their_rows_their_times_and_the_mean_of_the_target(houses):
    experiment, _ = run_on(houses, [0, 0])
    table = parts_table(houses, experiment.parts)
    assert table.columns == ("part", "rows", "from", "mean target", "sd")
    assert table.rows[0][:3] == ("train", "3", "2026-01-01")
    assert float(table.exact[1][3]) == np.mean([612000.5, 250000])


def test_the_columns_that_move_a_linear_model_farthest_are_shown():
    columns = SimpleNamespace(numbers=tuple("abc"), words=tuple("de"))
    linear = Baseline("ridge regression", len, True, number_effects=(0.1, 5, 1, 99), word_effects=(3, 0.2))
    assert telling_columns(columns, [Baseline("mean", len), linear], 3) == ("b", "d", "c")
    assert telling_columns(columns, [Baseline("mean", len)], 2) == ("a", "b")


def test_confidences_have_three_digits_also_where_they_are_one(houses):
    experiment, evaluation = run_on(houses, [0, 0])
    houses.columns = replace(houses.columns, task="classes", classes=("no", "yes"))
    rows = Examples(experiment.parts.test.x, np.array([0, 1], np.int32))
    experiment.parts = replace(experiment.parts, test=rows)
    experiment.loss, experiment.classes = "binary_crossentropy", houses.columns.classes
    evaluation.test_predictions = np.array([[1.0], [0.25]], np.float32)
    evaluation.summary = replace(evaluation.summary, state="interrupted")
    worst = table_tables(experiment, evaluation)["worst"]
    assert [row[:4] for row in worst.rows] == [("2", "no", "yes", "1.000"), ("5", "yes", "no", "0.750")]
