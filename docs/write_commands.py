"""Writes docs/commands.md: the help of every command, as the program prints it.

`python docs/write_commands.py` writes; a test compares. The program is run with a fixed width and without colours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMANDS = Path(__file__).parent / "commands.md"
_HEAD = """# Commands

The help of every command, as `stopcli COMMAND --help-all` prints it; `--help` shows the options that most runs need.
Written by `make docs`.
"""
# One process for all of them: each would spend most of its time on imports.
_SHOW = """
from stopcli.cli.app import SUMMARIES
from stopcli.cli.main import main

for command in SUMMARIES:
    print(command)
    try:
        main([command, "--help-all"])
    except SystemExit as left:
        assert not left.code, command
    print("\\0", end="", flush=True)
"""


def commands_page() -> str:
    """The whole of docs/commands.md: what `stopcli COMMAND --help-all` prints for each command, 100 columns wide."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    pages = subprocess.run(
        [sys.executable, "-c", _SHOW], env=environment, capture_output=True, text=True, check=True
    ).stdout
    parts = [_HEAD]
    for shown in pages.split("\0")[:-1]:
        command, _, text = shown.partition("\n")
        lines = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
        parts.append(f"\n## {command}\n\n```text\n{lines}\n```\n")
    return "".join(parts)


if __name__ == "__main__":
    COMMANDS.write_text(commands_page(), encoding="utf-8")
