"""scikit-learn's handwritten digits as small colour images: real data that need no download."""

from __future__ import annotations

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from stopcli.data.images import ImageSet
from stopcli.data.rows import Examples

SIDE = 32
TEST_IMAGES = 360


def digits() -> ImageSet:
    """The 1,797 digits, enlarged from 8 × 8 to 32 × 32 (bilinear) and grey in three channels.

    Returns:
        1,437 images to train on and 360 to test, of every digit its share, the same ones always.
    """
    loaded = load_digits()
    # 0 … 16 to 0 … 255.
    grey = np.rint(loaded.images * (255 / 16)).astype(np.uint8)
    large = [np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for image in grey]
    x, y = np.repeat(np.stack(large)[..., None], 3, axis=-1), loaded.target.astype(np.int32)
    rows = np.arange(len(y))
    train, test = train_test_split(rows, test_size=TEST_IMAGES, stratify=y, random_state=0)
    train, test = np.sort(train), np.sort(test)
    return ImageSet(
        "digits", Examples(x[train], y[train]), Examples(x[test], y[test]), tuple(map(str, loaded.target_names))
    )
