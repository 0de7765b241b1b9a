"""Test images beside the atoms that are there and the atoms that were found."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from ase import Atoms
from ase.data import chemical_symbols
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hydrafm.figures.structures import draw_atoms, frame


def tabulate(stacks: xr.Dataset, predictions: Mapping[str, NDArray[np.generic]], count: int = 4) -> pd.DataFrame:
    """List the true and the predicted atoms of the first stacks.

    Parameters
    ----------
    stacks : xr.Dataset
        Stacks of `hydrafm afm stacks`.
    predictions : mapping
        Arrays of `hydrafm learn evaluate`: index, number, x, y, z (Å), confidence, an entry an atom.
    count : int
        Number of stacks.
    """
    rows = []
    for sample in range(min(count, stacks.sizes["sample"])):
        index = int(stacks["index"][sample])
        numbers = stacks["atom_number"][sample].to_numpy()
        for number, position in zip(numbers, stacks["atom_position"][sample].to_numpy(), strict=True):
            if number:
                rows.append((index, "true", chemical_symbols[int(number)], *position.tolist(), 1.0))
        mine = predictions["index"] == index
        columns = [predictions[name][mine] for name in ("number", "x", "y", "z", "confidence")]
        for number, *values in zip(*columns, strict=True):
            rows.append((index, "predicted", chemical_symbols[int(number)], *(float(value) for value in values)))
    return pd.DataFrame(rows, columns=["index", "kind", "species", "x_A", "y_A", "z_A", "confidence"])


def draw(stacks: xr.Dataset, table: pd.DataFrame) -> Figure:
    """Draw a row for each stack: three heights, the true atoms, the predicted atoms."""
    indices = list(dict.fromkeys(table["index"]))
    samples = {int(index): sample for sample, index in enumerate(stacks["index"].to_numpy())}
    levels = sorted({0, stacks.sizes["z"] // 2, stacks.sizes["z"] - 1}, reverse=True)
    figure = Figure(figsize=(2.1 * (len(levels) + 2), 2.2 * max(len(indices), 1)), layout="constrained")
    panels = figure.subplots(max(len(indices), 1), len(levels) + 2, squeeze=False)
    size = float(stacks["x"][0] + stacks["x"][-1])  # centres of pixels, half a pixel from either side
    for row, index in zip(panels, indices, strict=False):
        for panel, level in zip(row, levels, strict=False):
            image = stacks["frequency_shift"][samples[index], level].to_numpy()
            panel.imshow(image, origin="lower", extent=(0, size, 0, size), cmap="gray", interpolation="bilinear")
            panel.set_title(f"z = {float(stacks['z'][level]):.2f} Å, {np.ptp(image):.1f} Hz", fontsize=7)
            frame(panel, 0, size)
        for panel, kind in zip(row[-2:], ("true", "predicted"), strict=True):
            _draw_kind(panel, table[(table["index"] == index) & (table["kind"] == kind)], kind, size)
    return figure


def _draw_kind(panel: Axes, rows: pd.DataFrame, kind: str, size: float) -> None:
    atoms = Atoms(rows["species"].tolist(), positions=rows[["x_A", "y_A", "z_A"]].to_numpy(dtype=float))
    draw_atoms(panel, atoms)
    counts = ", ".join(f"{count} {name}" for name, count in rows["species"].value_counts().sort_index().items())
    panel.set_title(f"{kind}: {counts or 'nothing'}", fontsize=7)
    frame(panel, 0, size)
