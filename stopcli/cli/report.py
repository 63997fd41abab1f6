"""`stopcli report`."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from stopcli.cli.console import Output
from stopcli.cli.options.output import Quiet, Verbose
from stopcli.errors import RequestError, ResourceError, system_words
from stopcli.paths import parse_path
from stopcli.recipes.reporting import report_again
from stopcli.runs.files import dump_json
from stopcli.runs.folder import check_is_run

Runs = Annotated[list[Path], typer.Argument(help="Folders of runs or sweeps.", metavar="RUN", parser=parse_path)]
To = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", parser=parse_path, help="Write the HTML to a new file, and leave the run's folder as it is."
    ),
]
Open = Annotated[bool, typer.Option("--open", help="Show it in the browser.")]
Json = Annotated[bool, typer.Option("--json", help="Print the files that were written as JSON on stdout.")]


def report(
    runs: Runs,
    to: To = None,
    open_it: Open = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write report.html and report.md of a run or a sweep again, from its folder alone, as it stands now.

    The HTML is one file with everything in it; it opens without network, in light and dark, on a phone too.
    """
    if to is not None and len(runs) > 1:
        raise RequestError(f"--to: one file for {len(runs)} runs", hint="Give one run, or leave --to out.")
    for run in runs:
        check_is_run(run)
    output = Output(json, quiet, verbose)
    written = []
    for run in runs:
        try:
            files, warnings = report_again(run, to)
        except OSError as error:
            raise ResourceError(f"{to or run}: cannot be written: {system_words(error)}") from error
        for warning in warnings:
            output.warn(warning)
        written.append({"run": str(run), "files": [str(file) for file in files]})
        page = next(file for file in files if file.suffix != ".md")
        output.say(f"{run} → {page}")
        if open_it:
            webbrowser.open(page.resolve().as_uri())
    if json:
        print(dump_json(written))
