"""Sweeps without the figures over their runs, which take as long as the training of small ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

from stopcli.configs.registry import COMMANDS
from stopcli.recipes.base import recipe_of


@contextlib.contextmanager
def without_sweep_figures() -> Iterator[None]:
    """Within the block, no recipe draws figures over a sweep's runs."""
    with contextlib.ExitStack() as stack:
        for command in COMMANDS:
            stack.enter_context(mock.patch.object(type(recipe_of(command)), "sweep_figures", return_value={}))
        yield
