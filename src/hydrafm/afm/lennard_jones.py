"""Lennard-Jones interaction of the probe with the atoms of a sample."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from hydrafm.errors import StructureError

PROBE = "O"
"""The end of a CO tip."""

LENNARD_JONES: Mapping[str, tuple[float, float]] = {
    # R (half the distance of the pair minimum, Å), ε (eV). Neutral atoms: ppafm's default species
    # (H, C, N, O after OPLS; metals after Batsanov, Inorg. Mater. 37, 871, 2001).
    "H": (1.487, 0.000681),
    "C": (1.908, 0.003729),
    "N": (1.78, 0.007372),
    "O": (1.6612, 0.009106),
    "Cu": (2.23, 0.01),
    "Ag": (2.37, 0.01),
    "Pt": (2.37, 0.01),
    "Au": (2.41, 0.01),
    # Ions, not atoms (neutral Na would be 2.77 Å): the set for SPC/E water of Joung and Cheatham,
    # J. Phys. Chem. B 112, 9020 (2008); R = 2^(1/6) σ / 2.
    "Na": (1.212, 0.0152920),
    "K": (1.593, 0.0186338),
    "Cl": (2.711, 0.000554410),
}
"""Species that the probe can meet; sodium, potassium and chlorine are Na⁺, K⁺ and Cl⁻."""


def mixed(
    symbols: Sequence[str], table: Mapping[str, tuple[float, float]] = LENNARD_JONES
) -> tuple[Float[np.ndarray, " atom"], Float[np.ndarray, " atom"]]:
    r"""Mix the parameters of atoms with those of the probe: summed R, geometric ε.

    .. math:: E(r) = \frac{C_{12}}{r^{12}} - \frac{C_6}{r^6}, \quad C_{12} = ε R^{12}, \quad C_6 = 2 ε R^6

    Parameters
    ----------
    symbols : sequence of str
        Elements of the atoms.
    table : mapping
        R (Å) and ε (eV) by element; must hold the probe, O.

    Returns
    -------
    c6 : (atom,) array, eV Å⁶
    c12 : (atom,) array, eV Å¹²

    Raises
    ------
    StructureError
        If the table lacks an element.
    """
    unknown = sorted({PROBE, *symbols} - set(table))
    if unknown:
        raise StructureError(
            f"no Lennard-Jones parameters for {', '.join(unknown)}; known are {', '.join(table)};"
            " give a table that has them"
        )
    parameters = np.array([table[symbol] for symbol in symbols]).reshape(-1, 2)
    radius = parameters[:, 0] + table[PROBE][0]
    depth = np.sqrt(parameters[:, 1] * table[PROBE][1])
    return 2 * depth * radius**6, depth * radius**12
