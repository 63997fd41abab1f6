"""`stopcli run`, and how the other commands that train start; what they do is imported once they are called."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from stopcli.cli.assignments import (
    file_and_table,
    parse_assignments,
    read_code,
    setting_of_file,
    source_in,
    with_changes_of_tables,
    with_typed_settings,
)
from stopcli.cli.commands import SET
from stopcli.cli.console import Output
from stopcli.cli.options import (
    CodePath,
    Json,
    Quiet,
    RunDir,
    RunsDir,
    TimeBudget,
    Verbose,
    command_parameters,
    common_options,
    complete_runs,
    list_flags,
    setting_value,
    with_parameters,
)
from stopcli.configs.base import RunConfig, options_of, resolve
from stopcli.configs.registry import COMMANDS, config_class
from stopcli.errors import ConfigError, RequestError
from stopcli.paths import check_path, parse_path, quoted
from stopcli.runs.files import read_toml
from stopcli.runs.folder import DEFAULT_RUNS_DIR, check_is_run, runs_root
from stopcli.runs.run import Run, resolve_run, run_argument
from stopcli.runs.summary import FOREIGN
from stopcli.training.tf_setup import has_gpu

ConfigFile = Annotated[
    Path,
    typer.Argument(
        help="A config.toml: a run's own, or one written by hand; or a run, whose settings are run again.",
        metavar="CONFIG",
        parser=parse_path,
        autocompletion=complete_runs,
    ),
]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        SET,
        metavar="KEY=VALUE …",
        help="Other values for settings of the file, a list: epochs=200 stop=gl:2,up:3 patience=none. Those of a "
        "FILE.py stand behind a word: settings.units=64 vary.units=32,64. The new run's config.toml has them, and the "
        "file stays as it is.",
        show_default=False,
    ),
]


def training_command(name: str) -> tuple[Callable[..., None], tuple[str, ...], frozenset[str]]:
    """The function of a command that trains, with the options and the help of its config class; those of its options
    that take lists, and the names of those that most runs need."""
    config = config_class(name)

    def command(ctx: typer.Context, **settings: object) -> None:
        run_from_options(ctx, config)

    command.__doc__ = f"{COMMANDS[name].summary}\n\n{config.help}"
    return with_parameters(command, command_parameters(config)), list_flags(config), common_options(config)


def settings_from_options(ctx: typer.Context, config: type[RunConfig]) -> dict[str, Any]:
    """The settings that are given on the command line, by name: those that win over the scale."""
    root = runs_root(ctx.params.get("runs_dir"))
    for name in ("init_from", "from_range"):
        if ctx.params.get(name) is not None:
            ctx.params[name] = resolve_run(ctx.params[name], root)
    sources = {name: ctx.get_parameter_source(name) for name in options_of(config)}
    names = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if "table" in ctx.params:
        ctx.params |= file_and_table(ctx.params["file"], ctx.params["table"], ctx.params["target"])
        names = [name for name in names if name not in ("file", "table")]
        names += [name for name in ("file", "table") if ctx.params[name] is not None]
    source = read_code(ctx.params["file"], needs_data=ctx.params["table"] is None) if "file" in names else None
    settings = {name: setting_value(config, name, ctx.params[name]) for name in names}
    settings = {**_of_ancestor(settings), **settings}
    settings = with_typed_settings(config, settings, source or source_in(config, settings))
    if ctx.params.get("from_range") is not None:
        from stopcli.configs.lr_range import read_bounds

        # Flags win over the bounds of the range test.
        settings = {**read_bounds(ctx.params["from_range"]), **settings}
    return settings


def _of_ancestor(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a run of a table has from the one whose model it starts from, where it is given no others."""
    if not (settings.get("init_from") and settings.get("table")):
        return {}
    from stopcli.recipes.table_growth import taken_over

    return taken_over(settings)


def config_from_options(ctx: typer.Context, config_class: type[RunConfig], output: Output) -> RunConfig:
    """The config of a command with the options of its context, what they leave out as the scale says."""
    from stopcli.configs.lr_range import mismatch

    config = resolve(config_class, settings_from_options(ctx, config_class), has_gpu)
    from_range = ctx.params.get("from_range")
    if from_range is not None and (warning := mismatch(from_range, config)):
        output.warn(warning)
    return config


def config_file_of(named: Path, root: Path, output: Output) -> Path:
    """The config file that a CONFIG means: a file, or the config.toml of a run, named as everywhere.

    Raises:
        RequestError: there is none; or the run is not finished, so that it may be meant to be resumed.
    """
    check_path(named)
    if named.exists() and not named.is_dir():
        return named
    if named.name == "config.toml":
        # Of a run by its name.
        return resolve_run(named.parent, root) / named.name
    folder = resolve_run(named, root)
    if folder.is_file():
        return folder
    check_is_run(folder)
    run, name = Run.read(folder), shlex.quote(run_argument(folder))
    if run.state not in ("finished", "failed") and run.command not in FOREIGN:
        raise RequestError(
            f"{named}: a run that is not finished ({run.state}), expected a config file or a run that has ended",
            hint=f"stopcli resume {name} continues it; stopcli run {name}/config.toml starts it anew.",
        )
    output.say(f"The settings of {folder}, run again in a new folder.")
    return folder / "config.toml"


def config_from_file(
    file: Path, assignments: Sequence[str] = (), root: Path = DEFAULT_RUNS_DIR, code: Path | None = None
) -> RunConfig:
    """The config in a TOML file, with the settings that it leaves out.

    Args:
        assignments: words such as `epochs=200`, which count as if the file had them.
        root: the runs folder, for an assignment that names a run.
        code: a user's Python file that is named instead of the one in it.

    Raises:
        RequestError: it holds no settings of a command, or these.
    """
    settings = read_toml(file)
    if "command" not in settings and "arms" in settings and "config" in settings:
        raise RequestError(
            f"{file}: a published result's file, not a run's config", hint=f"stopcli reproduce {quoted(file)}"
        )
    if "command" not in settings:
        raise RequestError(f"{file}: has no command", hint='Its first line should be: command = "moons"')
    changes: dict[str, Any] = {}
    try:
        config = config_class(settings.pop("command"))
        settings = {name: value for name, value in settings.items() if name not in config.not_repeated}
        changes = parse_assignments(config, assignments, root)
        settings = {**_of_ancestor({**settings, **changes}), **settings}
        source = source_in(config, {**settings, **changes}, code)
        settings = with_typed_settings(config, settings, source, option="settings")
        typed = with_typed_settings(config, changes, source)
        return resolve(config, with_changes_of_tables(settings, typed), has_gpu)
    except ConfigError as error:
        if error.setting == "set":
            raise
        origin = SET if error.setting in changes else f"{file}:"
        hint = setting_of_file(settings, error.setting) or error.hint
        raise RequestError(f"{origin} {error.message}", hint=hint) from None


def _with_code(config: RunConfig, code: Path | None, named: Path, output: Output) -> RunConfig:
    """The config with the user's file that may be executed. Raises RequestError where none may be."""
    from stopcli.recipes.recorded_code import with_code

    config, notes = with_code(config, code, again=f"stopcli run {shlex.quote(str(named))}")
    for note in notes:
        output.warn(note)
    return config


def run_from_options(ctx: typer.Context, config_class: type[RunConfig]) -> None:
    """Run a command with the options of its context, print the result, and exit as the run ended."""
    params = ctx.params
    output = Output(params["json"], params["quiet"], params["verbose"])
    config = config_from_options(ctx, config_class, output)
    # What is wrong with the options is said without what trains.
    from stopcli.cli.execute import run_config

    budget, dry_run = params["time_budget"], params.get("dry_run", False)
    run_config(config, params["runs_dir"], params["run_dir"], output, budget, dry_run=dry_run)


def run(
    config_file: ConfigFile,
    settings: Settings = None,
    code: CodePath = None,
    runs_dir: RunsDir = None,
    run_dir: RunDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    time_budget: TimeBudget = None,
) -> None:
    """Run a config file: `command` and any of its settings, the others at their default."""
    output = Output(json, quiet, verbose)
    root = runs_root(runs_dir)
    file = config_file_of(config_file, root, output)
    config = _with_code(config_from_file(file, settings or (), root, code), code, config_file, output)
    from stopcli.cli.execute import run_config
    from stopcli.recipes.recorded_code import hinting_at_folder

    with hinting_at_folder(file.parent):
        run_config(config, runs_dir, run_dir, output, time_budget)
