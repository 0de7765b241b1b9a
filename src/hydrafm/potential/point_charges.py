"""The potential of point charges and their images in a metal."""

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from jaxtyping import Float

from hydrafm.errors import SettingsError
from hydrafm.potential.plane import wave_vectors
from hydrafm.units import COULOMB


def point_charge_plane(
    atoms: Atoms,
    height: float,
    shape: tuple[int, int],
    *,
    charges: Mapping[str, float],
    image_plane: float | None,
) -> Float[np.ndarray, "u v"]:
    r"""Sum the potential of a periodic layer of charges in a plane above them.

    .. math:: V_k(z_0) = \frac{2\pi}{k A} \frac{e^2}{4\pi\varepsilon_0} \sum_j q_j e^{-i k r_j}
              \left[ e^{-k (z_0 - z_j)} - e^{-k (z_0 + z_j - 2 z_\mathrm{im})} \right]

    Parameters
    ----------
    atoms : Atoms
        Structure; only atoms with tag 0 (water and ions) carry charges.
    height : float, Å
        Height z₀ of the plane in the structure's frame, above all atoms.
    shape : (int, int)
        Points along the two cell vectors, odd.
    charges : mapping
        Charge of each element, e.
    image_plane : float or None, Å
        Height of the metal's image plane in the structure's frame; None leaves the images out.

    Returns
    -------
    (u, v) array, V
        Potential seen by a positive unit charge, without its lateral mean.

    Raises
    ------
    SettingsError
        If an element has no charge.

    References
    ----------
    The two-dimensional Fourier expansion of Parry, Surf. Sci. 49, 433 (1975), all charges on one side.
    """
    charged: Atoms = atoms[atoms.get_tags() == 0]
    missing = sorted(set(charged.get_chemical_symbols()) - set(charges))
    if missing:
        raise SettingsError(
            f"point_charges.charges: no charge for {', '.join(missing)}, found in the structure;"
            f" given are {', '.join(charges)}; add it (unit e)"
        )
    cell = np.asarray(atoms.cell)
    vectors = wave_vectors(cell, shape)
    k = np.linalg.norm(vectors, axis=-1)
    k[0, 0] = 1.0
    waves = np.zeros(shape, dtype=complex)
    for symbol, position in zip(charged.get_chemical_symbols(), charged.positions, strict=True):
        decay = np.exp(-k * (height - position[2]))
        if image_plane is not None:
            decay -= np.exp(-k * (height + position[2] - 2 * image_plane))
        waves += charges[symbol] * decay * np.exp(-1j * (vectors @ position[:2]))
    area = float(abs(np.linalg.det(cell[:2, :2])))
    waves *= 2 * np.pi * COULOMB / (area * k)
    waves[0, 0] = 0.0
    return np.fft.ifft2(waves).real * (shape[0] * shape[1])
