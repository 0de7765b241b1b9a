"""Random starts are whole, without overlaps, and of all shapes."""

import numpy as np
import pytest

from hydrafm.errors import StructureError
from hydrafm.md.packing import HYDROGEN_LOWEST, HYDROGEN_SPACING, ION_OXYGEN_SPACING, OXYGEN_SPACING, pack

SIDES = (28.84, 29.97)


def distances(one, other):
    apart = one[:, None] - other[None]
    apart[..., :2] -= np.array(SIDES) * np.round(apart[..., :2] / np.array(SIDES))
    return np.linalg.norm(apart, axis=-1)


@pytest.mark.parametrize(("ions", "waters"), [((), 1), ((), 40), (("Na",), 8), (("Na",) * 4, 60), ((), 160)])
def test_starts_hold_whole_molecules_without_overlaps(ions, waters):
    atoms = pack(ions, waters, sides=SIDES, bilayer=80.0, random=np.random.default_rng(3))
    assert len(atoms) == len(ions) + 3 * waters
    molecules = atoms[len(ions) :].reshape(waters, 3, 3)
    arms = molecules[:, 1:] - molecules[:, :1]
    assert np.linalg.norm(arms, axis=-1) == pytest.approx(0.9572)
    cosines = np.einsum("nk,nk->n", arms[:, 0], arms[:, 1]) / 0.9572**2
    assert np.degrees(np.arccos(cosines)) == pytest.approx(104.52)
    oxygens, hydrogens = molecules[:, 0], molecules[:, 1:].reshape(-1, 3)
    molecule = np.repeat(np.arange(waters), 2)
    assert (distances(oxygens, oxygens) + 99 * np.eye(waters)).min() >= OXYGEN_SPACING
    assert (distances(hydrogens, oxygens) + 99 * (molecule[:, None] == np.arange(waters))).min() >= HYDROGEN_SPACING
    assert (distances(hydrogens, hydrogens) + 99 * (molecule[:, None] == molecule)).min() >= HYDROGEN_SPACING
    assert hydrogens[:, 2].min() >= HYDROGEN_LOWEST
    if ions:
        assert distances(atoms[: len(ions)], oxygens).min() >= ION_OXYGEN_SPACING


def test_coverages_go_from_islands_to_films():
    """Half a bilayer leaves discs of 7.5 Å bare as islands; spread over the cell it leaves none of 6 Å."""
    grid = np.stack(np.meshgrid(*(np.arange(0, side, 1.0) for side in SIDES), [3.0]), -1).reshape(-1, 3)
    holes = []
    for seed in range(8):
        atoms = pack((), 40, sides=SIDES, bilayer=80.0, random=np.random.default_rng(seed))
        holes.append(distances(grid, atoms[::3]).min(axis=1).max())
    assert max(holes) > 7.5
    assert min(holes) < 6


def test_water_that_finds_no_room_is_refused():
    with pytest.raises(StructureError, match=r"found no room in 5\.0 × 5\.0 Å"):
        pack((), 40, sides=(5.0, 5.0), bilayer=2.0, random=np.random.default_rng(0))
