"""Help at any width: names whole, no word broken, no line beyond; and errors of the command line, in one voice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from program import run

from stopcli.cli.app import SUMMARIES, app, load_command
from stopcli.cli.commands import command_help

WIDTHS = (40, 80, 200)
# What `--help` shows of a command with many options has to be read without scrolling twice.
MOST_LINES = 75


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("NO_COLOR", "1")
    return int(request.param)


def helps(name: str) -> Iterator[tuple[Any, str]]:
    """A command with its help, short and whole."""
    command = load_command(name)
    context = typer.Context(command, info_name=f"stopcli {name}")
    for everything in (False, True):
        yield command, command_help(command, context, everything=everything)


def words_of(text: str) -> set[str]:
    return {word for word in re.split(r"\s+|(?<=\|)", text) if word}


@pytest.mark.parametrize("name", SUMMARIES)
def test_names_and_words_are_whole_and_no_line_is_longer_than_the_terminal(name: str, width: int) -> None:
    for command, text in helps(name):
        shown = words_of(text)
        assert all(len(line) <= width for line in text.splitlines())
        everything = "--help-all:" not in " ".join(text.split())
        for parameter in command.params:
            if parameter.hidden if hasattr(parameter, "hidden") else False:
                continue
            if not everything and parameter.name not in (*command.common, "help_all"):
                continue
            names = [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else []
            assert {option.rstrip(",") for option in names} <= {word.rstrip(",") for word in shown}
            assert parameter.help, f"{name}: {parameter.name} has no text"
            assert words_of(parameter.help) <= shown
            kind = parameter.type_descriptor
            if kind.is_choice and not parameter.metavar and names:
                assert {str(choice) for choice in kind.choices} <= {word.rstrip("|") for word in shown}
        assert not re.search(r"\d\.\d{9}|<bool>|<[a-z]+>|…$", text)


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_short_help_shows_what_most_runs_need_and_names_the_panels(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    (command, short), (_, whole) = helps(name)
    assert len(short.splitlines()) <= MOST_LINES
    if not command.common:
        assert short == whole
        return
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    assert command.common <= {p.name for p in command.params}, "one of the common options does not exist"
    others = [p for p in options if p.name not in (*command.common, "help_all")]
    more = " ".join(short.split("\n\n")[-1].split())
    assert more.startswith(f"{len(others)} more are shown by stopcli {name} --help-all: ")
    for panel in {p.rich_help_panel for p in others}:
        assert f"{panel} ({sum(p.rich_help_panel == panel for p in others)})" in more
    # All of them, and each once.
    for option in options:
        assert len(re.findall(rf"^  {', '.join(sorted(option.opts, key=len))}( |$)", whole, re.MULTILINE)) == 1, (
            option.name
        )


def test_help_is_the_same_through_a_pipe_and_has_no_colours(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("replay", "--help") == 0
    printed = capfd.readouterr()
    assert "\x1b" not in printed.out
    assert not printed.err
    assert "--stop RULE …" in printed.out
    assert "--rule" not in printed.out


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",)])
def test_the_overview_names_every_command(
    words: tuple[str, ...], width: int, capfd: pytest.CaptureFixture[str]
) -> None:
    # Without a command nothing was done.
    assert run(*words) == (0 if words else 2)
    lines = capfd.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    assert [line.split()[0] for line in lines if re.match(r"  \w", line)] == list(SUMMARIES)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("moon", "received the command 'moon', expected one of moons, cifar-resnet, "),
        ("moon", "Did you mean moons?"),
        ("--nosuch", "received '--nosuch', expected an option of stopcli\n"),
        ("moons --patience ten", "--patience: received 'ten', expected a whole number\n"),
        ("moons --patience=1.5", "--patience: received '1.5', expected a whole number\n"),
        ("moons --patience -3", "--patience: received -3, expected at least 0\n"),
        ("moons --patience", "--patience: received no value, expected a whole number\n"),
        ("moons --learning-rate fast", "--learning-rate: received 'fast', expected a number\n"),
        (
            "moons --patients 3",
            "received '--patients', expected an option of stopcli moons\nDid you mean --p",
        ),
        (
            "moons --zzz",
            "received '--zzz', expected an option of stopcli moons\nstopcli moons --help-all",
        ),
        (
            "moons --optimizer adm",
            "--optimizer: received 'adm', expected one of sgd, rmsprop, adam\nDid you mean ad",
        ),
        ("moons --case-study=3", "--case-study: received a value, expected none\n"),
        ("moons --checkpoint-every x", "--checkpoint-every: received 'x', expected a whole number or best or all\n"),
        ("moons extra", "received 'extra', expected only options\n"),
        (
            "cifar-resnet --erase-area 0.1 x",
            "--erase-area: received '0.1 x', expected 2 numbers, such as --erase-a",
        ),
        ("cifar-resnet --erase-area 0.1", "--erase-area: received too few values, expected 2 numbers"),
        (
            "clr --policy triangle",
            "--policy: received 'triangle', expected triangular, triangular2, exp_range or one-",
        ),
        ("clr --policy triangle", "Did you mean triangular?"),
        ("show", "received no RUN, expected a run or a sweep: its folder, its name"),
        ("list extra", "received 'extra', expected only options\n"),
        ("reproduce --scale fast", "--scale: received 'fast', expected one of quick, overnight, full\n"),
        ("verify-resume --kills x", "--kills: received 'x', expected a whole number\n"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_said_in_one_voice(
    words: str, answer: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*words.split()) == 2
    printed = capfd.readouterr()
    assert not printed.out
    assert printed.err.startswith("Error: ")
    assert answer in printed.err


def test_completion_offers_help_all_where_it_shows_more() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert list(commands) == list(SUMMARIES)
    hidden = {p.name: p.hidden for p in load_command("list").params if p.name == "help_all"}
    assert hidden == {"help_all": True}
    assert not next(p for p in load_command("moons").params if p.name == "help_all").hidden  # type: ignore[attr-defined]
