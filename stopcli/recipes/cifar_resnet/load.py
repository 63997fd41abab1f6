"""The images of `stopcli cifar-resnet`."""

from __future__ import annotations

from stopcli.recipes.images.load import load

__all__ = ["load"]
