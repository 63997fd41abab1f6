"""`stopcli run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stopcli.cli.console import Output
from stopcli.cli.options.output import Json, Quiet, RunDir, RunsDir, TimeBudget, Verbose
from stopcli.cli.train import RunLocation, run_config
from stopcli.configs.base import resolve
from stopcli.errors import ConfigError, RequestError
from stopcli.paths import parse_path
from stopcli.recipes.base import config_class
from stopcli.runs.files import read_toml
from stopcli.training.tf_setup import has_gpu

ConfigFile = Annotated[
    Path,
    typer.Argument(help="A config.toml: a run's own, or one written by hand.", metavar="CONFIG", parser=parse_path),
]


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
    settings = read_toml(config_file)
    if "command" not in settings and "arms" in settings and "config" in settings:
        raise RequestError(
            f"{config_file}: a published result's file, not a run's config", hint=f"stopcli reproduce {config_file}"
        )
    if "command" not in settings:
        raise RequestError(f"{config_file}: has no command", hint='Its first line should be: command = "moons"')
    try:
        config = resolve(config_class(settings.pop("command")), settings, has_gpu)
    except ConfigError as error:
        raise RequestError(f"{config_file}: {error.message}", hint=error.hint) from None
    run_config(config, RunLocation(runs_dir, run_dir), Output(json, quiet, verbose), time_budget)
