"""Differences of areas under ROC curves, against DeLong's sums and how often their interval holds the true value."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stopcli.stats.auc_difference import auc_difference


def scores_of(rows, seed=0, skill=(1.0, 0.6)):
    draw = np.random.default_rng(seed)
    positive = draw.random(rows) < 0.4
    shared = draw.normal(size=rows)
    return positive, *(positive * one + 0.7 * shared + 0.7 * draw.normal(size=rows) for one in skill)


def test_it_is_delongs_by_pairs_of_rows():
    positive, first, second = scores_of(90, skill=(2.0, 0.3))
    difference = auc_difference(positive, first, second)
    assert difference.mean == pytest.approx(roc_auc_score(positive, first) - roc_auc_score(positive, second))
    # Of each pair of a positive and a negative row whether the positive one has the higher score.
    wins = [(one[positive][:, None] > one[~positive]).astype(float) for one in (first, second)]
    less = wins[0] - wins[1]
    error = np.sqrt(less.mean(axis=1).var(ddof=1) / less.shape[0] + less.mean(axis=0).var(ddof=1) / less.shape[1])
    assert difference.high - difference.low == pytest.approx(2 * 1.959964 * error, rel=1e-5)
    assert difference.verdict() == "better"
    assert "; DeLong's p" in difference.sentence("first", "second", "AUC")
    assert auc_difference(positive, second, first).verdict() == "worse"


def test_ties_count_half_and_thresholds_make_them():
    positive, first, second = scores_of(60)
    thresholds = np.array([-0.5, 0.0, 0.5, 1.0])
    binned = [np.searchsorted(thresholds, one) for one in (first, second)]
    difference = auc_difference(positive, first, second, thresholds)
    expected = roc_auc_score(positive, binned[0]) - roc_auc_score(positive, binned[1])
    assert difference.mean == pytest.approx(expected)


def test_a_constant_is_told_from_a_perfect_order_and_not_from_itself():
    positive = np.arange(20) < 8
    constant = np.full(20, 0.4)
    perfect = auc_difference(positive, positive.astype(float), constant)
    assert (perfect.mean, perfect.low, perfect.verdict()) == (0.5, 0.5, "better")
    same = auc_difference(positive, constant, constant)
    assert (same.mean, same.p, same.verdict()) == (0.0, 1.0, "not distinguishable")


def test_few_rows_or_one_class_have_none():
    assert auc_difference(np.arange(9) < 4, np.arange(9.0), np.arange(9.0)) is None
    assert auc_difference(np.arange(20) < 1, np.arange(20.0), np.arange(20.0)) is None


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    held = 0
    for seed in range(400):
        difference = auc_difference(*scores_of(120, seed + 1, (0.8, 0.8)))
        held += difference.low <= 0 <= difference.high
    assert 365 <= held <= 395
