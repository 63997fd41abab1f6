"""Writes the help of every command into the README, between the marks `<!-- help: … -->` and `<!-- end of help -->`.

`python docs/help_blocks.py` writes; a test compares. The program is run with a fixed width and without colours.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
_BLOCK = re.compile(r"(<!-- help: ?(.*?) -->\n).*?(<!-- end of help -->)", re.DOTALL)


def help_of(command: str) -> str:
    """What `stopcli COMMAND --help` prints, 100 columns wide."""
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}
    words = [sys.executable, "-m", "stopcli", *command.split(), "--help"]
    told = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    return "\n".join(line.rstrip() for line in told.strip("\n").splitlines())


def with_help(text: str) -> str:
    """The text with every help block as the program prints it now."""
    return _BLOCK.sub(lambda block: f"{block[1]}```text\n{help_of(block[2])}\n```\n{block[3]}", text)


if __name__ == "__main__":
    README.write_text(with_help(README.read_text(encoding="utf-8")), encoding="utf-8")
