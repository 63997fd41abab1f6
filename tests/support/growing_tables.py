"""A table that grows, as its rows come in night by night, and the run of it that another one can start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from stopcli.configs.base import parse, to_toml
from stopcli.configs.fit import FitConfig
from stopcli.recipes.table import TableRows, read_table_rows
from stopcli.recipes.table_encoder import statistics_of
from stopcli.training.session import NullObserver

HASHED = {"target": "price", "split": "hash:id"}


def houses(rows: int) -> pandas.DataFrame:
    """The first rows of one long table, each the same whatever follows; the price is nearly linear in the rest."""
    draw = np.random.default_rng(0)
    values = draw.normal(size=(2000, 2))
    frame = pandas.DataFrame(
        {
            "id": np.arange(2000) + 1000,
            "area": np.round(100 + 30 * values[:, 0], 1),
            "rooms": draw.integers(1, 8, 2000),
            "side": draw.choice(["north", "south", "west"], 2000),
        }
    )
    frame["price"] = np.round(3 * frame.area + 20 * frame.rooms + 50 * (frame.side == "north") + 5 * values[:, 1], 2)
    return frame.head(rows)


def written(frame: pandas.DataFrame, name: str = "houses.csv") -> Path:
    """A table in a file of this folder, in the place of what it had before."""
    frame.to_csv(name, index=False)
    return Path(name)


def read(name: str = "houses.csv", run: Path | None = None, **settings: Any) -> TableRows:
    """The rows of a table as a run with some settings has them."""
    return read_table_rows(config_of(name, **settings), NullObserver(), run)


def config_of(name: str = "houses.csv", **settings: Any) -> FitConfig:
    return parse(FitConfig, {"table": name, **HASHED, **settings})


def written_ancestor(rows: TableRows, folder: str = "first", **settings: Any) -> Path:
    """The folder of a finished run that has trained on some rows, with what another run needs of it but a model."""
    path = Path(folder)
    path.mkdir()
    config = config_of(rows.table.path.name, **{"validation": "split", **settings})
    statistics = statistics_of(rows.raw.at(rows.numbers_of(0)), rows.columns)
    (path / "config.toml").write_text(to_toml(config))
    (path / "status.json").write_text(json.dumps({"state": "finished", "started": "2026-11-28T01:00:00+00:00"}))
    for name, content in rows.files(statistics.plain).items():
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
