"""The images to reproduce with: loaded once, so that every experiment has the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stopcli.data.cifar10 import is_archive, official_folder
from stopcli.data.images import ImageSet

# A part of the official files has their form too.
_ALL = {"limit": 50_000, "test_limit": 10_000}


@dataclass(frozen=True)
class Images:
    """Images that runs are trained on.

    Attributes:
        name: `cifar10`, `digits`, or the folder's absolute path.
        counts: how many there are, by the setting that limits them.
        published: whether they are all of CIFAR-10: Keras's, or the official files.
        notes: what a reader should know of them, a sentence without a full stop each.
    """

    name: str
    counts: Mapping[str, int]
    published: bool = False
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name as a part of a folder's."""
        return Path(self.name).name or "images"

    @property
    def description(self) -> str:
        """What they are, and how they compare with the published ones."""
        if self.published:
            return "CIFAR-10, the published data"
        if self.name == "digits":
            return "scikit-learn's handwritten digits, which are not the published data (CIFAR-10)"
        if self.counts != _ALL:
            train, test = self.counts["limit"], self.counts["test_limit"]
            return f"the {train:,} and {test:,} images in {self.label}, which are not the published ones (CIFAR-10)"
        return (
            f"the images in {self.label}, which are not the published files: images that were saved again as JPEG "
            "differ from them"
        )

    @classmethod
    def of(cls, images: ImageSet) -> Images:
        """Of images that were loaded."""
        name = images.name if images.name in ("cifar10", "digits") else str(Path(images.name).resolve())
        path = Path(name)
        counts = {"limit": images.train.count, "test_limit": images.test.count}
        official = name == "cifar10" or is_archive(path) or (path.is_dir() and official_folder(path) is not None)
        return cls(name, counts, official and counts == _ALL, images.notes)
