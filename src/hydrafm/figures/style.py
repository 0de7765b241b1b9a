"""How every figure looks, and how it is saved: whole, and the same bytes for the same numbers."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from hydrafm.store import write_whole

SPECIES_COLOURS = {"H": "#56b4e9", "O": "#d55e00", "Na": "#9467bd", "Au": "#f0d98c"}
"""Colours that people with any colour vision tell apart (Okabe and Ito), by element."""

SPECIES_RADII = {"H": 0.35, "O": 0.6, "Na": 0.85, "Au": 1.35}
"""Radii of drawn atoms, Å."""

STRATEGY_COLOURS = {"transfer": "#0072b2", "scratch": "#e69f00", "pretrain": "#009e73"}

mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "svg.fonttype": "path",
        "svg.hashsalt": "hydrafm",
        "savefig.bbox": "tight",
        "figure.dpi": 150,
    }
)


def save(figure: Figure, target: Path) -> None:
    """Save a figure in the format of its suffix, without a date in it."""
    with write_whole(target) as part:
        metadata = {"Date": None} if target.suffix in (".svg", ".pdf") else None
        figure.savefig(part, metadata=metadata)
