"""The image data sets that have a name, and what others need to know of each."""

from __future__ import annotations

import functools
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stopcli.data.dataset import ImageSet, OnProgress

_DATASETS = {
    "cifar10": "stopcli.data.cifar10:Cifar10",
    "digits": "stopcli.data.toy:Digits",
}
DATASET_NAMES = tuple(_DATASETS)


class NamedDataset:
    """A data set that `--dataset` takes by name; with `in_files` the user may have it in files, so that a path can take
    its place when a run is resumed."""

    title = ""
    in_files = False

    def load(self, on_progress: OnProgress) -> ImageSet:
        """Its images, with its name as theirs. Raises RequestError where they are damaged, and RunError where they
        cannot be downloaded."""
        raise NotImplementedError


@functools.cache
def named_datasets() -> dict[str, NamedDataset]:
    """Every named data set."""
    return {name: pkgutil.resolve_name(target)() for name, target in _DATASETS.items()}
