"""A water molecule on a small piece of gold, as a structure of the package."""

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111


def water_on_gold(*, layers: int = 1, index: int = 0) -> Atoms:
    """One water, both H up, above gold of two rectangular (1 × √3) units."""
    gold = fcc111("Au", size=(2, 2, layers), a=4.0782, orthogonal=True)
    gold.positions[:, 2] -= gold.positions[:, 2].max()
    water = Atoms("OHH", positions=[[2.9, 2.5, 3.2], [3.66, 2.5, 3.79], [2.14, 2.5, 3.79]], tags=0)
    atoms = gold + water
    cell = gold.cell.array.copy()
    cell[2] = [0.0, 0.0, 45.0]
    atoms.set_cell(cell)
    atoms.pbc = (True, True, False)
    atoms.info = {"system": "water_au111", "split": "train", "replica": 7, "frame": 2, "index": index}
    return atoms


@pytest.fixture(scope="session")
def make_structure() -> Callable[..., Atoms]:
    return water_on_gold


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)
