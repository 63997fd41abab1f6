"""scikit-learn's handwritten digits and two moons: data that need no download."""

import functools

import numpy as np
from PIL import Image

from stopcli.data.dataset import Examples, ImageSet, OnProgress, Splits, fraction_of
from stopcli.data.named import NamedDataset

SIDE = 32
TEST_IMAGES = 360


class Digits(NamedDataset):
    """They come with scikit-learn."""

    title = "scikit-learn's handwritten digits"

    def load(self, on_progress: OnProgress) -> ImageSet:
        return digits()


@functools.cache
def digits() -> ImageSet:
    """The 1,797 digits, enlarged from 8 × 8 to 32 × 32 (bilinear) and grey in three channels.

    Returns:
        1,437 images to train on and 360 to test, of every digit its share, the same ones always. All callers have the
        same arrays, which are read-only.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    loaded = load_digits()
    # 0 … 16 to 0 … 255.
    grey = np.rint(loaded.images * (255 / 16)).astype(np.uint8)
    large = [np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in grey]
    x, y = np.repeat(np.stack(large)[..., None], 3, axis=-1), loaded.target.astype(np.int32)
    rows = np.arange(len(y))
    train, test = train_test_split(rows, test_size=TEST_IMAGES, stratify=y, random_state=0)
    train, test = (Examples(x[part], y[part]) for part in (np.sort(train), np.sort(test)))
    for array in (train.x, train.y, test.x, test.y):
        array.flags.writeable = False
    return ImageSet("digits", train, test, tuple(map(str, loaded.target_names)))


def moons(samples: int, noise: float, data_seed: int) -> Examples:
    """scikit-learn's `make_moons`, in its own order, which is shuffled by the seed.

    Args:
        samples: rows in all, ≥ 2.
        noise: standard deviation of the Gaussian noise, ≥ 0.
        data_seed: `random_state` of scikit-learn.

    Returns:
        x: float32, shape [samples, 2]. y: float32 of 0 and 1, shape [samples, 1].
    """
    from sklearn.datasets import make_moons

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
