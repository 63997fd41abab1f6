"""Writing a report into the folder that it reports on."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from pathlib import Path

from stopcli.errors import in_a_line
from stopcli.report.document import Document
from stopcli.report.html import to_html
from stopcli.report.markdown import to_markdown
from stopcli.runs.files import is_disk_fault, write_text
from stopcli.runs.folder import RunFolder


def write_report(folder: Path, document: Document, name: str = "report") -> list[Path]:
    """Write a document as NAME.md and NAME.html into the folder that its pictures' paths are relative to."""
    texts = {f"{name}.md": to_markdown(document), f"{name}.html": to_html(document, folder)}
    for file, text in texts.items():
        write_text(folder / file, text)
    return [folder / file for file in texts]


def write_or_warn(folder: RunFolder, document: Callable[[], Document]) -> tuple[str, ...]:
    """Write the report of something finished, whose results must not be lost because the report cannot be made.

    Args:
        folder: held by this process; its log gets the traceback.

    Returns:
        Warnings, a sentence without a full stop each.

    Raises:
        OSError: the disk is full, broken or read-only.
    """
    try:
        write_report(folder.path, document())
    except Exception as error:
        if is_disk_fault(error):
            raise
        folder.note(f"the report could not be written:\n{traceback.format_exc()}")
        # One of an earlier session, or half of this one, would not agree with the results.
        for name in ("report.md", "report.html"):
            with contextlib.suppress(OSError):
                (folder.path / name).unlink(missing_ok=True)
        return (f"the report could not be written ({in_a_line(error)}); stopcli report {folder.path} tries again",)
    return ()
