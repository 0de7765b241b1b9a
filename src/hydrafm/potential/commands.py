"""Commands of the electrostatic potential."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Electrostatic potential of structures, by point charges or density functional theory.",
)


@app.callback()
def common() -> None:
    """Keep `solve` a command of its own, also while it is the only one."""


@app.command(
    epilog="Example: hydrafm potential solve --structures train.extxyz --first 0 --count 50"
    ' --settings \'{"method": "gpaw"}\' --out shard-0.zarr --failed shard-0.failed.csv'
)
def solve(
    structures: Annotated[Path, typer.Option(help="Structures of a split: extended xyz, Å.")],
    out: Annotated[Path, typer.Option(help="Zarr store to make, V.")],
    failed: Annotated[Path, typer.Option(help="CSV to make: structures that did not converge, s spent.")],
    first: Annotated[int, typer.Option(help="Number of the first structure in the file, from 0.", min=0)] = 0,
    count: Annotated[int, typer.Option(help="Structures handled; beyond the file's end there are none.", min=1)] = 50,
    settings: Annotated[str, typer.Option(help="Settings of the potential: JSON, or a file of it.")] = "{}",
) -> None:
    """Calculate the potential of some structures, each in one plane above its atoms, V."""
    import csv
    from dataclasses import asdict, fields

    from hydrafm.potential.shard import Failure, solve_shard
    from hydrafm.settings.potential import Potential
    from hydrafm.store import write_dataset, write_whole
    from hydrafm.structure import read_structures

    parsed = Potential.parse(settings)
    dataset, failures = solve_shard(read_structures(structures), first=first, count=count, settings=parsed)
    with write_whole(failed) as part, part.open("w", newline="") as stream:
        table = csv.DictWriter(stream, [field.name for field in fields(Failure)])
        table.writeheader()
        table.writerows(asdict(failure) for failure in failures)
    write_dataset(dataset, out)
