"""Periodic potentials in one horizontal plane, as plane waves.

Grids have odd numbers of points, so that every wave comes with its opposite and none is ambiguous.
Above all charges each wave is harmonic and decays as exp(−k z) (Laplace's equation).
"""

import numpy as np
from jaxtyping import Float


def plane_shape(cell: Float[np.ndarray, "3 3"], spacing: float) -> tuple[int, int]:
    """Count the points along the first two cell vectors, odd, at most `spacing` (Å) apart."""
    counts = np.ceil(np.linalg.norm(cell[:2], axis=1) / spacing).astype(int)
    first, second = (int(count) | 1 for count in counts)
    return first, second


def wave_vectors(cell: Float[np.ndarray, "3 3"], shape: tuple[int, int]) -> Float[np.ndarray, "u v 2"]:
    """List the wave vectors of a plane's grid in the order of `numpy.fft.fft2`, 1/Å."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell[:2, :2])
    orders = np.meshgrid(*(np.fft.fftfreq(count, 1 / count) for count in shape), indexing="ij")
    return np.stack(orders, axis=-1) @ reciprocal.T


def resample(values: Float[np.ndarray, "u v"], shape: tuple[int, int]) -> Float[np.ndarray, "u_out v_out"]:
    """Put a periodic function on another grid of odd counts, by its plane waves.

    Exact where `values` holds no wave that the new grid, or its own, cannot carry; such waves are left out.
    """
    waves = np.fft.fft2(values) * (shape[0] * shape[1] / values.size)
    kept = [(min(old, new) - 1) // 2 for old, new in zip(values.shape, shape, strict=True)]
    result = np.zeros(shape, dtype=complex)
    orders = np.ix_(*(np.arange(-most, most + 1) for most in kept))
    result[orders] = waves[orders]
    return np.fft.ifft2(result).real


def continue_plane(
    values: Float[np.ndarray, "u v"], cell: Float[np.ndarray, "3 3"], *, rise: float, ceiling: float = np.inf
) -> Float[np.ndarray, "u v"]:
    r"""Continue a harmonic potential from one plane to another and remove its lateral mean.

    Under a grounded plane at a distance c above the first plane, charges below make
    :math:`V_k(z) \propto \sinh k(c - z)`; the potential without that plane is
    :math:`V_k(z) = V_k(0)\, e^{-kz} / (1 - e^{-2kc})`.

    Parameters
    ----------
    values : (u, v) array, V
        Potential in the first plane; no charge lies above it, nor between the planes.
    cell : (3, 3) array, Å
        Cell vectors, one a row; the first two are horizontal.
    rise : float, Å
        Height of the new plane above the first; negative goes down.
    ceiling : float, Å
        Height c of a grounded plane above the first plane, whose effect is taken away.

    Returns
    -------
    (u, v) array, V
        Potential in the new plane of the same charges in free space, without its mean.
    """
    k = np.linalg.norm(wave_vectors(cell, (values.shape[0], values.shape[1])), axis=-1)
    k[0, 0] = 1.0
    waves = np.fft.fft2(values) * np.exp(-k * rise) / -np.expm1(-2 * k * ceiling)
    waves[0, 0] = 0.0
    return np.fft.ifft2(waves).real
