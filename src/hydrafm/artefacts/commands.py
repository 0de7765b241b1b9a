"""Commands about imaging artefacts."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Imaging artefacts: noise, drift and all that an image suffers."
)


@app.callback()
def group() -> None:
    """Keep `draw` a command of its own name, though it is the only one."""


@app.command(
    epilog="Example: hydrafm artefacts draw --stacks results/afm/water_au111/test/shard-0.zarr --out artefacts.png"
)
def draw(
    stacks: Annotated[Path, typer.Option(help="Zarr store of image stacks, of `hydrafm afm`.")],
    out: Annotated[Path, typer.Option(help="Picture to write; the suffix chooses the format (.png, .svg, .pdf).")],
    sample: Annotated[int, typer.Option(min=0, help="Which stack of the store.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
) -> None:
    """Draw a stack under each artefact alone, stronger than usual, and under all of them as in the defaults."""
    from hydrafm.artefacts.gallery import draw as draw_gallery
    from hydrafm.store import read_dataset, write_whole

    figure = draw_gallery(read_dataset(stacks), sample, seed)
    with write_whole(out) as part:
        figure.savefig(part, dpi=120)
