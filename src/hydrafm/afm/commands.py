"""Commands of the stage that renders images."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import xarray as xr

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Δf image stacks of structures (probe-particle model)."
)


class Precision(StrEnum):
    """How exactly a stack is rendered, see `hydrafm.afm.renderer.relaxed_force`."""

    SINGLE = "single"
    DOUBLE = "double"
    DIRECT = "direct"


OutOption = Annotated[Path, typer.Option("--out", help="Zarr store to make: Δf (Hz) over sample, z, y, x (Å).")]
TipOption = Annotated[str, typer.Option("--tip", help="Settings of the tip (e, Å, N/m, Hz): JSON text or file.")]
ScanOption = Annotated[str, typer.Option("--scan", help="Settings of the scan (Å, pixels): JSON text or file.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU cores to use.")]
QuickLook = Annotated[Path | None, typer.Option(help="PNG with some of the images.")]


@app.command(
    epilog="Example: hydrafm afm render water.xyz --charges O=-0.8,H=0.4"
    ' --tip \'{"charge": 0, "quadrupole": -0.1, "length": 3.5, "lateral_stiffness": 0.25, "lateral_offset": 0,'
    ' "amplitude": 0.5}\' --scan \'{"size": 10, "pixels": 64}\' --out water.zarr --quick-look water.png'
)
def render(
    file: Annotated[Path, typer.Argument(help="Structure in any format that ASE reads (Å); z points off the surface.")],
    out: OutOption,
    index: Annotated[
        str, typer.Option(help="Which of the file's structures: a number, or a slice such as ':'.")
    ] = "-1",
    tip: TipOption = "{}",
    scan: ScanOption = "{}",
    charges: Annotated[
        str | None,
        typer.Option(help="Point charges (e): O=-0.8,H=0.4, column (the file's), none; else column where it has one."),
    ] = None,
    hartree: Annotated[Path | None, typer.Option(help="Electrostatic potential instead, .cube or .xsf.")] = None,
    holds: Annotated[
        str, typer.Option(help="What it holds: electron_energy, or potential (seen by a positive charge).")
    ] = "electron_energy",
    unit: Annotated[
        str | None, typer.Option(help="Of its numbers: hartree, rydberg or eV; else hartree for .cube, eV for .xsf.")
    ] = None,
    plane_height: Annotated[float, typer.Option(help="Where it is taken: Å above the topmost atom.")] = 2.0,
    window: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="Lower left corner x, y (Å) and angle (degrees); else the cell's, or centred on a molecule."),
    ] = None,
    periodic: Annotated[
        bool | None, typer.Option(help="Repeat along the first two cell vectors; else as the file says.")
    ] = None,
    parameters: Annotated[
        str, typer.Option(help="Lennard-Jones R (Å) and ε (eV) by element, '{\"Mg\": [R, ε]}': JSON text or file.")
    ] = "{}",
    seed: Annotated[int, typer.Option(min=0, help="Draws what the tip's settings leave open.")] = 0,
    threads: Threads = 1,
    precision: Annotated[
        Precision, typer.Option(help="single; double, ten times slower; direct: every pair of atoms, for checks.")
    ] = Precision.SINGLE,
    device: Annotated[str, typer.Option(help="cpu, or PyTorch's name of another: cuda, cuda:1, ...")] = "cpu",
    quick_look: QuickLook = None,
) -> None:
    """Render the Δf stack of a structure of your own."""
    import math
    import warnings

    from hydrafm.afm.hartree import HartreeGrid
    from hydrafm.afm.lennard_jones import LENNARD_JONES
    from hydrafm.afm.structure_file import parse_charges, read_file, render_structures
    from hydrafm.settings.afm import Scan, Tip
    from hydrafm.settings.structure_file import HartreeFile, LennardJones

    tip_settings, scan_settings = Tip.parse(tip), Scan.parse(scan)
    potential = HartreeFile.parse({"holds": holds, "unit": unit, "plane_height": plane_height})
    table = {**LENNARD_JONES, **LennardJones.parse(parameters).by_element}
    with warnings.catch_warnings(record=True) as caught:
        rendered = render_structures(
            read_file(file, index),
            tip_settings,
            scan_settings,
            charges=None if charges is None else parse_charges(charges),
            hartree=None if hartree is None else HartreeGrid.read(hartree, potential),
            plane_height=potential.plane_height,
            corner=None if window is None else window[:2],
            angle=0.0 if window is None else math.radians(window[2]),
            periodic=periodic,
            parameters=table,
            seed=seed,
            threads=threads,
            precision=precision.value,
            device=device,
        )
    for warning in caught:
        typer.echo(f"hydrafm: {warning.message}", err=True)
    rendered.attrs["file"] = file.name
    if hartree is not None:
        rendered.attrs |= {"hartree": hartree.name, "hartree_settings": potential.model_dump_json()}
    _write(rendered, out, quick_look)
    names = [str(name) for name in rendered.data_vars if str(name).startswith("tip_")]
    if rendered.sizes["sample"] == 1:
        values = [f"{name[4:]} {float(rendered[name][0]):.6g} {rendered[name].attrs['units']}" for name in names]
        typer.echo(f"tip: {', '.join(values)}")
    else:
        typer.echo(
            f"tips: one for each of {rendered.sizes['sample']} stacks, in {names[0]} and the others of {out.name}"
        )


@app.command(
    epilog="Example: hydrafm afm stacks --structures test.extxyz --potential shard-0.zarr --seed 1 --out stacks.zarr"
)
def stacks(
    structures: Annotated[Path, typer.Option(help="Structures with their windows, extended xyz (Å).")],
    potential: Annotated[Path, typer.Option(help="Potential store of a shard of them, Zarr (V, Å).")],
    out: OutOption,
    tip: TipOption = "{}",
    scan: ScanOption = "{}",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the study; fixes each structure's tip.")] = 0,
    threads: Threads = 1,
    quick_look: QuickLook = None,
) -> None:
    """Render the Δf stack of every structure in a potential store."""
    from hydrafm.afm.stacks import render_stacks
    from hydrafm.settings.afm import Scan, Tip
    from hydrafm.store import read_dataset
    from hydrafm.structure import read_structures

    tip_settings, scan_settings = Tip.parse(tip), Scan.parse(scan)
    rendered = render_stacks(
        read_structures(structures), read_dataset(potential), tip_settings, scan_settings, seed=seed, threads=threads
    )
    _write(rendered, out, quick_look)
    left_out = rendered.attrs["left_out"]
    if left_out:
        typer.echo(
            f"left out {len(left_out)} structures, whose potential begins too high for their windows: {left_out}",
            err=True,
        )


@app.command(name="compile", epilog="Example: hydrafm afm compile")
def compile_kernel() -> None:
    """Compile the renderer now (half a minute), so that no rendering has to; nothing is done where that is so."""
    from hydrafm.afm.relaxation import compile_now

    compile_now()


def _write(stacks: "xr.Dataset", out: Path, quick_look: Path | None) -> None:
    """Write a store of stacks and, where it is wanted, a picture of some of them."""
    from hydrafm.store import write_dataset, write_whole

    write_dataset(stacks, out)
    if quick_look is not None:
        from hydrafm.afm.quick_look import quick_look as draw

        with write_whole(quick_look) as part:
            draw(stacks, part)
