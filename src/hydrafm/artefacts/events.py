"""What befalls a scan now and then: glitches, tip changes, cut-outs, dropped slices."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hydrafm.settings.artefacts import Cutouts, Glitches, TipChanges
from hydrafm.settings.base import Range


def add_glitches(
    stack: Float[Tensor, "z y x"],
    spread: Float[Tensor, "z 1 1"],
    glitches: Glitches,
    *,
    pixel: float,
    random: np.random.Generator,
) -> Float[Tensor, "z y x"]:
    """Raise or lower stretches of scan lines; `pixel` is the side of a pixel in Å."""
    count = random.poisson(glitches.rate * len(stack))
    if count == 0:
        return stack
    slices, height, width = stack.shape
    glitched = stack.clone()
    for level, line, first in random.integers(0, (slices, height, width), size=(count, 3)).tolist():
        length = max(1, round(random.uniform(*glitches.length) / pixel))
        jump = _up_or_down(glitches.height, random)
        glitched[level, line, first : first + length] += jump * spread[level, 0]
    return glitched


def add_tip_changes(
    stack: Float[Tensor, "z y x"], spread: Float[Tensor, "z 1 1"], changes: TipChanges, random: np.random.Generator
) -> Float[Tensor, "z y x"]:
    """Raise or lower the rest of a slice from some pixel of the scan on."""
    changed = np.flatnonzero(random.random(len(stack)) < changes.probability).tolist()
    if not changed:
        return stack
    series = stack.flatten(1).clone()
    for level in changed:
        step = _up_or_down(changes.height, random)
        series[level, random.integers(series.shape[1]) :] += step * spread[level, 0]
    return series.view_as(stack)


def cut_out(
    stack: Float[Tensor, "z y x"], cutouts: Cutouts, *, pixel: float, random: np.random.Generator
) -> Float[Tensor, "z y x"]:
    """Blank rectangles, each in one slice, to that slice's mean; `pixel` is the side of a pixel in Å."""
    least, most = cutouts.count
    count = random.integers(least, most, endpoint=True)
    if count == 0:
        return stack
    holed = stack.clone()
    for level in random.integers(len(stack), size=count).tolist():
        rows, columns = (_stretch(length, cutouts.side, pixel, random) for length in stack.shape[-2:])
        holed[level, rows, columns] = stack[level].mean()
    return holed


def drop_slices(
    stack: Float[Tensor, "z y x"], probability: float, random: np.random.Generator
) -> Float[Tensor, "z y x"]:
    """Replace slices by the one below, as if the tip had not moved; the lowest one stays."""
    dropped = random.random(len(stack)) < probability
    dropped[0] = False
    if not dropped.any():
        return stack
    shown = np.maximum.accumulate(np.where(dropped, 0, np.arange(len(stack))))
    return stack[torch.as_tensor(shown, device=stack.device)]


def _up_or_down(height: Range, random: np.random.Generator) -> float:
    size = random.uniform(*height)
    return size if random.random() < 0.5 else -size


def _stretch(length: int, side: Range, pixel: float, random: np.random.Generator) -> slice:
    """Draw one side of a rectangle and its place on an axis of so many pixels."""
    extent = min(length, max(1, round(random.uniform(*side) / pixel)))
    first = int(random.integers(0, length - extent, endpoint=True))
    return slice(first, first + extent)
