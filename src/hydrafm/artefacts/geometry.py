"""Where a microscope takes its pixels: spacing of the slices, drift, creep, calibration and shear."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from hydrafm.settings.artefacts import Artefacts, Drift
from hydrafm.settings.base import Range


def move_closer(stack: Float[Tensor, "z y x"], spacing: Range, random: np.random.Generator) -> Float[Tensor, "z y x"]:
    """Take as many slices at a smaller spacing, by linear interpolation along z.

    The spacing is smaller by a drawn percentage, and the lowest slice lies anywhere that keeps the highest one
    within the stack: nothing is extrapolated.
    """
    slices = len(stack)
    closer, room = random.uniform(*spacing) / 100, random.random()
    if closer == 0 or slices == 1:
        return stack
    lowest = room * closer * (slices - 1)
    place = lowest + np.arange(slices) * (1 - closer)
    weight = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(slices)))
    mixing = torch.as_tensor(weight, dtype=stack.dtype, device=stack.device)
    return (mixing @ stack.flatten(1)).view_as(stack)


@dataclass(frozen=True)
class Distortion:
    """A linear map of the window about its centre, then a displacement of each slice.

    Attributes
    ----------
    matrix : (2, 2) array
        Takes a true place (x, y) to its place in the lowest slice, both from the window's centre.
    shift : (z, 2) array
        Displacement (x, y) of each slice against the lowest one, in sides of the window.
    """

    matrix: Float[np.ndarray, "2 2"]
    shift: Float[np.ndarray, "z 2"]

    @classmethod
    def draw(cls, settings: Artefacts, slices: int, random: np.random.Generator) -> "Distortion":
        """Draw calibration, shear, drift and creep for so many slices."""
        scale_x, scale_y = 1 + random.uniform(*settings.calibration, size=2) / 100
        shear = random.uniform(*settings.shear) / 100
        return cls(np.array([[scale_x, shear], [0.0, scale_y]]), _path(settings.drift, slices, random))

    def of_positions(self, positions: Float[Tensor, "*n 3"], size: float) -> Float[Tensor, "*n 3"]:
        """Map positions (Å, x and y from the corner of a window of that size) as the lowest slice is mapped."""
        if np.array_equal(self.matrix, np.eye(2)):
            return positions
        matrix = torch.as_tensor(self.matrix, dtype=positions.dtype, device=positions.device)
        flat = (positions[..., :2] - size / 2) @ matrix.T + size / 2
        return torch.cat([flat, positions[..., 2:]], dim=-1)

    def of_stack(self, stack: Float[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
        """Map a stack by one resampling.

        Bilinear: bicubic takes two and a half times as long, and bilinear blurs by a σ of half a pixel at most,
        within what `blur` draws anyway. Places outside the window get the value at its nearest edge; a mirror
        image there would show atoms that no label names.
        """
        if np.array_equal(self.matrix, np.eye(2)) and not self.shift.any():
            return stack
        # Places as grid_sample counts them, from the centre in half sides. As x + iy they add faster than as pairs.
        per_x, per_y = np.linalg.inv(self.matrix).T @ [1, 1j]
        y, x = ((2 * np.arange(length) + 1) / length - 1 for length in stack.shape[-2:])
        shift = -2 * (self.shift @ [per_x, per_y])
        along_x, along_y, moved = (_complex_like(place, stack) for place in (per_x * x, per_y * y, shift))
        grid = torch.view_as_real(along_x + along_y[:, None] + moved[:, None, None])
        return grid_sample(stack[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]


def _path(drift: Drift, slices: int, random: np.random.Generator) -> Float[np.ndarray, "z 2"]:
    """Draw where the slices lie against the lowest one, in sides of the window."""
    speed, creep = random.uniform(*drift.speed) / 100, random.uniform(*drift.creep) / 100
    angle = random.uniform(0, 2 * np.pi, size=2)
    towards_drift, towards_creep = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    time = np.arange(slices)
    if random.random() < 0.5:  # taken from the highest slice down
        time = time[::-1]
    path = speed * time[:, None] * towards_drift - creep * np.exp(-time[:, None] / drift.decay) * towards_creep
    path = path - path[0]
    limit = drift.limit / 100
    kept: np.ndarray = path * (limit / max(limit, np.hypot(*path.T).max()))
    return kept


def _complex_like(array: Complex[np.ndarray, "*shape"], tensor: Tensor) -> Tensor:
    return torch.as_tensor(array, dtype=tensor.dtype.to_complex(), device=tensor.device)
