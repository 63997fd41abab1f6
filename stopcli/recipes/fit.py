"""The recipe of `stopcli fit`: the model, the data and the metrics of a Python file."""

from __future__ import annotations

from stopcli.recipes.base import SeedRecipe


class Fit(SeedRecipe):
    """The model, the data and the metrics of a Python file."""
