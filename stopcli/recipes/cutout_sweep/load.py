"""The images of `stopcli cutout-sweep`, which every run of it then reads for itself."""

from __future__ import annotations

from stopcli.recipes.images.load import load

__all__ = ["load"]
