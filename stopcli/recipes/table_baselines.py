"""What stands beside a network on a table: the best constant answer, and a linear model of the same encoded rows.

Ridge regression is solved by its normal equations over all training rows, logistic regression by scikit-learn. The
strength of the penalty is the one that is best on the rows that validate, which stopping uses too, or where none do,
the one of scikit-learn's cross-validation of training rows. The same rows give the same answers.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stopcli.data.dataset import Examples
from stopcli.data.nest import Nest
from stopcli.quantities import counted
from stopcli.seeding import derive_seed

Array = NDArray[Any]
Floats = NDArray[np.float64]

# Strengths of the penalty for each training row, from far too strong to next to none: the same grid for however many.
PENALTIES = tuple(10.0**power for power in range(1, -6, -1))
# Where neither rows that validate nor cross-validation can choose one.
_DEFAULT_PENALTY = 1e-2
# Words of a column that have a column of their own; rarer ones share one.
MOST_WORDS = 100
# Of more training rows, some are drawn by the seed: for logistic regression, and to leave out each in turn.
MOST_ROWS = 200_000
_MOST_NUMBERS = 30_000_000
# Multiplications of the normal equations, above which rows are drawn for them too.
_MOST_PRODUCTS = 40_000_000_000
_FEWEST_ROWS = 1000
# Unknowns up to which Newton's method is the fastest: a step takes their third power.
_NEWTON_UNKNOWNS = 150
_MOST_STEPS = 300
_FOLDS, _MOST_ROWS_IN_FOLDS = 5, 20_000
_NUMBERS_AT_A_TIME = 4_000_000


@dataclass(frozen=True, eq=False)
class Baseline:
    """An answer that a network has to be better than.

    Attributes:
        name: as a table and a sentence have it: `mean`, `ridge regression`.
        predict: from encoded rows to numbers, float32 [rows, 1], or probabilities, float32 [rows, classes].
        is_linear: whether it looks at the rows.
        fitted: how, in words; empty for a constant.
        notes: what went less well, a sentence without a full stop each.
        number_effects, word_effects: of each encoded number and each column of words, how far it moves what is
            predicted: the standard deviation, over training rows, of its part of the sum; empty for a constant.
    """

    name: str
    predict: Callable[[Nest], NDArray[np.float32]]
    is_linear: bool = False
    fitted: str = ""
    notes: tuple[str, ...] = ()
    number_effects: tuple[float, ...] = ()
    word_effects: tuple[float, ...] = ()


def baselines_of(
    train: Examples, validation: Examples, classes: int, seed: int, *, absolute: bool = False
) -> tuple[tuple[Baseline, ...], tuple[str, ...]]:
    """The constant answer and the linear model.

    Args:
        train, validation: encoded rows: x float32 [rows, k], or `numbers` of that shape and `words` int32 [rows, c]; y
            float32 [rows], or a class's index, int32 [rows]. None may validate.
        classes: how many there are; 0 for regression.
        seed: draws rows where there are too many.
        absolute: whether absolute errors count, whose best constant is the median and not the mean.

    Returns:
        And notes, a sentence without a full stop each: why there is no linear model.
    """
    y = np.asarray(train.y)
    constant = _class_shares(y, classes) if classes else _constant(y, absolute=absolute)
    if y.min() == y.max():
        return (constant,), ("there is no linear model to compare with: all training rows have the same target",)
    one_hot = _OneHot.of(train.x)
    fit = _Logistic.of(train, one_hot, classes, seed) if classes else _Ridge.of(train, one_hot, seed)
    if not np.isfinite(fit.x).all() or not np.isfinite(y).all():
        return (constant,), ("there is no linear model to compare with: the training rows are not all finite",)
    with _one_thread():
        linear = fit.baseline(validation)
    return (constant, linear), ()


def _constant(y: Array, *, absolute: bool) -> Baseline:
    value = float(np.median(y)) if absolute else float(np.mean(y, dtype=float))
    return Baseline("median" if absolute else "mean", lambda x: np.full((_count(x), 1), value, np.float32))


def _class_shares(y: Array, classes: int) -> Baseline:
    """Each class by its share of the training rows: the likeliest one is the most frequent class, and no other constant
    has a lower cross-entropy."""
    shares = (np.bincount(y, minlength=classes) / len(y)).astype(np.float32)
    return Baseline("most frequent class", lambda x: np.repeat(shares[None], _count(x), axis=0))


def _count(x: Nest) -> int:
    return len(x["numbers"] if isinstance(x, dict) else x)


def _some(rows: Examples, most: int, seed: int) -> Examples:
    """At most so many rows, drawn by the seed, in their order."""
    if rows.count <= most:
        return rows
    draw = np.random.Generator(np.random.PCG64(derive_seed(seed, "baseline")))
    return rows.at(np.sort(draw.choice(rows.count, most, replace=False)))


def _most_rows(columns: int) -> int:
    return max(_FEWEST_ROWS, min(MOST_ROWS, _MOST_NUMBERS // max(columns, 1)))


@dataclass(frozen=True, eq=False)
class _OneHot:
    """Encoded rows as a matrix: the numbers, then a column for each word.

    Attributes:
        encoder: scikit-learn's; None without words.
        numbers: columns of them.
        widths: columns that each column of words becomes.
    """

    encoder: Any
    numbers: int
    widths: tuple[int, ...] = ()

    @classmethod
    def of(cls, x: Nest) -> _OneHot:
        if not isinstance(x, dict):
            return cls(None, x.shape[1])
        from sklearn.preprocessing import OneHotEncoder

        encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_WORDS, sparse_output=False)
        encoder.fit(np.asarray(x["words"]))
        rare = [0 if column is None else len(column) - 1 for column in encoder.infrequent_categories_]
        widths = [len(column) - fewer for column, fewer in zip(encoder.categories_, rare, strict=True)]
        return cls(encoder, x["numbers"].shape[1], tuple(widths))

    @property
    def columns(self) -> int:
        return self.numbers + sum(self.widths)

    def matrix(self, x: Nest) -> Floats:
        """float64 [rows, columns]."""
        if self.encoder is None:
            return np.asarray(x, float)
        return np.hstack([np.asarray(x["numbers"], float), self.encoder.transform(np.asarray(x["words"]))])

    def chunks(self, rows: Examples) -> Iterator[tuple[Floats, Array]]:
        """Some rows at a time, with their targets."""
        size = max(1, _NUMBERS_AT_A_TIME // max(self.columns, 1))
        for start in range(0, rows.count, size):
            part = rows.take(start, start + size)
            yield self.matrix(part.x), np.asarray(part.y)

    def mapped(self, function: Callable[[Floats], Floats], x: Nest) -> NDArray[np.float32]:
        """A function's results for the rows of x, [rows, outputs]."""
        chunks = self.chunks(Examples(x, np.zeros(_count(x))))
        with _one_thread():
            return np.concatenate([function(part) for part, _ in chunks]).astype(np.float32)

    def effects(self, x: Floats, weights: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """`number_effects` and `word_effects` of a sum with such weights, [columns, outputs]."""
        numbers = np.linalg.norm(weights[: self.numbers], axis=1) * x[:, : self.numbers].std(axis=0)
        ends = (self.numbers + np.cumsum((0, *self.widths))).tolist()
        of_words = [
            float(np.linalg.norm((x[:, start:end] @ weights[start:end]).std(axis=0)))
            for start, end in itertools.pairwise(ends)
        ]
        return tuple(numbers.tolist()), tuple(of_words)


@dataclass(frozen=True, eq=False)
class _Ridge:
    """Ridge regression, whose intercept is not penalized.

    Attributes:
        rows: that it is fitted to, of `total` that train.
        x, y: of some of them, as a matrix.
    """

    one_hot: _OneHot
    rows: Examples
    total: int
    x: Floats
    y: Floats

    @classmethod
    def of(cls, train: Examples, one_hot: _OneHot, seed: int) -> _Ridge:
        k = max(one_hot.columns, 1)
        rows = _some(train, max(_FEWEST_ROWS, _MOST_PRODUCTS // (k * min(k, train.count))), seed)
        some = _some(rows, _most_rows(k), seed)
        return cls(one_hot, rows, train.count, one_hot.matrix(some.x), np.asarray(some.y, float))

    def baseline(self, validation: Examples) -> Baseline:
        weights, intercepts = self._path([penalty * self.rows.count for penalty in PENALTIES])
        if validation.count:
            squares = np.zeros(len(PENALTIES))
            for x, y in self.one_hot.chunks(validation):
                squares += np.square(x @ weights + intercepts - y[:, None].astype(float)).sum(axis=0)
            # Of several that are as good, the strongest.
            best, chosen = int(np.argmin(squares)), _by_validation(validation)
        else:
            best, chosen = self._by_leaving_out(), "by leaving out each training row in turn"
        # What predicts does not hold the rows.
        one_hot, weight, intercept = self.one_hot, weights[:, best : best + 1], float(intercepts[best])
        penalty = f"penalty {PENALTIES[best] * self.rows.count:.3g}"
        return Baseline(
            "ridge regression",
            lambda x: one_hot.mapped(lambda part: part @ weight + intercept, x),
            True,
            f"{penalty}, chosen {chosen}{_fitted_to(self.rows.count, self.total)}",
            (),
            *one_hot.effects(self.x, weight),
        )

    def _path(self, strengths: Sequence[float]) -> tuple[Floats, Floats]:
        """Weights, [columns, penalties], and intercepts, [penalties]."""
        rows, k = self.rows, self.one_hot.columns
        mean_y = float(np.mean(rows.y, dtype=float))
        if rows.count < k:
            # As many unknowns as rows: the same weights, from a smaller system.
            mean = self.x.mean(axis=0)
            x = self.x - mean
            values, vectors = np.linalg.eigh(x @ x.T)
            target = vectors.T @ (self.y - mean_y)
            vectors = x.T @ vectors
        else:
            products, moment, total = np.zeros((k, k)), np.zeros(k), np.zeros(k)
            for x, y in self.one_hot.chunks(rows):
                products += x.T @ x
                moment += x.T @ (y.astype(float) - mean_y)
                total += x.sum(axis=0)
            mean = total / rows.count
            # Around their mean the targets sum up to nothing, and the products with them need no centring.
            values, vectors = np.linalg.eigh(products - rows.count * np.outer(mean, mean))
            target = vectors.T @ moment
        weights: Floats = vectors @ (target[:, None] / (np.maximum(values, 0)[:, None] + np.asarray(strengths)))
        return weights, mean_y - mean @ weights

    def _by_leaving_out(self) -> int:
        """The index of the penalty with the least error on the rows that it is not fitted to."""
        from sklearn.linear_model import RidgeCV

        with _warnings_of_sklearn():
            chosen = RidgeCV([penalty * len(self.y) for penalty in PENALTIES]).fit(self.x, self.y).alpha_
        return int(np.argmin(np.abs(np.log(PENALTIES) - np.log(chosen / len(self.y)))))


@dataclass(frozen=True, eq=False)
class _Logistic:
    """Logistic regression, of several classes by their cross-entropy.

    Attributes:
        x, y: the rows that it is fitted to, of `total` that train.
    """

    one_hot: _OneHot
    classes: int
    seed: int
    total: int
    x: Floats
    y: Array

    @classmethod
    def of(cls, train: Examples, one_hot: _OneHot, classes: int, seed: int) -> _Logistic:
        rows = _some(train, _most_rows(one_hot.columns * (1 if classes == 2 else classes)), seed)
        return cls(one_hot, classes, seed, train.count, one_hot.matrix(rows.x), np.asarray(rows.y))

    def baseline(self, validation: Examples) -> Baseline:
        if validation.count:
            models = list(self._path(self.x, self.y, PENALTIES))
            best = int(np.argmin([self._loss(model, self.one_hot.chunks(validation)) for model, _ in models]))
            chosen = _by_validation(validation)
        else:
            best, chosen = self._by_folds()
            models = list(self._path(self.x, self.y, PENALTIES[: best + 1]))
        (model, converged), one_hot, classes = models[best], self.one_hot, self.classes
        notes = () if converged else ("the logistic regression beside the network did not converge",)
        strength = f"C {1 / (PENALTIES[best] * len(self.y)):.3g}"
        return Baseline(
            "logistic regression",
            lambda x: one_hot.mapped(lambda part: _probabilities(model, classes, part), x),
            True,
            f"{strength}, chosen {chosen}{_fitted_to(len(self.y), self.total)}",
            notes,
            *one_hot.effects(self.x, model.coef_.T),
        )

    def _path(self, x: Floats, y: Array, penalties: Sequence[float]) -> Iterator[tuple[Any, bool]]:
        """A model for each penalty, the strongest first, and whether it converged."""
        from sklearn.linear_model import LogisticRegression

        unknowns = (x.shape[1] + 1) * (1 if self.classes == 2 else self.classes)
        solver = "newton-cholesky" if unknowns <= _NEWTON_UNKNOWNS else "lbfgs"
        # Each begins where the one before ended.
        model = LogisticRegression(solver=solver, max_iter=_MOST_STEPS, warm_start=True)
        for penalty in penalties:
            with _warnings_of_sklearn() as messages:
                model.set_params(C=1 / (penalty * len(y))).fit(x, y)
            yield copy.deepcopy(model), not messages

    def _by_folds(self) -> tuple[int, str]:
        """The index of the penalty that is best over folds of the training rows, and how it was chosen."""
        from sklearn.model_selection import KFold

        x, y = self.x[:_MOST_ROWS_IN_FOLDS], self.y[:_MOST_ROWS_IN_FOLDS]
        losses = np.zeros(len(PENALTIES))
        folds = KFold(min(_FOLDS, len(y)), shuffle=True, random_state=derive_seed(self.seed, "folds"))
        for fitted, others in folds.split(x):
            if len(np.unique(y[fitted])) < 2:
                return PENALTIES.index(_DEFAULT_PENALTY), "without rows that could choose it"
            for i, (model, _) in enumerate(self._path(x[fitted], y[fitted], PENALTIES)):
                losses[i] += self._loss(model, [(x[others], y[others])]) * len(others)
        return int(np.argmin(losses)), f"by {folds.n_splits} folds of the training rows"

    def _loss(self, model: Any, chunks: Iterable[tuple[Floats, Array]]) -> float:
        total, rows = 0.0, 0
        for x, y in chunks:
            of_target = _probabilities(model, self.classes, x)[np.arange(len(y)), y]
            total -= float(np.log(np.maximum(of_target, 1e-7)).sum())
            rows += len(y)
        return total / rows


def _probabilities(model: Any, classes: int, x: Floats) -> Floats:
    """[rows, classes], also of classes that no training row has."""
    probabilities = np.zeros((len(x), classes))
    probabilities[:, model.classes_] = model.predict_proba(x)
    return probabilities


def _by_validation(validation: Examples) -> str:
    return f"on the {counted(validation.count, 'row')} that validate"


def _fitted_to(rows: int, total: int) -> str:
    return "" if rows == total else f", fitted to {rows:,} of {total:,} training rows"


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Within the block, products of matrices are computed by one thread: the same sums on every machine, and ten times
    as fast where others compute too, for whom the threads of a small product wait."""
    # What scikit-learn itself needs.
    threadpoolctl: Any = importlib.import_module("threadpoolctl")
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


@contextlib.contextmanager
def _warnings_of_sklearn() -> Iterator[list[warnings.WarningMessage]]:
    """Within the block, warnings are collected and not printed."""
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        yield messages
