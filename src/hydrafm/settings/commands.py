"""Commands about the config of a study."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check a study's config; explain its keys.")


@app.command(epilog="Example: hydrafm config check config/config.yaml config/demo.yaml")
def check(
    files: Annotated[list[Path], typer.Argument(help="YAML files; each adds to the ones before, as in the workflow.")],
) -> None:
    """Check a config without running anything."""
    from hydrafm.settings.merge import read_study

    study = read_study(files)
    counts = ", ".join(f"{name}: {system.splits.train.structures} to train" for name, system in study.systems.items())
    typer.echo(f"{files[-1]} is sound ({counts}; N = {', '.join(map(str, study.learn.sweep.n_train))})")


@app.command(epilog="Example: hydrafm config reference > config/README.md")
def reference() -> None:
    """Print every setting with its default, unit and allowed values, as Markdown."""
    from hydrafm.settings.reference import reference

    typer.echo(INTRODUCTION + reference())


INTRODUCTION = """# Settings

Written by `hydrafm config reference > config/README.md` from the models in `src/hydrafm/settings/`;
a test keeps it up to date.

| file | is |
|---|---|
| `config.yaml` | the study of the paper at its size; what `snakemake` alone runs |
| `laptop.yaml` | what differs for a study in hours: `snakemake --configfile config/laptop.yaml` |
| `demo.yaml` | what differs for a smoke run in minutes: `./run demo` |

A file given with `--configfile` adds to `config.yaml`: keys it names replace those there, all others stay.
`hydrafm config check config/config.yaml config/demo.yaml` checks without running; the workflow checks by
itself before it plans. A value `[low, high]` of the tip or the temperature is drawn for each structure, that of
an artefact each time a stack is trained on; one number fixes it. Å, eV, e, V, fs, K; sensors in Hz and N/m.

"""
