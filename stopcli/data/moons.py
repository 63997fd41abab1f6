"""Two interleaved half circles with noise: the classic two-class problem that a wide MLP overfits."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import make_moons

from stopcli.data.rows import Examples, Splits
from stopcli.data.shares import fraction_of


def moons(samples: int, noise: float, data_seed: int) -> Examples:
    """scikit-learn's `make_moons`, in its own order, which is shuffled by the seed.

    Args:
        samples: rows in all, ≥ 2.
        noise: standard deviation of the Gaussian noise, ≥ 0.
        data_seed: `random_state` of scikit-learn.

    Returns:
        x: float32, shape [samples, 2]. y: float32 of 0 and 1, shape [samples, 1].
    """
    x, y = make_moons(n_samples=samples, noise=noise, random_state=data_seed)
    return Examples(x.astype(np.float32), y.astype(np.float32)[:, np.newaxis])


def split_moons(rows: Examples, train_size: int, validation: str, fraction: float) -> Splits:
    """The rows in parts.

    The first `train_size` rows train and the others test; what validates is

    - `test`: the test rows themselves, as published (J. Brownlee, 2018);
    - `split`: the last `fraction` of the training rows, as Keras's `validation_split` takes them;
    - `holdout`: the first `fraction` of the other rows, so that as many rows train as published.

    Args:
        train_size: 1 ≤ train_size < rows; ≥ 2 for `split`, and ≥ 2 other rows for `holdout`.
        fraction: in (0, 1); each part keeps at least one row. Not used by `test`.
    """
    train, rest = rows.take(0, train_size), rows.take(train_size, rows.count)
    if validation == "test":
        return Splits(train, rest, rest)
    if validation == "split":
        cut = train.count - fraction_of(train.count, fraction)
        return Splits(train.take(0, cut), train.take(cut, train.count), rest)
    cut = fraction_of(rest.count, fraction)
    return Splits(train, rest.take(0, cut), rest.take(cut, rest.count))
