"""Geometry of an fcc(111) surface: its atoms and the waves that its periodicity allows."""

import numpy as np
from ase import Atoms
from jaxtyping import Float

from hydrafm.settings.md import Substrate


def build_slab(substrate: Substrate, *, height: float) -> Atoms:
    """Build the substrate's layers in a rectangular cell.

    Parameters
    ----------
    substrate : Substrate
        Lattice, repeats and number of layers.
    height : float, Å
        Cell along z.

    Returns
    -------
    Atoms
        Uppermost plane at z = 0 with one atom at the origin; tags 1, 2, ... from the top; periodic along x and y.
    """
    # ase.build takes a second to import, which every simulation would pay.
    from ase.build import fcc111

    columns, rows = substrate.repeats
    slab = fcc111(
        substrate.material, (columns, 2 * rows, substrate.layers), a=substrate.lattice_constant, orthogonal=True
    )
    first = np.flatnonzero(slab.get_tags() == 1)[0]
    slab.positions -= slab.positions[first]
    slab.set_cell([*substrate.sides, height])
    slab.set_pbc((True, True, False))
    slab.wrap(eps=1e-6)
    layered: Atoms = slab[np.argsort(slab.get_tags(), kind="stable")]
    return layered


def reciprocal_vectors(lattice_constant: float) -> Float[np.ndarray, "3 2"]:
    r"""List the three shortest reciprocal vectors of fcc(111), rows along x, one of each ± pair.

    Their cosines sum to 3 above an atom at the origin, to −1 at a bridge and to −3/2 at a hollow;
    each has the length 4π/(√3 d), with d the distance of nearest neighbours.

    Parameters
    ----------
    lattice_constant : float, Å
        Cubic lattice constant.

    Returns
    -------
    (3, 2) array, 1/Å
        One vector a row.
    """
    neighbour = lattice_constant / np.sqrt(2)
    directions = np.array([[1, -1 / np.sqrt(3)], [0, 2 / np.sqrt(3)], [1, 1 / np.sqrt(3)]])
    return np.asarray(2 * np.pi / neighbour * directions)
