"""The commands of the `stopcli` program, each imported once it is used, and how their errors leave it."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import typer
from typer import _completion_shared
from typer.core import TyperCommand

from stopcli import __version__
from stopcli.cli.commands import CommandGroup, command_class
from stopcli.configs.registry import COMMANDS as TRAINING_COMMANDS
from stopcli.errors import ConfigError, StopcliError


class Command(NamedTuple):
    """A command that is a function.

    Attributes:
        function: as `module:name`, not imported before it is used.
        summary: the first sentence of its docstring, for the overview.
        lists: its options that take lists.
        common: the names of the parameters that `--help` shows; empty for all of them.
        context_settings: of its Typer command.
    """

    function: str
    summary: str
    lists: tuple[str, ...] = ()
    common: tuple[str, ...] = ()
    context_settings: Mapping[str, Any] = {}


# The others are made of the settings of what they train.
FUNCTIONS = {
    "run": Command(
        "stopcli.cli.train:run",
        "Run a config file: `command` and any of its settings, the others at their default.",
        lists=("--set",),
    ),
    "predict": Command(
        "stopcli.cli.predict:predict",
        "Predict the rows of a table by the model of a run, and measure it where the table has the target.",
    ),
    "reproduce": Command(
        "stopcli.cli.reproduce:reproduce",
        "Repeat published results and check which hold: reported beside measured values, with a verdict on each.",
    ),
    "resume": Command(
        "stopcli.cli.resume:resume",
        "Resume a run that was interrupted, killed or paused, or failed for an outside reason, where it stopped.",
        lists=("--stop",),
        common=("run", "epochs", "dataset", "code", "patience", "time_budget", "retry_failed", "force", "quiet"),
    ),
    "list": Command(
        "stopcli.cli.runs:list_runs",
        "List the runs, newest last: state, epochs, best value, size on disk, age.",
        lists=("--command", "--state"),
    ),
    "show": Command(
        "stopcli.cli.runs:show",
        "Show a run: its state, why it stopped, its results; or what an analysis of runs found.",
    ),
    "rm": Command(
        "stopcli.cli.runs:rm",
        "Delete runs, sweeps and analyses of runs: the whole folder, once you have seen what goes and said yes.",
    ),
    "prune": Command(
        "stopcli.cli.runs:prune",
        "Delete what runs need no more, once you have seen what goes and said yes: the saved states of finished runs.",
        lists=("--command",),
    ),
    "compare": Command(
        "stopcli.cli.analyse:compare",
        "Compare runs and sweeps: settings that differ, curves in one figure, paired statistics, cost.",
    ),
    "report": Command(
        "stopcli.cli.analyse:report",
        "Write report.html and report.md of a run or a sweep again, from what its folder holds now.",
    ),
    "replay": Command(
        "stopcli.cli.analyse:replay",
        "Show what other stopping rules would have done on finished runs, without training.",
        lists=("--patience", "--min-delta", "--stop", "--rule", "--smooth"),
    ),
    "recommend": Command(
        "stopcli.cli.analyse:recommend",
        "Recommend a stopping rule, by finished runs, with what to expect of it on others.",
        lists=("--patience", "--min-delta", "--stop", "--smooth"),
    ),
    "verify-resume": Command(
        "stopcli.cli.resume:verify_resume",
        "Check on this machine that killed and resumed runs end the same: kill, resume, compare to the bit.",
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    ),
}
SUMMARIES = {
    **{name: command.summary for name, command in TRAINING_COMMANDS.items() if command.summary},
    **{name: command.summary for name, command in FUNCTIONS.items()},
}


def load_command(name: str) -> TyperCommand:
    """The whole command, which is imported."""
    program = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False, add_completion=False)
    common: Iterable[str]
    if name in FUNCTIONS:
        path, _, lists, common, context_settings = FUNCTIONS[name]
        function = pkgutil.resolve_name(path)
    else:
        from stopcli.cli.train import training_command

        function, lists, common = training_command(name)
        context_settings = {}
    program.command(name, cls=command_class(lists, common), context_settings=dict(context_settings))(function)
    loaded = typer.main.get_command(program)
    assert isinstance(loaded, TyperCommand)
    return loaded


class _LazyCommand(TyperCommand):
    """A command's name and summary, as the overview and completion show them; parsing its arguments imports it."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        assert self.name is not None
        return load_command(self.name).make_context(info_name, args, parent=parent, **extra)


class _Commands(CommandGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: _LazyCommand(name, help=summary) for name, summary in SUMMARIES.items()}


# Typer's own does nothing at the first Tab, which only loads the file, and completes no path after `--option=`.
_completion_shared._completion_scripts["zsh"] = """
#compdef %(prog_name)s

%(complete_func)s() {
  local completions="$(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" %(autocomplete_var)s=complete_zsh %(prog_name)s)"
  [[ $PREFIX == --*=* ]] && compset -P '*='
  eval "$completions"
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  %(complete_func)s "$@"
else
  compdef %(complete_func)s %(prog_name)s
fi
"""

app = typer.Typer(
    cls=_Commands,
    help="Learn when to stop training, which checkpoint to keep, and what a regulariser buys for its cost.",
    rich_markup_mode="markdown",
    # A bug stays Python's own traceback, which people can paste into a report.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(version: bool) -> None:
    if version:
        print(f"stopcli {__version__}")
        raise typer.Exit


@app.callback()
def stopcli(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Learn when to stop training, which checkpoint to keep, and what a regulariser buys for its cost.

    Every command leaves a run folder with its metrics, plots, models and a report.
    """


def run_program(args: Sequence[str]) -> int:
    """Run a command line, and print its error where there is one. Returns the exit status."""
    try:
        app(args=list(args), prog_name="stopcli")
    except StopcliError as error:
        if "_STOPCLI_COMPLETE" in os.environ:
            # A message would stand in the middle of what is being typed.
            return error.exit_status
        from stopcli.cli.console import print_error, print_traceback

        message = error.as_flag() if isinstance(error, ConfigError) else error.message
        print_error(message, error.hint)
        print_traceback()
        return error.exit_status
    except SystemExit as exited:
        return int(exited.code or 0)
    return 0
