"""From the force on the tip to the frequency shift of the sensor."""

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from hydrafm.errors import GridError
from hydrafm.units import EV_PER_A2_IN_N_PER_M

ROUNDING = 1e-9
"""Å; a swing may end this much above the grid, so that 2A = n spacings fits n + 1 heights."""


def frequency_shift(
    force: Float[np.ndarray, "z y x"],
    z: Float[np.ndarray, " z"],
    *,
    amplitude: float,
    resonance: float,
    stiffness: float,
    nodes: int = 32,
) -> Float[np.ndarray, "z_out y x"]:
    r"""Convert the vertical force on the tip into frequency shift Δf.

    .. math:: \Delta f = -\frac{f_0}{\pi k A}
              \int_{-1}^{1} F(z_c + A u) \frac{u}{\sqrt{1 - u^2}} du

    Parameters
    ----------
    force : (z, y, x) array, eV/Å
        Force on the tip; repulsion is positive.
    z : (z,) array, Å
        Tip heights of `force`, increasing.
    amplitude : float, Å
        Oscillation amplitude A, half of peak to peak.
    resonance : float, Hz
        Resonance frequency f₀.
    stiffness : float, N/m
        Sensor stiffness k.
    nodes : int
        Gauss-Chebyshev nodes a swing.

    Returns
    -------
    (z_out, y, x) array, Hz
        Δf, each at the lowest point of its swing; starts at ``z[0]``.

    Raises
    ------
    GridError
        If the swing 2A is longer than the range of `z`.

    References
    ----------
    Giessibl, Phys. Rev. B 56, 16010 (1997).
    """
    weights = shift_weights(z, amplitude=amplitude, resonance=resonance, stiffness=stiffness, nodes=nodes)
    return np.tensordot(weights, force, axes=(1, 0))


def shift_weights(
    z: Float[np.ndarray, " z"],
    *,
    amplitude: float,
    resonance: float,
    stiffness: float,
    nodes: int = 32,
    by_amplitude: bool = False,
) -> Float[np.ndarray, "z_out z"]:
    """Give the matrix that turns forces at heights z (eV/Å, Å) into Δf (Hz), or its derivative by the amplitude.

    The spline through the forces is linear in them, so one small matrix serves every pixel. Parameters and
    errors are those of `frequency_shift`.
    """
    lowest = z[z <= z[-1] - 2 * amplitude + ROUNDING]
    if lowest.size == 0:
        raise GridError(
            f"the swing of 2 × {amplitude:g} Å does not fit the force grid,"
            f" z = {z[0]:g}..{z[-1]:g} Å; extend the grid or lower the amplitude"
        )
    u = np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)
    swing = lowest[:, None] + amplitude * (1 + u)
    spline = CubicSpline(z, np.eye(len(z)))

    def mean(values: Float[np.ndarray, "z_out node z"], factor: Float[np.ndarray, " node"]) -> np.ndarray:
        averaged: np.ndarray = np.einsum("n,onz->oz", factor / nodes, values)
        return averaged

    scale = -resonance / (stiffness * amplitude) * EV_PER_A2_IN_N_PER_M
    weights: np.ndarray = scale * mean(spline(swing), u)
    if by_amplitude:
        weights = scale * mean(spline(swing, 1), u * (1 + u)) - weights / amplitude
    return weights
