"""Learning curves: the loss of every training against its steps."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from hydrafm.errors import StoreError
from hydrafm.figures.style import STRATEGY_COLOURS


def tabulate(histories: Sequence[Path]) -> pd.DataFrame:
    """Gather histories; the training is named by the folders a history lies in, up to ``learn``."""
    tables = []
    for path in histories:
        folders = list(path.parent.parts)
        training = folders[folders.index("learn") + 1 :] if "learn" in folders else folders[-3:]
        if not path.is_file():
            raise StoreError(f"there is no history {path}")
        table = pd.read_csv(path)
        table.insert(0, "training", "/".join(training))
        table.insert(1, "strategy", training[0])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Draw a panel for each strategy: training loss thin, validation loss thick."""
    strategies = list(dict.fromkeys(table["strategy"]))
    figure = Figure(figsize=(3.2 * len(strategies), 3.0), layout="constrained")
    panels = figure.subplots(1, len(strategies), squeeze=False)[0]
    for panel, strategy in zip(panels, strategies, strict=True):
        colour = STRATEGY_COLOURS.get(strategy, "black")
        rows = table[table["strategy"] == strategy]
        for _, training in rows.groupby("training", sort=False):
            for column, width, alpha in (("train_loss", 0.6, 0.5), ("validation_loss", 1.4, 0.9)):
                points = training.dropna(subset=[column])
                panel.plot(points["step"], points[column], color=colour, linewidth=width, alpha=alpha)
        panel.set_yscale("log")
        panel.set_xlabel("optimiser step")
        panel.set_title(strategy)
    panels[0].set_ylabel("loss (thin: training, thick: validation)")
    return figure
