"""The rows of `stopcli clr`, which every run of it then reads for itself."""

from __future__ import annotations

from stopcli.recipes.train.load import load

__all__ = ["load"]
