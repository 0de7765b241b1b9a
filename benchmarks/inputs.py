"""The samples of the benchmarks, built here: a patch of ice bilayer with two Na⁺, alone and on gold.

Both stand in a window of 25 × 25 Å, x and y counting from its corner, with SPC/E charges
(``initial_charges``, e); the gold carries none. The same seed gives the same atoms.
"""

import ase
import numpy as np
from ase.build import fcc111
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from hydrafm.settings.potential import PointCharges

WINDOW = 25.0
"""Å, side of the square window."""

O_O = 2.75
"""Å, neighbouring oxygens of ice; the bonds are tetrahedral, so the two sheets are a third of it apart."""

O_H = 1.0
"""Å, of an SPC/E molecule, whose angle is the tetrahedral one: its hydrogens lie on the bonds."""

ABOVE_RING = 0.4
"""Å, of an ion over the upper sheet, above the middle of a ring: 2.6 Å from three oxygens."""

GOLD = 4.08
"""Å, lattice constant of gold."""

GAP = 2.8
"""Å, from the uppermost gold to the lowest atom of the bilayer."""


def bilayer(seed: int = 0) -> ase.Atoms:
    """Build 60 waters of an ice bilayer, 5 × 3 cells with protons in disorder, and two Na⁺: 182 atoms."""
    rows, columns = 3, 5
    cell = np.array([1.0, np.sqrt(3.0)]) * O_O * np.sqrt(8.0 / 3.0)
    # Four oxygens a cell, lower and upper sheet in turn, and the middle of a ring.
    within = np.array([[0, 0], [0, 1 / 3], [1 / 2, 1 / 2], [1 / 2, 5 / 6]]) * cell
    middle = np.array([0, 2 / 3]) * cell
    corners = np.array([(i, j) for j in range(rows) for i in range(columns)]) * cell
    flat = (corners[:, None] + within).reshape(-1, 2)
    upper = np.tile([False, True], len(flat) // 2)
    oxygens = np.column_stack([flat, upper * O_O / 3])
    hydrogens = O_H * directions(flat, upper, cell * (columns, rows), np.random.default_rng(seed)) + oxygens[:, None]
    sites = corners[[columns + 1, columns + 3]] + middle
    ions = np.column_stack([sites, np.full(2, O_O / 3 + ABOVE_RING)])
    molecules = np.concatenate([oxygens[:, None], hydrogens], axis=1).reshape(-1, 3)
    atoms = ase.Atoms("OHH" * len(oxygens) + "Na2", np.concatenate([molecules, ions]))
    atoms.positions[:, :2] += WINDOW / 2 - (oxygens.min(axis=0) + oxygens.max(axis=0))[:2] / 2
    charges = PointCharges().charges
    atoms.set_initial_charges([charges[symbol] for symbol in atoms.symbols])
    return atoms


def bilayer_on_gold(seed: int = 0) -> ase.Atoms:
    """Lay the bilayer on three layers of Au(111), 13 × 15 atoms each: 767 atoms, the uppermost gold at z = 0."""
    gold = fcc111("Au", (13, 15, 3), a=GOLD)
    length = gold.cell[0, 0]
    gold.positions[:, 0] = (gold.positions[:, 0] + 0.1) % length  # from a rhombus to a rectangle
    gold.positions -= [*((gold.positions.min(axis=0) + gold.positions.max(axis=0))[:2] - WINDOW) / 2, 0]
    gold.positions[:, 2] -= gold.positions[:, 2].max()
    water = bilayer(seed)
    water.positions[:, 2] += GAP - water.positions[:, 2].min()
    both = ase.Atoms(gold.numbers, gold.positions)
    both.extend(water)
    return both


def directions(
    flat: Float[np.ndarray, "oxygen 2"],
    upper: Bool[np.ndarray, " oxygen"],
    period: Float[np.ndarray, " 2"],
    random: np.random.Generator,
) -> Float[np.ndarray, "oxygen 2 3"]:
    """Draw which way the two hydrogens of each molecule point, by the ice rules.

    Each bond within the bilayer, periodic over the patch, holds one hydrogen; a molecule that gives one
    to its three bonds has the other away from the bilayer.

    Parameters
    ----------
    flat : (oxygen, 2) array, Å
        Places of the oxygens.
    upper : (oxygen,) array
        Which of them are in the upper sheet.
    period : (2,) array, Å
        Lengths of the patch.
    random : Generator
        Draws the donors.

    Returns
    -------
    (oxygen, 2, 3) array
        Unit vectors from the oxygen.
    """
    bonds = cKDTree(flat, boxsize=period).query_pairs(O_O, output_type="ndarray")
    donors = give(bonds, len(flat), random)
    pointing: list[list[Float[np.ndarray, " 3"]]] = [[] for _ in flat]
    for bond, donor in zip(bonds, donors, strict=True):
        other = bond.sum() - donor
        step = flat[other] - flat[donor]
        step -= period * np.round(step / period)
        rise = (float(upper[other]) - float(upper[donor])) * O_O / 3
        pointing[donor].append(np.array([*step, rise]) / O_O)
    for oxygen, vectors in enumerate(pointing):
        if len(vectors) == 1:
            vectors.append(np.array([0.0, 0.0, 1.0 if upper[oxygen] else -1.0]))
    return np.array(pointing)


def give(bonds: Int[np.ndarray, "bond 2"], oxygens: int, random: np.random.Generator) -> Int[np.ndarray, " bond"]:
    """Choose the donor of each bond so that every molecule gives one or two, by random turns of bonds."""
    donors = bonds[np.arange(len(bonds)), random.integers(2, size=len(bonds))]

    def wrong(count: Int[np.ndarray, " oxygen"]) -> int:
        return int(np.sum((count < 1) | (count > 2)))

    given = np.bincount(donors, minlength=oxygens)
    while wrong(given):
        bond = random.integers(len(bonds))
        turned = given.copy()
        turned[donors[bond]] -= 1
        turned[bonds[bond].sum() - donors[bond]] += 1
        if wrong(turned) <= wrong(given):
            donors[bond], given = bonds[bond].sum() - donors[bond], turned
    return donors
