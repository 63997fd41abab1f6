"""Runs of this process without what they are not run for: figures, and compiling what was compiled before.

A sweep in one process compiles once for all of its seeds; here that loop is kept for the next run too. Whether a loop
that is begun again computes the same as a new one is tested where runs have processes of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any
from unittest import mock

from stopcli.configs.base import settings_of
from stopcli.configs.training import CheckpointSettings, StoppingSettings
from stopcli.recipes.base import LoadedConfig

# Settings that no compiled loop depends on: when a run stops, what is kept of it, and where its data lie, which are
# known by their content.
_FREE = {
    *(field.name for settings in (StoppingSettings, CheckpointSettings) for field in fields(settings)),
    *("case_study", "name", "scale", "save_every", "seed", "seeds", "init_from", "init_optimizer", "tensorboard"),
    "dataset",
}
_LOOP_CACHES: dict[str, dict[str, Any]] = {}


def _loop_cache_of(loaded: LoadedConfig) -> dict[str, Any]:
    from stopcli.training.state_file import data_fingerprint

    # Schedules of the learning rate depend on the number of epochs; moons has none.
    free = _FREE | ({"epochs"} if loaded.config.command == "moons" else set())
    settings = {name: value for name, value in settings_of(loaded.config).items() if name not in free}
    data = data_fingerprint(getattr(loaded.data, "parts", loaded.data))
    return _LOOP_CACHES.setdefault(f"{loaded.config.command} {settings} {data}", {})


@contextlib.contextmanager
def quick_runs(*, sweep_figures: bool = False) -> Iterator[None]:
    """Within the block, runs of this process draw nothing, and take a compiled loop over from one like them.

    Args:
        sweep_figures: whether figures over a sweep's runs are drawn.
    """
    from sweep_figures import without_sweep_figures

    from stopcli.runner import run

    whole = run.run_one

    def quick(
        loaded: LoadedConfig, *others: Any, loop_cache: dict[str, Any] | None = None, plots: bool = True
    ) -> dict[str, Any]:
        cache = _loop_cache_of(loaded) if loop_cache is None else loop_cache
        try:
            return whole(loaded, *others, loop_cache=cache, plots=False)
        except BaseException:
            # Nobody knows what state it is in.
            cache.clear()
            raise

    with (
        mock.patch.object(run, "run_one", quick),
        contextlib.nullcontext() if sweep_figures else without_sweep_figures(),
    ):
        yield
