"""How files end that are read as tables. The command line asks it without what reads them."""

from __future__ import annotations

from pathlib import Path

# Text may be compressed.
CSV_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
TABLE_ENDINGS = (*CSV_ENDINGS, *PARQUET_ENDINGS, ".npz")


def is_table_file(path: Path) -> bool:
    """Whether a path ends as a table does, in capitals or not."""
    return path.name.lower().endswith(TABLE_ENDINGS)
