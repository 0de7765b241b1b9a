"""All artefacts in the order in which a microscope makes them."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from hydrafm.artefacts.events import add_glitches, add_tip_changes, cut_out, drop_slices
from hydrafm.artefacts.geometry import Distortion, move_closer
from hydrafm.artefacts.intensity import add_line_noise, add_sensor_noise, blur, spread_of, tilt
from hydrafm.provenance import generator
from hydrafm.settings.artefacts import Artefacts


def degrade(
    stacks: Float[Tensor, "batch z y x"],
    positions: Float[Tensor, "batch atom 3"],
    settings: Artefacts,
    *,
    size: float,
    seeds: Sequence[int],
) -> tuple[Float[Tensor, "batch z y x"], Float[Tensor, "batch atom 3"]]:
    """Do to stacks what a microscope would, each by its own seed, and move the labels with the image.

    A stack's result depends on the stack, the settings and its seed, not on the batch it is in. Each artefact
    has its own random numbers: one that is switched off leaves the others as they were. With everything off the
    stacks and the positions come back bit for bit.

    Parameters
    ----------
    stacks : (batch, z, y, x) tensor
        Images, heights ascending, on any device; amplitudes are in units of each slice's standard deviation, so
        any unit will do. They are not changed in place.
    positions : (batch, atom, 3) tensor, Å
        x and y from the window's corner, z from the topmost atom; on any device.
    settings : Artefacts
        What is on, and how strong.
    size : float, Å
        Side of the window.
    seeds : sequence of int
        One for each stack. The random numbers are drawn on the CPU: a seed means the same on every device.

    Returns
    -------
    stacks : (batch, z, y, x) tensor
        Of the same type and on the same device; the slices' means and spreads are no longer what they were.
    positions : (batch, atom, 3) tensor, Å
        Where the atoms appear in the lowest slice; those near the edge may have left the window.
    """
    degraded = [
        _degrade_one(stack, position, settings, size, seed)
        for stack, position, seed in zip(stacks, positions, seeds, strict=True)
    ]
    images, moved = zip(*degraded, strict=True)
    return torch.stack(images), torch.stack(moved)


def _degrade_one(
    stack: Float[Tensor, "z y x"], position: Float[Tensor, "atom 3"], settings: Artefacts, size: float, seed: int
) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "atom 3"]]:
    pixel = size / stack.shape[-1]
    place = generator(seed, "place")
    stack = move_closer(stack, settings.spacing, place)
    distortion = Distortion.draw(settings, len(stack), place)
    stack, position = distortion.of_stack(stack), distortion.of_positions(position, size)
    background = generator(seed, "background")
    stack = blur(stack, background.uniform(*settings.blur) / pixel)
    spread = spread_of(stack)
    stack = tilt(stack, spread, settings.gradient, background)
    noise = generator(seed, "noise")
    white, pink, exponent = (
        noise.uniform(*limits) for limits in (settings.white, settings.pink.spread, settings.pink.exponent)
    )
    stack = add_sensor_noise(stack, spread, white=white, pink=pink, exponent=exponent, random=noise)
    stack = add_line_noise(stack, spread, settings.lines, generator(seed, "lines"))
    stack = add_glitches(stack, spread, settings.glitches, pixel=pixel, random=generator(seed, "glitches"))
    stack = add_tip_changes(stack, spread, settings.tip_changes, generator(seed, "tip changes"))
    stack = cut_out(stack, settings.cutouts, pixel=pixel, random=generator(seed, "cut-outs"))
    return drop_slices(stack, settings.dropped, generator(seed, "dropped")), position
