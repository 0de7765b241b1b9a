"""A picture of some stacks, to see at once whether they are what one expects."""

from pathlib import Path

import numpy as np
import xarray as xr
from ase.data.colors import jmol_colors
from matplotlib.figure import Figure


def quick_look(stacks: xr.Dataset, target: Path, *, samples: int = 3, slices: int = 4) -> None:
    """Draw the first stacks of a dataset: a row each, from the lowest height to the highest, with atoms beside.

    Parameters
    ----------
    stacks : Dataset
        As made by `render_stacks` or `render_structures`; it may hold no sample.
    target : Path
        PNG file to write.
    samples, slices : int
        Number of rows, and of images in a row.
    """
    rows = min(samples, stacks.sizes["sample"])
    levels = np.unique(np.linspace(0, stacks.sizes["z"] - 1, slices).round().astype(int))
    figure = Figure(figsize=(2.2 * (len(levels) + 1), 2.3 * max(rows, 1)), layout="constrained")
    panels = figure.subplots(max(rows, 1), len(levels) + 1, squeeze=False)
    half = float(stacks["x"][0]) if stacks.sizes["x"] else 0.0
    size = float(stacks["x"][-1]) + half
    for row in range(rows):
        entry = stacks.isel(sample=row)
        for panel, level in zip(panels[row], levels, strict=False):
            image = entry["frequency_shift"][int(level)]
            panel.imshow(image, origin="lower", extent=(0, size, 0, size), cmap="gray")
            panel.set_title(
                f"{float(image['z']):.1f} Å: {float(image.min()):.1f}..{float(image.max()):.1f} Hz", fontsize=8
            )
        present = entry["atom_number"].to_numpy() > 0
        numbers, positions = entry["atom_number"].to_numpy()[present], entry["atom_position"].to_numpy()[present]
        order = np.argsort(positions[:, 2])
        panel = panels[row, -1]
        panel.scatter(
            positions[order, 0],
            positions[order, 1],
            c=jmol_colors[numbers[order]],
            s=[12 if number == 1 else 40 for number in numbers[order]],
            edgecolors="black",
            linewidths=0.4,
        )
        panel.set(xlim=(0, size), ylim=(0, size), aspect="equal")
        panel.set_title(f"structure {int(entry['index'])}", fontsize=8)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
    figure.savefig(target, dpi=110, format="png")
