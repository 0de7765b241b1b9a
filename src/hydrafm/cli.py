"""The command line: one group of commands a stage, each loading its own tools only when it runs."""

import sys

import typer

from hydrafm import __version__
from hydrafm.afm.commands import app as afm
from hydrafm.artefacts.commands import app as artefacts
from hydrafm.errors import HydrafmError
from hydrafm.figures.commands import app as figures
from hydrafm.learn.commands import app as learn
from hydrafm.md.commands import app as md
from hydrafm.potential.commands import app as potential
from hydrafm.settings.commands import app as config

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="From an atomic force microscopy image to the atoms under the tip.",
    epilog="Each stage reads files and writes files; the workflow calls these same commands (see README).",
)
app.add_typer(config, name="config")
app.add_typer(md, name="md")
app.add_typer(potential, name="potential")
app.add_typer(afm, name="afm")
app.add_typer(artefacts, name="artefacts")
app.add_typer(learn, name="learn")
app.add_typer(figures, name="figures")


@app.callback(invoke_without_command=True)
def common(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    """Take the options that stand before a command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; an error a user can cause is one line and exit code 1."""
    try:
        app()
    except HydrafmError as error:
        typer.echo(f"hydrafm: {error}", err=True)
        sys.exit(1)
