"""Constant answers and linear models beside a network, against scikit-learn's own on real data sets."""

import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from stopcli.data.dataset import Examples
from stopcli.recipes import table_baselines
from stopcli.recipes.table_baselines import PENALTIES, baselines_of


@pytest.fixture(autouse=True)
def one_thread():
    """The threads of a small product wait for each other where tests run side by side."""
    with threadpool_limits(1):
        yield


def parts_of(load, validating=60, *, classes=True):
    """A data set of scikit-learn's in three parts, standardized by the first."""
    x, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    train, validation, test = np.split(order, [len(x) - validating - 80, len(x) - 80])
    x = StandardScaler().fit(x[train]).transform(x).astype(np.float32)
    y = y.astype(np.int32 if classes else np.float32)
    return [Examples(x[rows], y[rows]) for rows in (train, validation, test)]


def test_ridge_is_scikit_learns_with_the_penalty_that_is_best_on_the_rows_that_validate():
    train, validation, test = parts_of(datasets.load_diabetes, classes=False)
    (constant, ridge), notes = baselines_of(train, validation, 0, seed=0)
    models = [Ridge(alpha=penalty * train.count).fit(train.x.astype(float), train.y) for penalty in PENALTIES]
    best = min(models, key=lambda model: mean_squared_error(validation.y, model.predict(validation.x.astype(float))))
    assert 0 < models.index(best) < len(models) - 1
    np.testing.assert_allclose(ridge.predict(test.x)[:, 0], best.predict(test.x.astype(float)), rtol=1e-5)
    assert ridge.fitted == f"penalty {best.alpha:.3g}, chosen on the 60 rows that validate"
    np.testing.assert_allclose(ridge.number_effects, np.abs(best.coef_), rtol=1e-4)
    assert constant.name == "mean"
    np.testing.assert_allclose(constant.predict(test.x), np.full((80, 1), train.y.mean()), rtol=1e-6)
    assert notes == ridge.notes == ()


def test_without_rows_that_validate_each_training_row_is_left_out():
    train, validation, test = parts_of(datasets.load_diabetes, classes=False)
    (constant, ridge), _ = baselines_of(train, validation.take(0, 0), 0, seed=0, absolute=True)
    own = RidgeCV([penalty * train.count for penalty in PENALTIES]).fit(train.x.astype(float), train.y)
    np.testing.assert_allclose(ridge.predict(test.x)[:, 0], own.predict(test.x.astype(float)), rtol=1e-5)
    assert ridge.fitted.endswith("chosen by leaving out each training row in turn")
    assert constant.name == "median"
    assert constant.predict(test.x)[0, 0] == np.median(train.y)


@pytest.mark.parametrize(
    ("load", "classes", "solver"),
    [
        (datasets.load_breast_cancer, 2, "newton-cholesky"),
        (datasets.load_wine, 3, "newton-cholesky"),
        (datasets.load_digits, 10, "lbfgs"),
    ],
)
def test_logistic_regression_is_scikit_learns(load, classes, solver):
    train, validation, test = parts_of(load, 40 if classes == 3 else 60)
    (constant, logistic), notes = baselines_of(train, validation, classes, seed=0)
    strength = float(logistic.fitted.split()[1].rstrip(","))
    assert logistic.fitted.endswith(f", chosen on the {validation.count} rows that validate")
    (index,) = (i for i, penalty in enumerate(PENALTIES) if f"{1 / (penalty * train.count):.3g}" == f"{strength:.3g}")
    models = [
        LogisticRegression(C=1 / (penalty * train.count), max_iter=1000, solver=solver, tol=1e-5).fit(train.x, train.y)
        for penalty in PENALTIES[index - 1 : index + 2]
    ]
    losses = [log_loss(validation.y, model.predict_proba(validation.x), labels=np.arange(classes)) for model in models]
    assert losses[1] == min(losses)
    np.testing.assert_allclose(logistic.predict(test.x), models[1].predict_proba(test.x), atol=2e-2)
    assert notes == logistic.notes == ()
    shares = np.bincount(train.y) / train.count
    np.testing.assert_allclose(constant.predict(test.x), np.tile(shares, (80, 1)), rtol=1e-6)


def test_folds_choose_the_penalty_of_logistic_regression_where_no_rows_validate():
    train, validation, test = parts_of(datasets.load_breast_cancer)
    (_, logistic), _ = baselines_of(train, validation.take(0, 0), 2, seed=0)
    assert logistic.fitted.endswith("chosen by 5 folds of the training rows")
    assert (logistic.predict(test.x).argmax(axis=1) == test.y).mean() > 0.93


def words_and_numbers(rows, seed=0):
    """Numbers, and words as indices: a column of a few, one of many, of which some are in few rows."""
    draw = np.random.default_rng(seed)
    numbers = draw.normal(size=(rows, 2)).astype(np.float32)
    words = np.column_stack([draw.integers(1, 5, rows), draw.zipf(1.3, rows) % 400]).astype(np.int32)
    y = (numbers[:, 0] + (words[:, 0] == 2) * 3 + draw.normal(0, 0.1, rows)).astype(np.float32)
    return Examples({"numbers": numbers, "words": words}, y)


def test_words_have_a_column_each_and_unknown_ones_none():
    train, validation, test = (words_and_numbers(rows, seed) for seed, rows in enumerate((900, 200, 50)))
    test.x["words"][0] = 77_777
    _, ridge = baselines_of(train, validation, 0, seed=0)[0]
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=table_baselines.MOST_WORDS)

    def matrix(rows, encode=encoder.transform):
        return np.hstack([rows.x["numbers"], encode(rows.x["words"]).toarray()]).astype(float)

    x = matrix(train, encoder.fit_transform)
    assert x.shape[1] == 2 + 4 + table_baselines.MOST_WORDS
    models = [Ridge(alpha=penalty * 900).fit(x, train.y) for penalty in PENALTIES]
    best = min(models, key=lambda model: mean_squared_error(validation.y, model.predict(matrix(validation))))
    np.testing.assert_allclose(ridge.predict(test.x)[:, 0], best.predict(matrix(test)), rtol=1e-4, atol=1e-4)
    first, second = ridge.word_effects
    assert first > 1
    assert second < 0.2
    assert ridge.number_effects[0] > 10 * ridge.number_effects[1]


def test_words_alone_and_more_columns_than_rows_are_fitted_too():
    train = words_and_numbers(60)
    alone = Examples({**train.x, "numbers": np.empty((60, 0), np.float32)}, train.y)
    assert baselines_of(alone, alone.take(0, 0), 0, seed=0)[0][1].number_effects == ()
    draw = np.random.default_rng(0)
    wide = Examples(draw.normal(size=(40, 300)).astype(np.float32), draw.normal(size=40).astype(np.float32))
    ridge = baselines_of(wide, wide.take(30, 40), 0, seed=0)[0][1]
    penalty = PENALTIES[-1] * 40
    assert f"penalty {penalty:.3g}" in ridge.fitted
    own = Ridge(alpha=penalty).fit(wide.x.astype(float), wide.y)
    np.testing.assert_allclose(ridge.predict(wide.x)[:, 0], own.predict(wide.x.astype(float)), rtol=1e-3, atol=1e-4)


def test_what_cannot_be_fitted_is_left_out_with_a_note():
    x = np.ones((12, 2), np.float32)
    one_class = Examples(x, np.zeros(12, np.int32))
    (only,), notes = baselines_of(one_class, one_class, 2, seed=0)
    assert only.predict(x)[0].tolist() == [1, 0]
    assert notes == ("there is no linear model to compare with: all training rows have the same target",)
    infinite = Examples(np.full((12, 2), np.inf, np.float32), np.arange(12, dtype=np.float32))
    assert baselines_of(infinite, infinite, 0, seed=0)[1][0].endswith("the training rows are not all finite")


def test_a_class_without_training_rows_has_no_probability():
    train, validation, test = parts_of(datasets.load_wine, 30)
    fewer = train.at(np.flatnonzero(train.y != 1))
    (constant, logistic), _ = baselines_of(fewer, validation, 3, seed=0)
    for baseline in (constant, logistic):
        assert baseline.predict(test.x).shape == (80, 3)
        assert (baseline.predict(test.x)[:, 1] == 0).all()


def test_what_does_not_converge_is_noted_and_not_printed(monkeypatch, capfd):
    train, validation, _ = parts_of(datasets.load_digits)
    monkeypatch.setattr(table_baselines, "_MOST_STEPS", 1)
    (_, logistic), _ = baselines_of(train, validation, 10, seed=0)
    assert logistic.notes == ("the logistic regression beside the network did not converge",)
    assert capfd.readouterr() == ("", "")


def test_of_many_rows_some_are_drawn_by_the_seed(monkeypatch):
    monkeypatch.setattr(table_baselines, "MOST_ROWS", 2000)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(5000, 5)).astype(np.float32)
    train = Examples(x, (x[:, 0] + draw.normal(0, 1, len(x)) > 0).astype(np.int32))
    first, again, other = (baselines_of(train, train.take(0, 500), 2, seed)[0][1] for seed in (0, 0, 1))
    assert first.fitted.endswith("fitted to 2,000 of 5,000 training rows")
    np.testing.assert_array_equal(first.predict(x), again.predict(x))
    assert not np.array_equal(first.predict(x), other.predict(x))
