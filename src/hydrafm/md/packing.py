"""Random starts: ions at the surface, whole water molecules around them in islands or a film."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from hydrafm.errors import StructureError
from hydrafm.md.force_field import HOH_ANGLE, ION_HEIGHT, OH_LENGTH, OXYGEN_HEIGHT
from hydrafm.settings.md import MOST_BILAYERS, Ion

ION_SPACING = 4.0
"""Closest two ions start, Å."""

OXYGEN_SPACING = 2.6
"""Closest two O start, Å; the first peak of water is at 2.75 Å."""

ION_OXYGEN_SPACING = 2.2
"""Closest an O starts to an ion, Å; the first peak of Na⁺ is at 2.4 Å."""

ION_SHELL = 3.5
"""Radius of the first shell of an ion, Å: the first minimum of Na-O is near 3.2 Å."""

HYDROGEN_SPACING = 1.6
"""Closest an H starts to any atom of another molecule, Å."""

HYDROGEN_LOWEST = 2.2
"""Lowest height of a starting H, Å."""

TRIES = 40
"""Trial placements before an island grows."""

GROWTH = 1.15
"""Factor by which an island grows when a molecule finds no room."""

MOST_GROWTHS = 40
"""Growths before a start is given up."""


def pack(
    ions: Sequence[Ion],
    waters: int,
    *,
    sides: tuple[float, float],
    bilayer: float,
    random: np.random.Generator,
) -> Float[np.ndarray, "atom 3"]:
    """Place ions and whole water molecules at random without overlaps.

    Islands are discs around the ions, or around one to three random centres; now and then a film over
    the whole cell. A molecule that finds no room makes the islands wider and higher.

    Parameters
    ----------
    ions : sequence of str
        Elements of the ions.
    waters : int
        Water molecules.
    sides : (float, float), Å
        Periodic cell along x and y.
    bilayer : float
        Molecules of one bilayer in the cell.
    random : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    (atom, 3) array, Å
        Ions, then O, H, H of each molecule.

    Raises
    ------
    StructureError
        If the molecules find no room.
    """
    cell = np.array(sides)
    placed = np.empty((0, 3))
    for ion in ions:
        placed = np.vstack([placed, _place_ion(placed, ION_HEIGHT[ion], cell, random)])
    centres = placed[:, :2] if ions else random.random((random.integers(1, 4), 2)) * cell
    fraction = min(1.0, waters / bilayer)
    # A disc of the area that the molecules of a flat bilayer take.
    radius = np.sqrt(fraction * cell.prod() / np.pi / len(centres))
    spread = _Spread(centres, float(radius) if random.random() < 0.75 else float(cell.max()), 0.8)
    for _ in range(waters):
        molecule = _place_water(placed, len(ions), spread, cell, random)
        placed = np.vstack([placed, molecule])
    return placed


class _Spread:
    """Discs in which molecules are placed, and the range of heights."""

    def __init__(self, centres: Float[np.ndarray, "disc 2"], radius: float, depth: float) -> None:
        self.centres = centres
        self.radius = radius
        self.depth = depth

    def draw(self, random: np.random.Generator) -> Float[np.ndarray, " 3"]:
        """Draw a position of an O, Å."""
        centre = self.centres[random.integers(len(self.centres))]
        angle = random.uniform(0, 2 * np.pi)
        reach = self.radius * np.sqrt(random.random())
        height = OXYGEN_HEIGHT + self.depth * random.random()
        return np.array([centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle), height])

    def grow(self) -> None:
        """Make room: wider discs and up to two bilayers of height."""
        self.radius *= GROWTH
        self.depth = min(self.depth * GROWTH, 3.5 * MOST_BILAYERS)


def _place_ion(
    placed: Float[np.ndarray, "atom 3"], height: float, cell: Float[np.ndarray, " 2"], random: np.random.Generator
) -> Float[np.ndarray, " 3"]:
    for _ in range(TRIES * MOST_GROWTHS):
        trial = np.array([*(random.random(2) * cell), height])
        if np.all(_distances(trial[None], placed, cell) >= ION_SPACING):
            return trial
    raise StructureError(
        f"{len(placed) + 1} ions do not fit {cell[0]:.1f} × {cell[1]:.1f} Å at {ION_SPACING:g} Å from each other;"
        " lower composition.ions or raise substrate.repeats"
    )


def _place_water(
    placed: Float[np.ndarray, "atom 3"],
    ions: int,
    spread: _Spread,
    cell: Float[np.ndarray, " 2"],
    random: np.random.Generator,
) -> Float[np.ndarray, "3 3"]:
    for _ in range(MOST_GROWTHS):
        for _ in range(TRIES):
            molecule: Float[np.ndarray, "3 3"] = spread.draw(random) + _turned_water(random)
            if _has_room(molecule, placed, ions, cell):
                return molecule
        spread.grow()
    raise StructureError(
        f"water {(len(placed) - ions) // 3 + 1} found no room in {cell[0]:.1f} × {cell[1]:.1f} Å;"
        " lower composition.waters or raise substrate.repeats"
    )


def _has_room(
    molecule: Float[np.ndarray, "3 3"], placed: Float[np.ndarray, "atom 3"], ions: int, cell: Float[np.ndarray, " 2"]
) -> bool:
    """Tell whether a molecule keeps its distances to all atoms and to the surface."""
    if molecule[1:, 2].min() < HYDROGEN_LOWEST:
        return False
    near = _distances(molecule, placed, cell)
    oxygens = near[0, ions::3]
    return bool(
        np.all(near[0, :ions] >= ION_OXYGEN_SPACING)
        and np.all(oxygens >= OXYGEN_SPACING)
        and np.all(near[:, ions:] >= HYDROGEN_SPACING)
        # Beside an ion O points to it and H away: the other way round would start an expulsion.
        and np.all((near[1:, :ions] >= near[0, :ions]) | (near[0, :ions] > ION_SHELL))
    )


def _distances(
    points: Float[np.ndarray, "point 3"], others: Float[np.ndarray, "other 3"], cell: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "point other"]:
    """Distances by the nearest image along x and y, Å."""
    apart = points[:, None] - others[None]
    apart[..., :2] -= cell * np.round(apart[..., :2] / cell)
    return np.asarray(np.linalg.norm(apart, axis=-1))


def _turned_water(random: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Turn a molecule with O at the origin by a rotation uniform over all."""
    half = np.radians(HOH_ANGLE / 2)
    x, z = OH_LENGTH * np.sin(half), OH_LENGTH * np.cos(half)
    molecule = np.array([[0.0, 0.0, 0.0], [x, 0.0, z], [-x, 0.0, z]])
    quaternion = random.normal(size=4)
    w, i, j, k = quaternion / np.linalg.norm(quaternion)
    turn = np.array(
        [
            [1 - 2 * (j * j + k * k), 2 * (i * j - k * w), 2 * (i * k + j * w)],
            [2 * (i * j + k * w), 1 - 2 * (i * i + k * k), 2 * (j * k - i * w)],
            [2 * (i * k - j * w), 2 * (j * k + i * w), 1 - 2 * (i * i + j * j)],
        ]
    )
    return np.asarray(molecule @ turn.T)
