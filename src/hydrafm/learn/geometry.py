"""Geometry of what was found: directions of OH bonds and coordination of ions."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

BOND = 1.25
"""Å: an O and an H closer than this are bonded; the bond is 0.96–1.02 Å, a hydrogen bond above 1.5 Å."""

SHELL = 3.2
"""Å: O closer than this to Na⁺ coordinate it, the first minimum of the Na–O distribution in water
(Mähler and Persson, Inorg. Chem. 51, 425, 2012, has the shell at 2.43 Å)."""


def bond_angles(
    oxygen: tuple[Float[np.ndarray, "oxygen 3"], Float[np.ndarray, "oxygen 3"]],
    hydrogen: tuple[Float[np.ndarray, "hydrogen 3"], Float[np.ndarray, "hydrogen 3"]],
) -> Float[np.ndarray, " bond"]:
    """Angles between OH bonds as found and as they are, degrees.

    Parameters
    ----------
    oxygen, hydrogen : pair of (n, 3) arrays, Å
        Positions of matched atoms: found, and true in the same order.

    Returns
    -------
    (bond,) array, degrees
        One for each true bond whose two atoms were found.
    """
    first, second = np.nonzero(cdist(oxygen[1], hydrogen[1]) < BOND)
    found = hydrogen[0][second] - oxygen[0][first]
    truth = hydrogen[1][second] - oxygen[1][first]
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(truth, axis=1)
    cosine = np.sum(found * truth, axis=1) / np.maximum(lengths, np.finfo(float).tiny)
    angle: np.ndarray = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return angle


def coordination(ion: Float[np.ndarray, "ion 3"], oxygen: Float[np.ndarray, "oxygen 3"]) -> Float[np.ndarray, " ion"]:
    """Count the oxygens around each ion."""
    near = cdist(ion, oxygen) < SHELL
    return np.asarray(near.sum(axis=1), dtype=np.float64)
