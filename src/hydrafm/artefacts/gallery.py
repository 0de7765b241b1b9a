"""One picture of every artefact, each alone at a strength that shows, and all together."""

from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from matplotlib.figure import Figure

from hydrafm.artefacts.chain import degrade
from hydrafm.errors import StoreError
from hydrafm.settings.artefacts import Artefacts, Cutouts, Drift, Glitches, Lines, Pink, TipChanges

IMAGES: dict[str, dict[str, Any]] = {
    "calibration error 10 %": {"calibration": (10.0, 10.0)},
    "shear 10 %": {"shear": (10.0, 10.0)},
    "blur, σ = 0.6 Å": {"blur": (0.6, 0.6)},
    "background gradient": {"gradient": (4.0, 4.0)},
    "1/f noise": {"pink": Pink(spread=(0.5, 0.5), exponent=(1.0, 1.0))},
    "line noise": {"lines": Lines(spread=(0.4, 0.4))},
    "white noise": {"white": (0.4, 0.4)},
    "glitches": {"glitches": Glitches(rate=12, height=(1.0, 3.0), length=(2.0, 8.0))},
    "tip change": {"tip_changes": TipChanges(probability=1, height=(1.0, 1.0))},
    "cut-outs": {"cutouts": Cutouts(count=(40, 40), side=(2.0, 5.0))},
}
"""Artefacts that an image shows, stronger than they are in the defaults."""

SECTIONS: dict[str, dict[str, Any]] = {
    "spacing 30 % smaller": {"spacing": (30.0, 30.0)},
    "drift 1 % a slice": {"drift": Drift(speed=(1.0, 1.0), creep=(0.0, 0.0), limit=20.0)},
    "creep 8 %": {"drift": Drift(speed=(0.0, 0.0), creep=(8.0, 8.0), limit=20.0)},
    "dropped slices": {"dropped": 0.4},
}
"""Artefacts that a section through the stack shows."""

COLUMNS = 6


def draw(stacks: xr.Dataset, sample: int, seed: int) -> Figure:
    """Draw the lowest slice, and a section through the middle along z, of one stack under each artefact.

    Parameters
    ----------
    stacks : Dataset
        ``frequency_shift`` (sample, z, y, x) with its coordinates in Å, as `hydrafm afm` writes it.
    sample : int
        Which stack.
    seed : int
        What the artefacts are drawn with.

    Raises
    ------
    StoreError
        If there is no such stack.
    """
    if "frequency_shift" not in stacks or not 0 <= sample < stacks.sizes["sample"]:
        count = stacks.sizes.get("sample", 0) if "frequency_shift" in stacks else 0
        raise StoreError(f"stack {sample} was asked for, but the store holds {count} stacks, counted from 0")
    clean = torch.from_numpy(stacks["frequency_shift"][sample].to_numpy().astype(np.float32))
    size = float(stacks["x"][0] + stacks["x"][-1])  # centres of pixels, half a pixel from either side
    span = float(stacks["z"][-1] - stacks["z"][0])

    def degraded(on: dict[str, Any]) -> Float[np.ndarray, "z y x"]:
        settings = Artefacts.off().model_copy(update=on)
        images, _ = degrade(clean[None], torch.zeros(1, 0, 3), settings, size=size, seeds=[seed])
        return images[0].numpy()

    everything = dict(Artefacts())
    images: dict[str, dict[str, Any]] = {"clean": {}, **IMAGES, "all, as in the defaults": everything}
    sections: dict[str, dict[str, Any]] = {"clean": {}, **SECTIONS, "all, as in the defaults": everything}
    rows = -(-len(images) // COLUMNS), -(-len(sections) // COLUMNS)
    figure = Figure(figsize=(1.9 * COLUMNS, 2.1 * rows[0] + 1.3 * rows[1]), layout="constrained")
    panels = figure.subplots(sum(rows), COLUMNS, height_ratios=[2.1] * rows[0] + [1.1] * rows[1])
    for panel, (title, on) in zip(panels[: rows[0]].flat, images.items(), strict=False):
        panel.imshow(degraded(on)[0], origin="lower", cmap="gray", extent=(0, size, 0, size))
        panel.set_title(title, fontsize=8)
    for panel, (title, on) in zip(panels[rows[0] :].flat, sections.items(), strict=False):
        section = degraded(on)[:, clean.shape[1] // 2]
        panel.imshow(section, origin="lower", cmap="gray", aspect="auto", extent=(0, size, 0, span))
        panel.set_title(title, fontsize=8)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[])
        panel.set_frame_on(panel.has_data())
    return figure
