"""Accuracy per species against N: the figure of the study."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hydrafm.errors import StoreError
from hydrafm.figures.style import STRATEGY_COLOURS

REPORTED = {"O": 0.95, "Na": 0.95, "H": 0.85}
"""Accuracies of Tang et al., Natl Sci Rev 10, nwac282 (2023), on 500 unseen hydrates; radius not stated."""

RADIUS_LINES = {"strict": "-", "1.0": "--"}


def tabulate(metrics: Sequence[Path]) -> pd.DataFrame:
    """Gather metrics files: a row for each system, strategy, N, seed, species and radius."""
    rows = []
    for path in metrics:
        try:
            content = json.loads(path.read_text())
            point = {key: content[key] for key in ("system", "strategy", "n_train", "n_train_used", "n_test", "seed")}
            rows += [{**point, **entry, "ece": content["ece"].get(entry["species"])} for entry in content["accuracy"]]
        except (OSError, KeyError, json.JSONDecodeError) as error:
            raise StoreError(f"{path} is no metrics file of `hydrafm learn evaluate`: {error}") from None
    order = ["system", "strategy", "n_train", "seed", "species", "radius", "accuracy"]
    table = pd.DataFrame(rows)
    table = table[order + [column for column in table.columns if column not in order]]
    return table.sort_values(order[:-1], kind="stable").reset_index(drop=True)


def draw(table: pd.DataFrame) -> Figure:
    """Draw a panel for each species: mean over seeds with standard deviation, both radii."""
    species = [name for name in ("O", "H", "Na") if name in set(table["species"])]
    species += sorted(set(table["species"]) - set(species))
    figure = Figure(figsize=(3.1 * len(species), 3.2), layout="constrained")
    panels = figure.subplots(1, len(species), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, species, strict=True):
        _draw_species(panel, table[table["species"] == name], name)
    panels[0].set_ylabel("accuracy  TP / (TP + FP + FN)")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5)
    tests, seeds = table["n_test"].max(), table["seed"].nunique()
    figure.suptitle(f"{', '.join(sorted(set(table['system'])))}: {tests} test structures, {seeds} seeds")
    return figure


def _draw_species(panel: Axes, rows: pd.DataFrame, name: str) -> None:
    for strategy, of_strategy in rows.groupby("strategy", sort=False):
        for radius, of_radius in of_strategy.groupby("radius", sort=False):
            spread = of_radius.groupby("n_train")["accuracy"].agg(["mean", "std"]).fillna(0.0)
            panel.errorbar(
                spread.index.to_numpy(dtype=float),
                spread["mean"].to_numpy(),
                spread["std"].to_numpy(),
                linestyle=RADIUS_LINES.get(str(radius), ":"),
                color=STRATEGY_COLOURS.get(str(strategy), "black"),
                marker="o",
                markersize=4,
                capsize=2,
                label=f"{strategy!s}, {'strict radii' if radius == 'strict' else '1.0 Å'}",
            )
    if name in REPORTED:
        panel.axhline(REPORTED[name], color="0.6", linewidth=0.8, linestyle=":", label="Tang et al. 2023")
    panel.set_xscale("log")
    ticks = sorted(set(rows["n_train"]))
    panel.set_xticks(ticks, [f"{n:g}" for n in ticks], rotation=45 if len(ticks) > 4 else 0)
    panel.minorticks_off()
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("training structures N")
    panel.set_title(name)
