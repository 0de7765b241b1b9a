"""The potential of point charges and their images in a metal."""

from collections.abc import Mapping

import numpy as np
from ase import Atoms
from jaxtyping import Float

from hydrafm.errors import SettingsError
from hydrafm.planar import charge_plane


def point_charge_plane(
    atoms: Atoms,
    height: float,
    shape: tuple[int, int],
    *,
    charges: Mapping[str, float],
    image_plane: float | None,
) -> Float[np.ndarray, "u v"]:
    """Sum the potential of a periodic layer of charges in a plane above them (see `hydrafm.planar.charge_plane`).

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
    """
    charged: Atoms = atoms[atoms.get_tags() == 0]
    missing = sorted(set(charged.get_chemical_symbols()) - set(charges))
    if missing:
        raise SettingsError(
            f"point_charges.charges: no charge for {', '.join(missing)}, found in the structure;"
            f" given are {', '.join(charges)}; add it (unit e)"
        )
    values = np.array([charges[symbol] for symbol in charged.get_chemical_symbols()], dtype=float)
    return charge_plane(charged.positions, values, np.asarray(atoms.cell), height, shape, image_plane=image_plane)
