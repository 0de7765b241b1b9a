"""Commands of molecular dynamics."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Molecular dynamics of water and ions on a surface, and structures cut from it.",
)

SubstrateOption = Annotated[str, typer.Option(help="Settings of the substrate: JSON, or a file of it.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the study.", min=0)]
SystemOption = Annotated[str, typer.Option(help="Name of the system; with the seed it fixes all randomness.")]


@app.command(
    epilog="Example: hydrafm md simulate --composition '{\"waters\": [8, 80]}' --frames 4 --system water_au111"
    " --out frames.zarr"
)
def simulate(
    composition: Annotated[str, typer.Option(help="Settings of the composition: JSON, or a file of it.")],
    system: SystemOption,
    out: Annotated[Path, typer.Option(help="Zarr store to make.")],
    substrate: SubstrateOption = "{}",
    dynamics: Annotated[str, typer.Option(help="Settings of the dynamics: JSON, or a file of it.")] = "{}",
    frames: Annotated[int, typer.Option(help="Frames to keep.", min=1)] = 1,
    seed: SeedOption = 0,
    replica: Annotated[int, typer.Option(help="Number of the replica.", min=0)] = 0,
    platform: Annotated[str, typer.Option(help="auto, CPU, CUDA or Reference; auto is the fastest present.")] = "auto",
    threads: Annotated[int, typer.Option(help="Threads on the CPU; 1 repeats bit for bit.", min=1)] = 1,
) -> None:
    """Simulate one replica and keep frames of it, Å."""
    from hydrafm.md.simulation import simulate as run
    from hydrafm.settings.md import Composition, MolecularDynamics, Substrate
    from hydrafm.store import write_dataset

    dataset = run(
        Substrate.parse(substrate),
        Composition.parse(composition),
        MolecularDynamics.parse(dynamics),
        frames=frames,
        seed=seed,
        system=system,
        replica=replica,
        platform=platform,
        threads=threads,
    )
    write_dataset(dataset, out)


@app.command(
    epilog="Example: hydrafm md collect replica0/frames.zarr replica1/frames.zarr --system water_au111 --split train"
    " --out train.extxyz"
)
def collect(
    frames: Annotated[list[Path], typer.Argument(help="Frame stores of all replicas of the split.")],
    system: SystemOption,
    split: Annotated[str, typer.Option(help="train, validation or test.")],
    out: Annotated[Path, typer.Option(help="Extended-xyz file to make.")],
    substrate: SubstrateOption = "{}",
    window: Annotated[float, typer.Option(help="Side of the field of view, Å.", min=1)] = 25.0,
    seed: SeedOption = 0,
) -> None:
    """Put frames on their substrate, place a window on each and write the structures."""
    from hydrafm.errors import SettingsError
    from hydrafm.md.windows import collect as gather
    from hydrafm.settings.md import SPLITS, Substrate
    from hydrafm.store import write_whole
    from hydrafm.structure import write_structures

    named = next((name for name in SPLITS if name == split), None)
    if named is None:
        raise SettingsError(f"split: found {split!r}; allowed: {', '.join(SPLITS)}")
    collected = gather(frames, Substrate.parse(substrate), window=window, seed=seed, system=system, split=named)
    for replica, frame in collected.empty:
        typer.echo(
            f"left out replica {replica} frame {frame}: no window of {window:g} Å held water or an ion", err=True
        )
    with write_whole(out) as part:
        write_structures(collected.structures, part)
