"""Commands of the stage that renders images."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Δf image stacks of structures (probe-particle model)."
)


@app.callback()
def stage() -> None:
    """Keep `render` a command of its own name, though it is the only one."""


@app.command(
    epilog="Example: hydrafm afm render --structures test.extxyz --potential shard-0.zarr --seed 1 --out stacks.zarr"
)
def render(
    structures: Annotated[Path, typer.Option(help="Structures with their windows, extended xyz (Å).")],
    potential: Annotated[Path, typer.Option(help="Potential store of a shard of them, Zarr (V, Å).")],
    out: Annotated[Path, typer.Option(help="Zarr store to make: Δf (Hz) over sample, z, y, x (Å).")],
    tip: Annotated[str, typer.Option(help="Settings of the tip (e, Å, N/m, Hz): JSON text or file.")] = "{}",
    scan: Annotated[str, typer.Option(help="Settings of the scan (Å, pixels): JSON text or file.")] = "{}",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the study; fixes each structure's tip.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU cores to use.")] = 1,
    quick_look: Annotated[Path | None, typer.Option(help="PNG with some of the images.")] = None,
) -> None:
    """Render the Δf stack of every structure in a potential store."""
    from hydrafm.afm.stacks import render_stacks
    from hydrafm.settings.afm import Scan, Tip
    from hydrafm.store import read_dataset, write_dataset, write_whole
    from hydrafm.structure import read_structures

    tip_settings, scan_settings = Tip.parse(tip), Scan.parse(scan)
    stacks = render_stacks(
        read_structures(structures), read_dataset(potential), tip_settings, scan_settings, seed=seed, threads=threads
    )
    write_dataset(stacks, out)
    if quick_look is not None:
        from hydrafm.afm.quick_look import quick_look as draw

        with write_whole(quick_look) as part:
            draw(stacks, part)
    left_out = stacks.attrs["left_out"]
    if left_out:
        typer.echo(
            f"left out {len(left_out)} structures, whose potential begins too high for their windows: {left_out}",
            err=True,
        )
