"""Names say what a thing is: nouns for things, verbs for functions, no participle and no pronoun in a noun's place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parent.parent
# Each of these stood for many things once. Say what it is: `warnings`, `text`, `arm`, `path`, `index`, `selected`, …
NOT_ALLOWED = {
    *(
        "told",
        "tells",
        "telling",
        "said",
        "asked",
        "words",
        "found",
        "begun",
        "began",
        "made",
        "given",
        "seen",
        "watched",
    ),
    *(
        "kept",
        "keeping",
        "left",
        "place",
        "places",
        "standing",
        "each",
        "never",
        "thing",
        "things",
        "judged",
        "judgement",
    ),
}

# What a name means in its own field, and a key of summary.json that users hold.
ALLOWED = {("augment/base.py", "left"), ("augment/cutout.py", "left"), ("augment/erasing.py", "left")} | {
    ("runs/summary.py", "words"),
    # Columns of words, beside those of numbers.
    ("runs/table_record.py", "words"),
    ("data/table_columns.py", "words"),
}

# Classes whose names end like participles and are nouns.
NOUNS = {"RandomErasing", "Recording", "SeedsNeeded", "Speed", "TestedSeed", "Listing", "_Ending"}


def names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that a module gives to a variable, parameter, attribute, function or class, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def test_names_are_found_wherever_one_is_given() -> None:
    code = "def told(each, *words, left=1):\n  for place in x: self.kept = 1\nclass Made: seen: int\nf = lambda said: 0"
    expected = {"told", "each", "words", "left", "place", "kept", "Made", "seen", "f", "said"}
    assert {name for _, name in names_in(ast.parse(code))} == expected


def test_every_name_says_what_it_is() -> None:
    package = PROJECT / "stopcli"
    vague = [
        (str(path.relative_to(package)), line, name)
        for path in sorted(package.rglob("*.py"))
        for line, name in names_in(ast.parse(path.read_text(encoding="utf-8")))
        if name.lower().strip("_") in NOT_ALLOWED
    ]
    assert [where for where in vague if (where[0], where[2]) not in ALLOWED] == []
    assert {(path, name) for path, _, name in vague} == ALLOWED


def test_no_class_is_a_participle() -> None:
    package = PROJECT / "stopcli"
    names = {
        node.name
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert {name for name in names if re.search(r"[a-z](ed|ing)$", name)} == NOUNS
