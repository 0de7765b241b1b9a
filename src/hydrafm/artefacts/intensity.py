"""What a microscope adds to every pixel: blur, a tilted background, noise of the sensor and of the scan lines.

Lines of the scan run along x and follow each other along y; within a slice, time is y·width + x. Amplitudes are
in units of `spread`, the slice's own standard deviation.
"""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.fft import dct
from scipy.signal import lfilter
from torch import Tensor

from hydrafm.settings.artefacts import Lines
from hydrafm.settings.base import Range

PHASES = 256
"""Phases a wave of the noise may have: one random byte each. The sum of thousands of waves is normal."""


def spread_of(stack: Float[Tensor, "z y x"]) -> Float[Tensor, "z 1 1"]:
    """Measure the standard deviation of each slice."""
    centred = stack - stack.mean(dim=(-2, -1), keepdim=True)
    return centred.square().mean(dim=(-2, -1), keepdim=True).sqrt()


def blur(stack: Float[Tensor, "z y x"], sigma: float) -> Float[Tensor, "z y x"]:
    r"""Blur slices with a Gaussian, reflected at the edges.

    Each cosine of wave number k along an axis is damped by :math:`e^{-k^2\sigma^2/2}`, exactly also for a σ
    below one pixel.

    Parameters
    ----------
    stack : (z, y, x) tensor
        Slices.
    sigma : float, pixels
        Standard deviation of the Gaussian.
    """
    if sigma == 0:
        return stack
    height, width = stack.shape[-2:]
    along_x = _blur_matrix(width, sigma, stack)
    along_y = along_x if height == width else _blur_matrix(height, sigma, stack)
    return along_y @ stack @ along_x


def tilt(
    stack: Float[Tensor, "z y x"], spread: Float[Tensor, "z 1 1"], gradient: Range, random: np.random.Generator
) -> Float[Tensor, "z y x"]:
    """Add a plane that rises by `gradient` across the window, in one direction for all slices."""
    rise, angle = random.uniform(*gradient), random.uniform(0, 2 * np.pi)
    if rise == 0:
        return stack
    along_y, along_x = (
        (torch.arange(length, dtype=stack.dtype, device=stack.device) + 0.5) / length - 0.5
        for length in stack.shape[-2:]
    )
    plane = rise * (np.cos(angle) * along_x + np.sin(angle) * along_y[:, None])
    return torch.addcmul(stack, spread, plane)


def add_sensor_noise(
    stack: Float[Tensor, "z y x"],
    spread: Float[Tensor, "z 1 1"],
    *,
    white: float,
    pink: float,
    exponent: float,
    random: np.random.Generator,
) -> Float[Tensor, "z y x"]:
    r"""Add stationary noise with a white and a 1/f part to the time series of each slice.

    One series with the sum of both power spectra, :math:`w^2 + p^2 f^{-\alpha}/\overline{f^{-\alpha}}`, is what two
    independent ones add up to. Each frequency has its amplitude and a random phase, so the variance of a slice
    is the set one up to rounding. The series is periodic in the time of a slice.

    Parameters
    ----------
    stack : (z, y, x) tensor
        Slices.
    spread : (z, 1, 1) tensor
        Unit of the amplitudes.
    white, pink : float
        Standard deviations w and p.
    exponent : float
        α of the pink part.
    random : Generator
        Of the phases. They are drawn on the CPU as bytes, so that any device gets the same noise up to rounding.
    """
    if white == 0 and pink == 0:
        return stack
    slices, length = len(stack), stack.shape[-2] * stack.shape[-1]
    falling = torch.arange(1, length // 2 + 1, dtype=stack.dtype, device=stack.device) ** -exponent
    amplitude = (length * (white**2 + pink**2 * falling / falling.mean())).sqrt()
    amplitude = torch.nn.functional.pad(amplitude, (1, 0))  # no constant part
    phase = torch.from_numpy(random.integers(0, PHASES, (slices, len(amplitude)), dtype=np.uint8)).to(stack.device)
    waves = _waves(stack.dtype, stack.device).index_select(0, phase.flatten().int()).view_as(phase)
    series = torch.fft.irfft(waves * amplitude, n=length)
    return torch.addcmul(stack, spread, series.view_as(stack))


def add_line_noise(
    stack: Float[Tensor, "z y x"], spread: Float[Tensor, "z 1 1"], lines: Lines, random: np.random.Generator
) -> Float[Tensor, "z y x"]:
    """Add an offset to each scan line: a stationary first-order autoregressive series over the lines of a slice."""
    amplitude = random.uniform(*lines.spread)
    if amplitude == 0:
        return stack
    fresh = random.standard_normal((len(stack), stack.shape[-2] + 1))
    before = lines.memory * fresh[:, :1]
    offset, _ = lfilter([np.sqrt(1 - lines.memory**2)], [1, -lines.memory], fresh[:, 1:], zi=before)
    added = torch.as_tensor(amplitude * offset, dtype=stack.dtype, device=stack.device)
    return stack + spread * added[..., None]


def _blur_matrix(length: int, sigma: float, like: Tensor) -> Float[Tensor, "length length"]:
    """Make the symmetric matrix that blurs a line of pixels."""
    cosines = _cosines(length, like.dtype, like.device)
    wave_number = torch.arange(length, dtype=like.dtype, device=like.device) * (torch.pi / length)
    return (cosines.T * torch.exp(-((wave_number * sigma) ** 2) / 2)) @ cosines


@cache
def _cosines(length: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "length length"]:
    """Give the orthonormal cosines of a line with reflecting ends, one a row."""
    return torch.as_tensor(dct(np.eye(length), axis=0, norm="ortho"), dtype=dtype, device=device)


@cache
def _waves(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Give e^{iφ} for each phase."""
    angle = torch.arange(PHASES, dtype=dtype, device=device) * (2 * torch.pi / PHASES)
    return torch.polar(torch.ones_like(angle), angle)
