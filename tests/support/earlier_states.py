"""Saved states as earlier versions of stopcli wrote them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def rewrite_meta(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the meta.json of a state, and its hash with it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    meta = json.loads(parts["meta.json"])
    change(meta)
    parts["meta.json"] = json.dumps(meta).encode()
    parts["meta.sha256"] = hashlib.sha256(parts["meta.json"]).hexdigest().encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def as_format_2(path: Path) -> None:
    """Make a state one of format 2, which holds the lengths of three files under other names, and no hashes."""

    def change(meta: dict[str, Any]) -> None:
        meta["format"] = 2
        files = {name.removesuffix(".csv"): length for name, (length, _) in meta["point"].pop("files").items()}
        meta["point"]["file_lengths"] = {name: files[name] for name in ("metrics", "timing", "steps") if name in files}

    rewrite_meta(path, change)
