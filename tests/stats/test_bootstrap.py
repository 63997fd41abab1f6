"""Intervals over test rows, against SciPy's bootstrap, exact ranks, and how often they hold the true value."""

import time

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, precision_score, r2_score, recall_score, roc_auc_score

from stopcli.stats.bootstrap import RowScores, auc_interval, interval_of
from stopcli.stats.intervals import widened_confidence
from stopcli.stats.scores_difference import scores_difference


def skewed(rows, seed=0):
    """Squared errors, a few of them large."""
    return np.random.default_rng(seed).lognormal(0, 1, rows)


@pytest.mark.parametrize(
    ("finish", "statistic"),
    [("mean", np.mean), ("root", lambda values, axis: np.sqrt(np.mean(values, axis=axis)))],
)
def test_a_mean_and_its_root_have_scipys_interval(finish, statistic):
    values = skewed(200)
    ours = interval_of(RowScores(finish, values[:, None]))
    theirs = stats.bootstrap(
        (values,), statistic, confidence_level=widened_confidence(200), n_resamples=9999, rng=1, vectorized=True
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)
    assert ours.rows == 200


def r2_scores(target, predicted):
    return RowScores("r2", np.column_stack([(target - predicted) ** 2, target, target**2]))


def test_r2_is_computed_and_resampled_as_sklearn_and_scipy_do():
    draw = np.random.default_rng(2)
    target = draw.normal(5, 2, 80)
    predicted = target + draw.normal(0, 1.5, 80)
    scores = r2_scores(target, predicted)
    assert scores.value() == pytest.approx(r2_score(target, predicted))
    ours = interval_of(scores)
    theirs = stats.bootstrap(
        (target, predicted), r2_score, paired=True, vectorized=False, n_resamples=1500, rng=1,
        confidence_level=widened_confidence(80),
    ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    assert [ours.low, ours.high] == pytest.approx([theirs.low, theirs.high], abs=0.08 * width)


def hits(target, predicted, classes):
    true, said = (np.asarray(of)[:, None] == classes for of in (target, predicted))
    return np.hstack([true & said, ~true & said, true & ~said]).astype(float)


def test_precision_recall_and_f1_are_functions_of_counts():
    draw = np.random.default_rng(3)
    target = draw.integers(0, 3, 300)
    predicted = np.where(draw.random(300) < 0.7, target, draw.integers(0, 3, 300))
    several, one = hits(target, predicted, np.arange(3)), hits(target, predicted, np.array([1]))
    assert RowScores("f1", several).value() == pytest.approx(f1_score(target, predicted, average="macro"))
    assert RowScores("f1_micro", several).value() == pytest.approx(f1_score(target, predicted, average="micro"))
    assert RowScores("precision", one).value() == pytest.approx(precision_score(target == 1, predicted == 1))
    assert RowScores("recall", one).value() == pytest.approx(recall_score(target == 1, predicted == 1))
    interval = interval_of(RowScores("f1", several))
    assert interval.low < f1_score(target, predicted, average="macro") < interval.high


def test_the_shift_moves_the_interval():
    values = skewed(50)[:, None].astype(np.float32)
    without, shifted = interval_of(RowScores("mean", values)), interval_of(RowScores("mean", values, 0.5))
    assert shifted.low == without.low + 0.5
    assert shifted.high == without.high + 0.5
    assert RowScores("mean", values, 0.5).value() == pytest.approx(values.mean() + 0.5)


def test_few_rows_no_numbers_and_equal_errors():
    assert interval_of(RowScores("mean", skewed(9)[:, None])) is None
    assert interval_of(RowScores("mean", np.full((20, 1), np.nan))) is None
    same = interval_of(RowScores("root", np.full((20, 1), 0.09)))
    assert (same.low, same.high) == pytest.approx((0.3, 0.3))


def test_as_many_intervals_hold_the_true_rmse_as_should():
    """Of 40 rows with normal errors: 95 % of 300 studies, give or take what 300 studies tell."""
    draw = np.random.default_rng(5)
    intervals = [interval_of(RowScores("root", draw.normal(0, 2, (40, 1)) ** 2)) for _ in range(300)]
    held = sum(interval.low <= 2 <= interval.high for interval in intervals)
    assert 270 <= held <= 295


def test_a_million_rows_take_a_moment_and_have_the_interval_of_the_normal_distribution():
    values = skewed(1_000_000).astype(np.float32)[:, None]
    start = time.perf_counter()
    interval = interval_of(RowScores("mean", values))
    assert time.perf_counter() - start < 10
    reach = 1.96 * float(values.std(dtype=float)) / 1000
    mean = values.mean(dtype=float)
    assert [interval.low, interval.high] == pytest.approx([mean - reach, mean + reach], abs=0.1 * reach)


def ranked(rows, seed=0):
    draw = np.random.default_rng(seed)
    positive = draw.random(rows) < 0.3
    return positive, np.round(draw.normal(positive * 1.2, 1.0), 1)


def test_the_area_under_the_curve_is_sklearns_ties_included():
    positive, scores = ranked(200)
    value, interval = auc_interval(positive, scores)
    assert value == pytest.approx(roc_auc_score(positive, scores))
    theirs = stats.bootstrap(
        (scores[positive], scores[~positive]), area, vectorized=True, n_resamples=2000, rng=1,
        confidence_level=widened_confidence(200), batch=100,
    ).confidence_interval  # fmt: skip
    assert [interval.low, interval.high] == pytest.approx([theirs.low, theirs.high], abs=0.006)
    assert "each class" in interval.method


def area(ours, others, axis):
    """The Mann-Whitney statistic of every resample."""
    difference = ours[..., :, None] - others[..., None, :]
    return np.mean((difference > 0) + 0.5 * (difference == 0), axis=(-2, -1))


def test_the_area_at_thresholds_is_that_of_the_trapezoids_between_them():
    positive, scores = ranked(500)
    shares = 1 / (1 + np.exp(-scores))
    thresholds = np.linspace(0, 1, 11)
    value, _ = auc_interval(positive, shares, thresholds)
    above = [shares > threshold for threshold in [-1, *thresholds, 2]]
    rates = [(np.mean(hit[positive]), np.mean(hit[~positive])) for hit in above]
    true, false = np.array(rates[::-1]).T
    assert value == pytest.approx(np.trapezoid(true, false))


def test_a_million_scores_are_put_into_bins():
    draw = np.random.default_rng(1)
    positive = draw.random(1_000_000) < 0.01
    scores = draw.normal(positive * 1.0, 1.0)
    value, interval = auc_interval(positive, scores)
    assert value == pytest.approx(roc_auc_score(positive, scores), abs=1e-5)
    assert interval.low < value < interval.high


def test_without_rows_of_both_classes_there_is_no_area():
    value, interval = auc_interval(np.zeros(20, bool), np.arange(20.0))
    assert np.isnan(value)
    assert interval is None


def paired_errors(rows=120):
    draw = np.random.default_rng(7)
    hard = draw.lognormal(0, 1, rows)
    first, second = hard * draw.uniform(0.6, 0.9, rows), hard * draw.uniform(0.8, 1.2, rows)
    return first**2, second**2


def test_two_models_on_the_same_rows_are_resampled_together():
    """Rows are hard for both: taken alone, the intervals of the two overlap by far."""
    first, second = paired_errors()
    ours = scores_difference(RowScores("root", first[:, None]), RowScores("root", second[:, None]), "min")

    def difference(first, second, axis):
        return np.sqrt(first.mean(axis=axis)) - np.sqrt(second.mean(axis=axis))

    theirs = stats.bootstrap(
        (first, second), difference, paired=True, vectorized=True, n_resamples=9999, rng=1,
        confidence_level=widened_confidence(120),
    ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    assert [ours.low, ours.high] == pytest.approx([theirs.low, theirs.high], abs=0.06 * width)
    assert ours.mean == pytest.approx(difference(first, second, 0))
    assert ours.lower == np.count_nonzero(first < second)
    assert ours.verdict() == "better"
    worse = scores_difference(RowScores("root", second[:, None]), RowScores("root", first[:, None]), "min")
    assert worse.verdict() == "worse"
    assert worse.p == ours.p
    assert (worse.low, worse.high) == pytest.approx((-ours.high, -ours.low), rel=0.1)


def test_the_level_of_a_difference_is_near_that_of_the_t_test():
    draw = np.random.default_rng(3)
    first = draw.normal(5, 1, 400)
    second = first + draw.normal(0.04, 0.4, 400)
    ours = scores_difference(RowScores("mean", first[:, None]), RowScores("mean", second[:, None]), "min")
    assert ours.p == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.02)


def test_a_model_is_not_distinguishable_from_itself_and_other_rows_are_refused():
    first, _ = paired_errors()
    scores = RowScores("root", first[:, None])
    same = scores_difference(scores, scores, "min")
    assert (same.mean, same.low, same.high, same.p, same.verdict()) == (0, 0, 0, 1, "not distinguishable")
    with pytest.raises(ValueError, match="the same rows"):
        scores_difference(scores, RowScores("root", first[1:, None]), "min")
