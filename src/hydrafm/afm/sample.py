"""What the probe meets: atoms, and charges on them or a potential above them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from jaxtyping import Float
from scipy.spatial import cKDTree

from hydrafm import structure
from hydrafm.afm.lennard_jones import LENNARD_JONES, mixed
from hydrafm.afm.plane import PotentialPlane
from hydrafm.errors import StructureError

REACH = 10.0
"""Å, distance across the surface from which an atom no longer acts by Lennard-Jones.

It fades from 8 Å on. What is missing is nearly uniform, 4 % of the attraction of a gold plane 7 Å
below the probe; every pixel misses the same, also at the window's edge.
"""

CLOSEST = 0.5
"""Å, distance of two atoms below which a structure is not physical."""


@dataclass(frozen=True)
class Sample:
    """A surface with all that acts on the probe, in the frame of the images (x, y from their corner).

    Attributes
    ----------
    positions : (atom, 3) array, Å
        Atoms in the window and around it.
    c6, c12 : (atom,) arrays, eV Å⁶ and eV Å¹²
        Lennard-Jones coefficients with the probe.
    top : float, Å
        Height from which the heights of images count.
    charges : (atom,) array, e
        Point charges; zeros where `potential` is used.
    potential : PotentialPlane or None
        The electrostatic potential above the sample.
    reach : float, Å
        Distance across the surface up to which Lennard-Jones is summed.
    """

    positions: Float[np.ndarray, "atom 3"]
    c6: Float[np.ndarray, " atom"]
    c12: Float[np.ndarray, " atom"]
    top: float
    charges: Float[np.ndarray, " atom"]
    potential: PotentialPlane | None = None
    reach: float = REACH

    def __post_init__(self) -> None:
        if not np.isfinite(self.positions).all():
            atom = int(np.argwhere(~np.isfinite(self.positions))[0, 0])
            raise StructureError(f"atom {atom} is at {self.positions[atom]} Å; a structure wants finite positions")
        pairs = cKDTree(self.positions).query_pairs(CLOSEST, output_type="ndarray")
        if len(pairs):
            one, other = (int(atom) for atom in pairs[0])
            distance = np.linalg.norm(self.positions[one] - self.positions[other])
            raise StructureError(
                f"atoms {one} and {other} are {distance:.3f} Å apart; atoms that overlap (below {CLOSEST:g} Å)"
                " are not physical, remove one"
            )

    @classmethod
    def from_atoms(
        cls,
        atoms: Atoms,
        *,
        charges: Float[np.ndarray, " atom"] | None = None,
        parameters: Mapping[str, tuple[float, float]] = LENNARD_JONES,
        reach: float = REACH,
    ) -> "Sample":
        """Take atoms as they stand, not repeated; heights count from the topmost one.

        Parameters
        ----------
        atoms : Atoms
            x and y count from the corner of the images.
        charges : (atom,) array, e
            Point charges on the atoms; none are taken as zeros.
        parameters : mapping
            Lennard-Jones R (Å) and ε (eV) by element.
        reach : float, Å
            Distance across the surface up to which Lennard-Jones is summed.
        """
        if not len(atoms):
            raise StructureError("the structure has no atoms")
        c6, c12 = mixed([chemical_symbols[number] for number in atoms.numbers], parameters)
        none = np.zeros(len(atoms))
        highest = float(atoms.positions[:, 2].max())
        return cls(atoms.positions, c6, c12, highest, none if charges is None else charges, reach=reach)

    @classmethod
    def from_structure(cls, atoms: Atoms, potential: PotentialPlane) -> "Sample":
        """Cut the field of view from a periodic slab; heights count from its topmost water or ion.

        Parameters
        ----------
        atoms : Atoms
            A structure with its substrate (see `hydrafm.structure`).
        potential : PotentialPlane
            The electrostatic potential above the same slab, and the window on it.
        """
        around = structure.cut(atoms, potential.window, REACH)
        c6, c12 = mixed([chemical_symbols[number] for number in around.numbers])
        return cls(around.positions, c6, c12, structure.top(atoms, potential.window), np.zeros(len(around)), potential)
