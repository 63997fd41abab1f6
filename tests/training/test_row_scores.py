"""The metric that counts row by row, against what Keras measures; what a model was trained for; what is kept of it."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stopcli.data.dataset import Examples
from stopcli.runs.headline import Headline, headline_of
from stopcli.runs.predictions import PredictedClasses, PredictedValues, read_predictions, write_predictions
from stopcli.training.task import task_of

pytestmark = pytest.mark.usefixtures("tensorflow")

ROWS = 60
DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(ROWS, 3)).astype(np.float32)
NUMBERS = (X.sum(axis=1) + DRAW.normal(0, 0.3, ROWS)).astype(np.float32)
CLASSES = (np.abs(X).argmax(axis=1)).astype(np.int32)
TWO = (X[:, 0] > 0).astype(np.int32)
ONE_HOT = np.eye(3, dtype=np.float32)[CLASSES]
BINARY = "binary_crossentropy"


def metric(kind, *args, **options):
    """One of Keras's metrics, made where it is needed: modules of tests must not import TensorFlow."""

    def make():
        import keras

        return getattr(keras.metrics, kind)(*args, **options)

    return make


def loss_object(kind, **options):
    def make():
        import keras

        return getattr(keras.losses, kind)(**options)

    return make


def made_now(value):
    return value() if getattr(value, "__name__", "") == "make" else value


def model_of(units, activation, loss, metrics, **options):
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(units, activation, kernel_regularizer=options.pop("regularizer", None))(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", made_now(loss), metrics=[made_now(one) for one in metrics], **options)
    return model


def measured(model, y, name, weight=None):
    return model.evaluate(X, y, sample_weight=weight, batch_size=16, verbose=0, return_dict=True)[name]


def result_for(model, y, name, weight=None, value=None):
    from stopcli.training.row_scores import on_rows

    value = measured(model, y, name, weight) if value is None else value
    headline = headline_of(name) or Headline(name, "max", "score")
    regularization = sum(float(loss) for loss in model.losses)
    predictions = model.predict(X, verbose=0)
    return value, on_rows(model, headline, Examples(X, y, weight), predictions, value, regularization)


@pytest.mark.parametrize(
    ("model", "y", "name", "finish"),
    [
        ((1, None, "mse", ["mae"]), NUMBERS, "mae", "mean"),
        ((1, None, "mse", ["mape"]), NUMBERS[:, None], "mape", "mean"),
        ((1, None, "mse", [metric("RootMeanSquaredError", name="rmse")]), NUMBERS, "rmse", "root"),
        ((1, None, "mse", [metric("R2Score")]), NUMBERS[:, None], "r2_score", "r2"),
        ((1, None, loss_object("Huber"), []), NUMBERS, "loss", "mean"),
        ((3, "softmax", "sparse_categorical_crossentropy", ["accuracy"]), CLASSES, "accuracy", "mean"),
        ((3, "softmax", "sparse_categorical_crossentropy", ["accuracy"]), CLASSES, "loss", "mean"),
        ((3, "softmax", "categorical_crossentropy", [metric("F1Score", "macro", name="f1")]), ONE_HOT, "f1", "f1"),
        ((1, "sigmoid", BINARY, [metric("Recall", name="recall")]), TWO, "recall", "recall"),
        ((1, "sigmoid", BINARY, [metric("Precision", name="precision")]), TWO, "precision", "precision"),
    ],
)  # fmt: skip
def test_scores_come_to_what_keras_measures(model, y, name, finish):
    value, result = result_for(model_of(*model), y, name)
    assert result.scores.finish == finish
    assert result.scores.value() == pytest.approx(value, rel=1e-4)
    assert result.interval.low <= value <= result.interval.high
    assert result.reason == ""


def test_weights_and_regularization_are_part_of_a_loss():
    weight = DRAW.uniform(0.1, 2, ROWS).astype(np.float32)
    model = model_of(1, None, "mse", [], regularizer="l2", weighted_metrics=["mae"])
    for name, finish in (("loss", "mean"), ("mae", "weighted")):
        value, result = result_for(model, NUMBERS, name, weight)
        assert result.scores.finish == finish
        assert result.scores.value() == pytest.approx(value, rel=1e-4)
    assert result_for(model, NUMBERS, "loss")[1].scores.shift > 0


def test_the_area_under_a_curve_is_drawn_by_class():
    model = model_of(1, "sigmoid", "binary_crossentropy", [metric("AUC", name="auc", num_thresholds=2000)])
    value, result = result_for(model, TWO, "auc")
    assert value == pytest.approx(roc_auc_score(TWO, model.predict(X, verbose=0)), abs=2e-3)
    assert result.scores is None
    assert result.interval.low < value < result.interval.high
    other = model_of(1, "sigmoid", "binary_crossentropy", [metric("AUC", curve="PR", name="auc")])
    assert result_for(other, TWO, "auc")[1].reason == "the model's AUC is not of a ROC curve of one output"


def test_what_is_no_mean_over_rows_has_no_interval_and_says_why():
    def spread(true, predicted):
        import keras

        return keras.ops.std(true - predicted)

    value, result = result_for(model_of(1, None, "mse", [spread]), NUMBERS, "spread")
    assert value > 0
    assert result.interval is None
    assert result.reason == "the model's spread is no function of means over rows that is known here"
    # A value that comes from somewhere else.
    model = model_of(1, None, "mse", ["mae"])
    assert result_for(model, NUMBERS, "mae", value=17.0)[1].interval is None
    assert "compiled with" in result_for(model, NUMBERS, "mape", value=17.0)[1].reason
    assert "not measured" in result_for(model, NUMBERS, "mae", value=float("nan"))[1].reason


def test_a_metric_of_one_of_several_outputs():
    import keras

    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in ("price", "age")}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"price": "mse", "age": "mae"}, metrics={"price": ["mae"], "age": ["mse"]})
    y = {"price": NUMBERS, "age": 2 * NUMBERS}
    for name in ("price_mae", "age_mse"):
        value, result = result_for(model, y, name)
        assert result.scores.value() == pytest.approx(value, rel=1e-4)
    assert result_for(model, y, "loss")[1].interval is None
    assert task_of(model.loss, y, model.predict(X, verbose=0)).kind == "other"


def test_targets_by_name_go_with_outputs_in_a_list():
    import keras

    inputs = keras.Input((3,))
    # In another order than that of the names.
    outputs = [keras.layers.Dense(3, name="position")(inputs), keras.layers.Dense(2, name="angle")(inputs)]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"position": "mse", "angle": "mse"}, metrics={"position": ["mae"], "angle": ["mae"]})
    y = {"position": X, "angle": 2 * X[:, :2]}
    for name in ("position_mae", "angle_mae"):
        value, result = result_for(model, y, name)
        assert result.scores.value() == pytest.approx(value, rel=1e-4)
        assert result.interval.low < value < result.interval.high


def test_a_users_metric_takes_targets_as_in_fit_or_has_no_interval():
    import tensorflow as tf

    def of_its_class(true, predicted):
        return tf.reduce_sum(tf.one_hot(true, 3) * predicted, axis=-1)

    def of_a_graph(true, predicted):
        if tf.executing_eagerly():
            raise ValueError("only within fit")
        return tf.abs(tf.cast(true, tf.float32) - predicted[:, 0])

    model = model_of(3, "softmax", "sparse_categorical_crossentropy", [of_its_class, of_a_graph])
    value, result = result_for(model, CLASSES, "of_its_class")
    assert result.scores.value() == pytest.approx(value, rel=1e-4)
    _, result = result_for(model, CLASSES, "of_a_graph")
    assert (result.scores, result.interval) == (None, None)
    assert "no function of means over rows" in result.reason


@pytest.mark.parametrize(
    ("loss", "y", "predicted", "kind"),
    [
        ("mse", NUMBERS, NUMBERS[:, None], "regression"),
        ("mse", X, X, "regression"),
        (loss_object("Huber"), NUMBERS, NUMBERS, "regression"),
        ("sparse_categorical_crossentropy", CLASSES[:, None], ONE_HOT, "classes"),
        (loss_object("CategoricalCrossentropy"), ONE_HOT, ONE_HOT, "classes"),
        ("categorical_crossentropy", np.full((ROWS, 3), 1 / 3), ONE_HOT, "other"),
        ("binary_crossentropy", TWO, X[:, :1], "classes"),
        (lambda true, predicted: 0.0, CLASSES, ONE_HOT, "classes"),
        (lambda true, predicted: 0.0, NUMBERS, NUMBERS, "regression"),
        ("cosine_similarity", X, X, "other"),
        ("mse", 2 * TWO - 1, X[:, 0], "scores"),
        ("hinge", 2 * TWO - 1, X[:, 0], "scores"),
        ("sparse_categorical_crossentropy", np.zeros((ROWS, 5)), np.zeros((ROWS, 5, 3)), "other"),
        ("binary_crossentropy", 1 - ONE_HOT, ONE_HOT, "other"),
        ("mse", np.zeros((ROWS, 4, 5)), np.zeros((ROWS, 4, 5)), "regression"),
        ("mse", np.full(ROWS, np.nan), NUMBERS, "other"),
        ("mse", np.array(["a"] * ROWS), NUMBERS, "other"),
        ("mse", NUMBERS[:0], NUMBERS[:0], "other"),
    ],
)
def test_the_task_follows_from_loss_targets_and_outputs(loss, y, predicted, kind):
    task = task_of(made_now(loss), y, predicted)
    assert task.kind == kind
    if kind == "classes":
        assert np.allclose(task.predicted.sum(axis=1), 1, atol=1e-5)
        assert len(task.true) == len(task.predicted_classes) == ROWS


def test_logits_become_probabilities():
    task = task_of(made_now(loss_object("BinaryCrossentropy", from_logits=True)), TWO, X[:, :1])
    assert (task.predicted_classes == (X[:, 0] > 0)).all()
    task = task_of(made_now(loss_object("SparseCategoricalCrossentropy", from_logits=True)), CLASSES, X)
    assert (task.predicted_classes == X.argmax(axis=1)).all()


def stored(loss, metrics, units, activation, y, name):
    from stopcli.training.model_rows import ModelOnRows, intervals_and_predictions

    model = model_of(units, activation, loss, metrics)
    predictions = model.predict(X, verbose=0)
    final = ModelOnRows(predictions, measured(model, y, name))
    intervals, content, _ = intervals_and_predictions(model, headline_of(name), Examples(X, y), final, final)
    write_predictions(Path("predictions.npz"), content)
    return final.value, intervals, read_predictions(Path("predictions.npz"))


def test_predictions_of_numbers_hold_what_their_metric_is_made_of():
    value, intervals, predictions = stored("mse", ["mae"], 1, None, NUMBERS, "mae")
    assert isinstance(predictions, PredictedValues)
    assert predictions.target.dtype == np.float32
    np.testing.assert_array_equal(predictions.target[:, 0], NUMBERS)
    np.testing.assert_allclose(predictions.final_scores, abs(predictions.final - predictions.target), rtol=1e-6)
    assert predictions.scores("saved")[1] == predictions.final_value == value
    assert intervals["final"] == intervals["best"]
    assert intervals["final"].low < value < intervals["final"].high


def test_right_and_wrong_rows_have_wilsons_interval_and_take_a_byte():
    value, intervals, predictions = stored(
        "sparse_categorical_crossentropy", ["accuracy"], 3, "softmax", CLASSES, "accuracy"
    )
    assert isinstance(predictions, PredictedClasses)
    assert predictions.target.dtype == np.uint8
    assert predictions.right("final").mean() == pytest.approx(value)
    assert intervals["final"].right == round(value * ROWS)


def test_many_rows_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr("stopcli.runs.predictions.LARGEST", 500)
    _, _, predictions = stored("mse", ["mae"], 1, None, NUMBERS, "mae")
    assert predictions.step == 3
    np.testing.assert_array_equal(predictions.target[:, 0], NUMBERS[::3])


@pytest.mark.parametrize(
    ("model", "y", "name"),
    [
        ((1, None, "mse", [metric("RootMeanSquaredError", name="rmse")]), NUMBERS, "rmse"),
        ((1, None, loss_object("Huber"), []), NUMBERS, "loss"),
        ((3, "softmax", "sparse_categorical_crossentropy", ["accuracy"]), CLASSES, "accuracy"),
        ((1, "sigmoid", BINARY, [metric("AUC", name="auc")]), TWO, "auc"),
        ((1, "sigmoid", BINARY, ["accuracy"]), TWO, "loss"),
        ((1, None, "mse", [], {"loss_weights": 1e-6}), NUMBERS, "loss"),
    ],
)
def test_other_predictions_are_measured_by_the_models_metric_and_compared_row_by_row(model, y, name):
    from stopcli.training.model_rows import difference_on_rows
    from stopcli.training.row_scores import on_rows, value_on_rows

    *parts, options = model if isinstance(model[-1], dict) else (*model, {})
    model = model_of(*parts, **options)
    value, ours = result_for(model, y, name)
    rows, headline = Examples(X, y), headline_of(name)
    predictions = model.predict(X, verbose=0)
    # A metric's own variables stay as evaluate() left them.
    before = [variable.numpy() for variable in model.metrics_variables]
    assert value_on_rows(model, headline, rows, predictions) == pytest.approx(value, rel=1e-4)
    for variable, earlier in zip(model.metrics_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), earlier)
    others = np.roll(predictions, 1, axis=0)
    other = value_on_rows(model, headline, rows, others)
    theirs = on_rows(model, headline, rows, others, other)
    difference = difference_on_rows(ours, theirs, headline)
    assert difference.mean == pytest.approx(value - other, abs=1e-4)
    assert difference.low < difference.mean < difference.high
    assert difference_on_rows(ours, ours, headline).verdict() == "not distinguishable"


def test_a_mean_over_weights_is_one_over_rows_where_there_are_none():
    model = model_of(1, None, loss_object("MeanSquaredError", reduction="mean_with_sample_weight"), [])
    _, result = result_for(model, NUMBERS, "loss")
    assert result.interval is not None


def test_a_loss_that_is_a_sum_over_a_batch_is_not_measured_from_predictions():
    from stopcli.training.row_scores import value_on_rows

    model = model_of(1, None, loss_object("MeanSquaredError", reduction="sum"), [])
    predictions = model.predict(X, verbose=0)
    assert value_on_rows(model, headline_of("loss"), Examples(X, NUMBERS), predictions) is None


def test_metrics_without_scores_have_no_difference_by_rows():
    from stopcli.training.model_rows import difference_on_rows
    from stopcli.training.row_scores import OnRows

    assert difference_on_rows(OnRows(), OnRows(), headline_of("rmse")) is None
