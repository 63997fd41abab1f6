"""A table, and the folder of a run on it whose model has weights that are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from written_runs import write_run

from stopcli.data.row_hash import row_hashes
from stopcli.data.table_columns import choose_columns, raw_rows
from stopcli.data.table_file import read_table
from stopcli.runs.table_record import PARTS, KnownRows, TableRecord, write_known_rows, write_table_record

TOWNS = {"Bruges": 10.0, "Ghent": 20.0, "Liège": 40.0}


def houses(count: int = 120, seed: int = 0) -> pandas.DataFrame:
    """Houses with their prices: numbers of which some are missing, words, and an id."""
    generator = np.random.default_rng(seed)
    area = generator.normal(80, 20, count).round(1)
    area[::10] = np.nan
    town = generator.choice([*TOWNS, ""], count)
    price = 3 * np.nan_to_num(area, nan=80) + pandas.Series(town).map(TOWNS).fillna(0) + generator.normal(0, 5, count)
    return pandas.DataFrame(
        {
            "id": [f"H{number:04}" for number in generator.permutation(count)],
            "rooms": generator.integers(1, 6, count),
            "area": area,
            "town": town,
            "price": price.round(2),
            "kind": np.where(price > 270, "dear", np.where(price > 235, "fair", "cheap")),
        }
    )


def part_of(count: int) -> np.ndarray[Any, Any]:
    """The part of each row: 0 trains, 1 validates, 2 tests."""
    return np.arange(count) % 5 // 3 + (np.arange(count) % 5 == 4)


def write_table_run(
    path: Path,
    table: Path,
    target: str,
    core_of: Callable[[Any], Any],
    headline: dict[str, str],
) -> Any:
    """The folder of a finished run.

    Args:
        core_of: returns the compiled network, of an encoder.

    Returns:
        The network.
    """
    from stopcli.recipes.table_encoder import Encoder, statistics_of

    read = read_table(table)
    columns, _ = choose_columns(
        read, target=target, ignore=["kind" if target == "price" else "price"], apart={"id": ""}
    )
    raw, part = raw_rows(read, columns), part_of(len(read.frame))
    encoder = Encoder(columns, statistics_of(raw.at(part == 0), columns))
    core = core_of(encoder)
    core.optimizer.build(core.trainable_variables)
    write_run(path, command="fit", summary={"headline": headline, "command": "fit"})
    (path / "checkpoints").mkdir()
    encoder.whole(core).save(path / "checkpoints" / "best.keras")
    record = TableRecord(
        str(table),
        target,
        columns.task,
        columns.classes,
        columns.numbers,
        columns.words,
        dict(columns.unused),
        ("id",),
        "hash:id",
        {name: int((part == i).sum()) for i, name in enumerate(PARTS)},
        json.loads(json.dumps(encoder.statistics.plain)),
    )
    write_table_record(path, record)
    write_known_rows(path, KnownRows.of(row_hashes(read, columns, ("id",)), part))
    return core
