"""Commands that draw figures and write tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Draw figures, with the numbers behind them.")

Out = Annotated[Path, typer.Option(help="Figure to write; the suffix chooses the format (.svg, .png, .pdf).")]
Table = Annotated[Path, typer.Option(help="CSV file of the numbers behind the figure.")]


@app.command(
    epilog="Example: hydrafm figures accuracy results/learn/*/n*/seed*/metrics.json"
    " --out accuracy_vs_n.svg --table accuracy_vs_n.csv"
)
def accuracy(
    metrics: Annotated[list[Path], typer.Argument(help="Metrics files of `hydrafm learn evaluate`.")],
    out: Out,
    table: Table,
) -> None:
    """Draw accuracy per species against N."""
    from hydrafm.figures.accuracy import draw, tabulate
    from hydrafm.figures.style import save

    numbers = tabulate(metrics)
    _write(numbers, table)
    save(draw(numbers), out)


@app.command(
    epilog="Example: hydrafm figures examples --stacks results/afm/na_hydrate_au111/test/shard-0.zarr"
    " --predictions results/learn/transfer/n100/seed0/predictions.npz --out examples.svg --table examples.csv"
)
def examples(
    stacks: Annotated[Path, typer.Option(help="Zarr store of `hydrafm afm stacks`.")],
    predictions: Annotated[Path, typer.Option(help="Predictions of `hydrafm learn evaluate`.")],
    out: Out,
    table: Table,
    count: Annotated[int, typer.Option(min=1, help="Number of stacks.")] = 4,
) -> None:
    """Draw test images with the true and the predicted atoms."""
    import numpy as np

    from hydrafm.figures.examples import draw, tabulate
    from hydrafm.figures.style import save
    from hydrafm.store import read_dataset

    images = read_dataset(stacks)
    with np.load(predictions, allow_pickle=False) as arrays:
        numbers = tabulate(images, arrays, count)
    _write(numbers, table)
    save(draw(images, numbers), out)


@app.command(
    epilog="Example: hydrafm figures curves results/learn/*/seed*/history.csv --out curves.svg --table curves.csv"
)
def curves(
    histories: Annotated[list[Path], typer.Argument(help="Histories of `hydrafm learn train`.")],
    out: Out,
    table: Table,
) -> None:
    """Draw the loss of trainings against their steps."""
    from hydrafm.figures.curves import draw, tabulate
    from hydrafm.figures.style import save

    numbers = tabulate(histories)
    _write(numbers, table)
    save(draw(numbers), out)


@app.command(epilog="Example: hydrafm figures structures results/md/water_au111/structures/test.extxyz --out water.svg")
def structures(
    source: Annotated[Path, typer.Argument(help="Structures of `hydrafm md collect`.")],
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="Number of structures.")] = 6,
) -> None:
    """Draw structures from above, with the window the microscope sees."""
    from hydrafm.figures.structures import draw
    from hydrafm.figures.style import save
    from hydrafm.structure import read_structures

    save(draw(read_structures(source), count), out)


@app.command(
    epilog="Example: hydrafm figures account results/potential/*/*/*/*.failed.csv"
    " --stacks results/afm/water_au111/test/shard-0.zarr --cost results/cost"
    " --counts-out counts.csv --cost-out cost.csv"
)
def account(
    failed: Annotated[list[Path], typer.Argument(help="Lists of failed structures, each beside its store.")],
    stacks: Annotated[list[Path], typer.Option(help="Zarr stores of `hydrafm afm stacks`; one option each.")],
    cost: Annotated[Path, typer.Option(help="Folder of Snakemake's benchmark files.")],
    counts_out: Annotated[Path, typer.Option(help="CSV file: structures that came through each stage.")],
    cost_out: Annotated[Path, typer.Option(help="CSV file: jobs, wall seconds and memory of each rule.")],
) -> None:
    """Count structures and failed calculations, and sum what each rule cost."""
    from hydrafm.figures.account import count_structures, sum_cost

    _write(count_structures(failed, stacks), counts_out)
    _write(sum_cost(cost), cost_out)


def _write(table: "pd.DataFrame", target: Path) -> None:
    from hydrafm.store import write_whole

    with write_whole(target) as part:
        table.to_csv(part, index=False, float_format="%.6g")
