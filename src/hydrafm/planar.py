"""Periodic potentials in one horizontal plane, as plane waves.

Grids have odd numbers of points, so that every wave comes with its opposite and none is ambiguous.
Above all charges each wave is harmonic and decays as exp(−k z) (Laplace's equation).
"""

import numpy as np
from jaxtyping import Float

from hydrafm.units import COULOMB


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


def charge_plane(
    positions: Float[np.ndarray, "atom 3"],
    charges: Float[np.ndarray, " atom"],
    cell: Float[np.ndarray, "3 3"],
    height: float,
    shape: tuple[int, int],
    *,
    image_plane: float | None = None,
) -> Float[np.ndarray, "u v"]:
    r"""Sum the potential of a periodic layer of charges in a plane above them.

    .. math:: V_k(z_0) = \frac{2\pi}{k A} \frac{e^2}{4\pi\varepsilon_0} \sum_j q_j e^{-i k r_j}
              \left[ e^{-k (z_0 - z_j)} - e^{-k (z_0 + z_j - 2 z_\mathrm{im})} \right]

    Parameters
    ----------
    positions : (atom, 3) array, Å
        Places of the charges; z points up.
    charges : (atom,) array, e
        A net charge is neutralised evenly, which changes the lateral mean alone.
    cell : (3, 3) array, Å
        Cell vectors, one a row; the first two are horizontal.
    height : float, Å
        Height z₀ of the plane, above all charges.
    shape : (int, int)
        Points along the two cell vectors, odd.
    image_plane : float or None, Å
        Height of a metal's image plane; None leaves the images out.

    Returns
    -------
    (u, v) array, V
        Potential seen by a positive unit charge, without its lateral mean; point [i, j] lies at the
        fractions i/u and j/v of the first two cell vectors.

    References
    ----------
    The two-dimensional Fourier expansion of Parry, Surf. Sci. 49, 433 (1975), all charges on one side.
    """
    vectors = wave_vectors(cell, shape)
    k = np.linalg.norm(vectors, axis=-1)
    k[0, 0] = 1.0
    waves = np.zeros(shape, dtype=complex)
    for position, charge in zip(positions, charges, strict=True):
        decay = np.exp(-k * (height - position[2]))
        if image_plane is not None:
            decay -= np.exp(-k * (height + position[2] - 2 * image_plane))
        waves += charge * decay * np.exp(-1j * (vectors @ position[:2]))
    area = float(abs(np.linalg.det(cell[:2, :2])))
    waves *= 2 * np.pi * COULOMB / (area * k)
    waves[0, 0] = 0.0
    return np.fft.ifft2(waves).real * (shape[0] * shape[1])


def from_below(
    lower: Float[np.ndarray, "u v"], upper: Float[np.ndarray, "u v"], cell: Float[np.ndarray, "3 3"], *, rise: float
) -> Float[np.ndarray, "u v"]:
    r"""Take from a harmonic potential, known in two planes, what charges below the lower one make.

    Between the planes :math:`V_k(z) = a_k e^{-kz} + b_k e^{kz}`. The waves that grow upward belong to what lies
    above: the next image of a periodic box, or its grounded top.

    Parameters
    ----------
    lower, upper : (u, v) arrays, V
        Potential in the two planes; no charge lies between them.
    cell : (3, 3) array, Å
        Cell vectors, one a row; the first two are horizontal.
    rise : float, Å
        Distance of the planes.

    Returns
    -------
    (u, v) array, V
        Potential in the lower plane of the charges below it, without its mean.
    """
    k = np.linalg.norm(wave_vectors(cell, (lower.shape[0], lower.shape[1])), axis=-1)
    k[0, 0] = 1.0
    waves = (np.fft.fft2(lower) - np.fft.fft2(upper) * np.exp(-k * rise)) / -np.expm1(-2 * k * rise)
    waves[0, 0] = 0.0
    return np.fft.ifft2(waves).real


def next_plane(
    lower: Float[np.ndarray, "u v"], middle: Float[np.ndarray, "u v"], cell: Float[np.ndarray, "3 3"], *, rise: float
) -> Float[np.ndarray, "u v"]:
    r"""Continue a harmonic potential from two planes to a third, as far above the second as that is above the first.

    .. math:: V_k(2d) = 2 \cosh(k d)\, V_k(d) - V_k(0)

    Parameters
    ----------
    lower, middle : (u, v) arrays, V
        Potential in the two planes; no charge lies between the lowest and the third plane.
    cell : (3, 3) array, Å
        Cell vectors, one a row; the first two are horizontal.
    rise : float, Å
        Distance d of the planes.

    Returns
    -------
    (u, v) array, V
        Potential in the third plane.
    """
    k = np.linalg.norm(wave_vectors(cell, (lower.shape[0], lower.shape[1])), axis=-1)
    return np.fft.ifft2(2 * np.cosh(k * rise) * np.fft.fft2(middle) - np.fft.fft2(lower)).real
