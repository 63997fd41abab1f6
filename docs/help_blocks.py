"""Writes the help of every command into docs/commands.md, between `<!-- help: … -->` and `<!-- end of help -->`.

`python docs/help_blocks.py` writes; a test compares. The program is run with a fixed width and without colours.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

COMMANDS = Path(__file__).parent / "commands.md"
_BLOCK = re.compile(r"(<!-- help: ?(.*?) -->\n).*?(<!-- end of help -->)", re.DOTALL)
# One process for all of them: each would spend most of its time on imports.
_SHOW = """
import sys
from stopcli.cli.main import main

for command in sys.argv[1:]:
    try:
        main([*command.split(), "--help"])
    except SystemExit as left:
        assert not left.code, command
    print("\\0", flush=True)
"""


def helps_of(commands: list[str]) -> dict[str, str]:
    """What `stopcli COMMAND --help` prints, 100 columns wide, by command."""
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}
    words = [sys.executable, "-c", _SHOW, *commands]
    told = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    texts = ["\n".join(line.rstrip() for line in text.strip("\n").splitlines()) for text in told.split("\0")[:-1]]
    return dict(zip(commands, texts, strict=True))


def with_help(text: str) -> str:
    """The text with every help block as the program prints it now."""
    helps = helps_of([block[2] for block in _BLOCK.finditer(text)])
    return _BLOCK.sub(lambda block: f"{block[1]}```text\n{helps[block[2]]}\n```\n{block[3]}", text)


if __name__ == "__main__":
    COMMANDS.write_text(with_help(COMMANDS.read_text(encoding="utf-8")), encoding="utf-8")
