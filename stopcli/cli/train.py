"""`stopcli run`, and how the other commands that train start; what they do is imported once they are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stopcli.cli.console import Output
from stopcli.cli.list_options import parse_counts, parse_words
from stopcli.cli.options.output import Json, Quiet, RunDir, RunsDir, TimeBudget, Verbose
from stopcli.configs.base import RunConfig, resolve, setting_names
from stopcli.configs.registry import config_class
from stopcli.errors import ConfigError, RequestError
from stopcli.paths import parse_path
from stopcli.runs.files import read_toml
from stopcli.training.tf_setup import has_gpu

ConfigFile = Annotated[
    Path,
    typer.Argument(help="A config.toml: a run's own, or one written by hand.", metavar="CONFIG", parser=parse_path),
]


def settings_from_options(ctx: typer.Context, command: str) -> dict[str, Any]:
    """The settings that were given on the command line, by name: they win over the scale."""
    settings = {}
    for name in setting_names(config_class(command)):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            settings[name] = ctx.params[name]
    if str(settings.get("checkpoint_every", "")).lstrip("-").isdigit():
        settings["checkpoint_every"] = int(settings["checkpoint_every"])
    if "m" in settings:
        settings["m"] = parse_counts("m", settings["m"])
    for name in {"policy", "vs", "stop"} & settings.keys():
        settings[name] = parse_words(name, settings[name])
    if ctx.params.get("from_range") is not None:
        from stopcli.configs.lr_range import read_bounds

        # Flags win over the bounds of the range test.
        settings = {**read_bounds(ctx.params["from_range"]), **settings}
    if "init_from" in settings:
        settings["init_from"] = str(settings["init_from"])
    return settings


def config_from_options(ctx: typer.Context, command: str, output: Output) -> RunConfig:
    """The config of a command with the options of its context, what they leave out as the scale says."""
    from stopcli.configs.lr_range import mismatch

    config = resolve(config_class(command), settings_from_options(ctx, command), has_gpu)
    from_range = ctx.params.get("from_range")
    if from_range is not None and (warning := mismatch(from_range, config)):
        output.warn(warning)
    return config


def config_from_file(file: Path) -> RunConfig:
    """The config in a TOML file, with the settings that it leaves out.

    Raises:
        RequestError: it holds no settings of a command.
    """
    settings = read_toml(file)
    if "command" not in settings and "arms" in settings and "config" in settings:
        raise RequestError(f"{file}: a published result's file, not a run's config", hint=f"stopcli reproduce {file}")
    if "command" not in settings:
        raise RequestError(f"{file}: has no command", hint='Its first line should be: command = "moons"')
    try:
        return resolve(config_class(settings.pop("command")), settings, has_gpu)
    except ConfigError as error:
        raise RequestError(f"{file}: {error.message}", hint=error.hint) from None


def run_from_options(ctx: typer.Context, command: str) -> None:
    """Run a command with the options of its context, print the result, and exit as the run ended."""
    params = ctx.params
    output = Output(params["json"], params["quiet"], params["verbose"])
    config = config_from_options(ctx, command, output)
    # What is wrong with the options is said without what trains.
    from stopcli.cli.execute import run_config

    budget, dry_run = params["time_budget"], params.get("dry_run", False)
    run_config(config, params["runs_dir"], params["run_dir"], output, budget, dry_run=dry_run)


def run(
    config_file: ConfigFile,
    runs_dir: RunsDir = None,
    run_dir: RunDir = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    time_budget: TimeBudget = None,
) -> None:
    """Run a config file: `command` and any of its settings, the others at their default."""
    config = config_from_file(config_file)
    from stopcli.cli.execute import run_config

    run_config(config, runs_dir, run_dir, Output(json, quiet, verbose), time_budget)
