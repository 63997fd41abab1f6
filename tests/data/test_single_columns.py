"""What a single column tells of the target, against scikit-learn, SciPy and plain loops."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from stopcli.data.single_columns import (
    accuracy_by_number,
    accuracy_by_word,
    auc_by_number,
    auc_by_word,
    r2_by_number,
    r2_by_word,
)

SEEDS = range(3)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_a_number_the_figures_are_those_of_other_libraries(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=80).round(1)
    target = rng.normal(size=80) + (seed - 2) * values
    area = roc_auc_score(target > 0, values)
    assert auc_by_number(values, target > 0) == pytest.approx(max(area, 1 - area), abs=1e-12)
    squares = pearsonr(values, target)[0] ** 2, spearmanr(values, target)[0] ** 2
    assert r2_by_number(values, target) == pytest.approx(max(squares), abs=1e-12)
    # Without two equal numbers, the nearest is the nearest neighbour.
    different = rng.permutation(80) + rng.random(80) / 2
    classes = np.digitize(different, [15, 40]) if seed % 2 else rng.integers(0, 3, 80)
    predicted = cross_val_predict(KNeighborsClassifier(1), different[:, None], classes, cv=LeaveOneOut())
    expected = balanced_accuracy_score(classes, predicted)
    assert accuracy_by_number(different, classes) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_a_word_the_figures_are_those_of_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, (4, 12, 40)[seed % 3], 60)
    classes = np.where(rng.random(60) < 0.5, codes % 3, rng.integers(0, 3, 60))
    target = codes + rng.normal(size=60)
    means, votes = [], []
    for row, code in enumerate(codes):
        others = np.delete(np.arange(60), row)
        same = others[codes[others] == code]
        means.append([values[same if len(same) else others].mean() for values in (target, classes == 1)])
        frequent = [*Counter(classes[same]).most_common(2), (-1, 0), (-1, 0)][:2]
        votes.append(frequent[0][0] if frequent[0][1] > frequent[1][1] else -1)
    means_of_target, means_of_class = np.transpose(means)
    assert r2_by_word(codes, target) == pytest.approx(r2_score(target, means_of_target), abs=1e-12)
    assert auc_by_word(codes, classes == 1) == pytest.approx(roc_auc_score(classes == 1, means_of_class), abs=1e-12)
    recalls = [np.mean(np.array(votes)[classes == label] == label) for label in np.unique(classes)]
    assert accuracy_by_word(codes, classes) == pytest.approx(np.mean(recalls), abs=1e-12)


def test_words_that_stand_in_one_row_give_nothing_away() -> None:
    rng = np.random.default_rng(0)
    codes = rng.permutation(200)
    assert auc_by_word(codes, codes % 2 == 0) < 0.5
    assert r2_by_word(codes, codes.astype(float)) < 0
    assert accuracy_by_word(codes, codes % 3) == 0


def test_numbers_in_any_order_and_with_missing_ones_can_give_a_class_away() -> None:
    codes = np.array([7.0, 1, np.nan, 4, 1, 7, 4, np.nan] * 5)
    classes = np.array([0, 1, 2, 3, 1, 0, 3, 2] * 5)
    assert accuracy_by_number(codes, classes) == 1
    assert auc_by_number(codes, classes == 2) == 1
    assert auc_by_number(-codes, classes != 2) == 1
    assert accuracy_by_number(np.ones(40), classes) == 0
    assert r2_by_number(np.ones(40), classes) == 0
    assert r2_by_number(classes.astype(float), np.ones(40)) == 0
    assert r2_by_word(classes, np.ones(40)) == 0
