"""Structures from above, with the window that the microscope sees."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from hydrafm.figures.style import SPECIES_COLOURS, SPECIES_RADII
from hydrafm.structure import Window, cut

MARGIN = 3.0
"""Drawn around the window, Å."""


def draw(structures: Sequence[Atoms], count: int = 6) -> Figure:
    """Draw evenly chosen structures in their windows' frames."""
    chosen = [structures[i] for i in np.unique(np.linspace(0, len(structures) - 1, count).astype(int))]
    figure = Figure(figsize=(2.6 * len(chosen), 2.9), layout="constrained")
    panels = figure.subplots(1, len(chosen), squeeze=False)[0]
    for panel, atoms in zip(panels, chosen, strict=True):
        window = Window.from_info(atoms.info)
        draw_atoms(panel, cut(atoms, window, MARGIN))
        panel.add_patch(Rectangle((0, 0), window.size, window.size, fill=False, linewidth=1.0))
        panel.set_title(f"replica {atoms.info['replica']}, frame {atoms.info['frame']}", fontsize=7)
        frame(panel, -MARGIN, window.size + MARGIN)
    return figure


def draw_atoms(panel: Axes, atoms: Atoms, opacity: float = 1.0) -> None:
    """Draw atoms from above, the lower ones first."""
    for index in np.argsort(atoms.positions[:, 2], kind="stable"):
        atom = atoms[int(index)]
        panel.add_patch(
            Circle(
                (atom.x, atom.y),
                SPECIES_RADII.get(atom.symbol, 0.7),
                facecolor=SPECIES_COLOURS.get(atom.symbol, "0.7"),
                edgecolor="0.2",
                linewidth=0.3,
                alpha=opacity,
            )
        )


def frame(panel: Axes, low: float, high: float) -> None:
    """Limit a panel to a square without ticks and sides."""
    panel.spines[:].set_visible(False)
    panel.set_xlim(low, high)
    panel.set_ylim(low, high)
    panel.set_aspect("equal")
    panel.set_xticks([])
    panel.set_yticks([])
