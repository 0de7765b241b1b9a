"""Atoms as a grid of cells and back: the target of the networks.

The box under the window, from the topmost atom down, is cut into cells. Each species has for each
cell a confidence (1 where an atom is) and the atom's offset from the cell's centre in units of the
cell, along x, y and z. Arrays are (species, field, layer, y, x) with the fields confidence, x, y, z;
layer 0 is the topmost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from hydrafm.settings.learn import Network

FIELDS = 4
"""Confidence and three offsets."""

FLOOR = 0.005
"""Confidence of a cell below which it adds nothing to an atom. An uncertain position spreads one atom over tens
of cells, so a higher floor loses confidence."""

FAINTEST = 0.05
"""Least confidence of an atom."""

EXCLUSION = {"H": 0.9, "O": 1.5}
"""Å: detections of a species closer than this are one atom. It lies well below the shortest distance between
two of them, H–H 1.63 Å in a molecule of SPC/E water (Berendsen et al., J. Phys. Chem. 91, 6269, 1987) and O–O
2.4 Å in a strong hydrogen bond."""

ION_EXCLUSION = 1.5
"""Å: the same for every other species; two ions of like charge stay farther apart than two oxygens."""


@dataclass(frozen=True)
class Found:
    """Atoms read from a network's output.

    Attributes
    ----------
    number : (atom,) array
        Atomic numbers.
    position : (atom, 3) array, Å
        x and y from the window's corner, z from the topmost atom of the structure.
    confidence : (atom,) array
        Probability that there is such an atom.
    """

    number: Int[np.ndarray, " atom"]
    position: Float[np.ndarray, "atom 3"]
    confidence: Float[np.ndarray, " atom"]

    def of(self, species: str) -> "Found":
        """Keep the atoms of one species."""
        return self.keep(self.number == atomic_numbers[species])

    def keep(self, chosen: Bool[np.ndarray, " atom"]) -> "Found":
        """Keep the atoms that a mask chooses."""
        return Found(self.number[chosen], self.position[chosen], self.confidence[chosen])


@dataclass(frozen=True)
class Boxes:
    """Cells of the box under a window.

    Attributes
    ----------
    species : sequence of str
        Chemical symbols, in the order of the arrays.
    size : float
        Side of the window, Å.
    depth : float
        Depth of the box below the topmost atom, Å.
    cells, depth_cells : int
        Cells along x and along y, and along z.
    """

    species: tuple[str, ...]
    size: float
    depth: float
    cells: int
    depth_cells: int

    @classmethod
    def of(cls, network: Network, size: float) -> "Boxes":
        """Make the cells that a network fills for windows of a size in Å."""
        return cls(network.species, size, network.depth, network.cells, network.depth_cells)

    @cached_property
    def cell(self) -> Float[np.ndarray, " 3"]:
        """Sides of a cell along x, y and z, Å."""
        return np.array([self.size / self.cells, self.size / self.cells, self.depth / self.depth_cells])

    def within(self, position: Float[np.ndarray, "atom 3"]) -> Bool[np.ndarray, " atom"]:
        """Tell which positions (Å) lie in the box."""
        return self._inside(self._index(position))

    def encode(
        self, number: Int[np.ndarray, " atom"], position: Float[np.ndarray, "atom 3"]
    ) -> Float[np.ndarray, "species 4 layer y x"]:
        """Write atoms into the cells.

        Atoms outside the box and of other species are left out; of two atoms of a species in one cell the
        higher one stays, since it is what the tip feels.

        Parameters
        ----------
        number : (atom,) array
            Atomic numbers; 0 is padding.
        position : (atom, 3) array, Å
            x and y from the window's corner, z from the topmost atom (so z ≤ 0).

        Returns
        -------
        (species, 4, layer, y, x) array
            Confidence 0 or 1, and offsets from the cell's centre in cells, −0.5 to 0.5.
        """
        target = np.zeros((len(self.species), FIELDS, self.depth_cells, self.cells, self.cells), dtype=np.float32)
        index = self._index(position)
        kept = np.flatnonzero(self._inside(index) & (self._channel[number] >= 0))
        # Of values written to one place the last one stays.
        kept = kept[np.argsort(position[kept, 2])]
        column, row, layer = index[kept].T
        channel = self._channel[number[kept]]
        target[channel, 0, layer, row, column] = 1
        target[channel, 1:, layer, row, column] = (position[kept] - self._centre(index[kept])) / self.cell
        return target

    def decode(self, prediction: Float[np.ndarray, "species 4 layer y x"]) -> Found:
        """Read atoms from the cells, the most confident first.

        The most confident cell gathers the cells around it that point to the same place. An atom lies in only
        one of them, so their confidences add up, and its place is their mean, weighted by confidence.

        Parameters
        ----------
        prediction : (species, 4, layer, y, x) array
            Confidence as a probability and offsets, as `encode` gives them.
        """
        parts = [
            self._decode_one(symbol, prediction[channel].astype(np.float64))
            for channel, symbol in enumerate(self.species)
        ]
        found = Found(
            np.concatenate([part.number for part in parts]),
            np.concatenate([part.position for part in parts]),
            np.concatenate([part.confidence for part in parts]),
        )
        return found.keep(found.confidence >= FAINTEST)

    def _decode_one(self, symbol: str, prediction: Float[np.ndarray, "4 layer y x"]) -> Found:
        layer, row, column = np.nonzero(prediction[0] >= FLOOR)
        weight = prediction[0, layer, row, column]
        offset = prediction[1:, layer, row, column].T
        point = self._centre(np.stack([column, row, layer], axis=1)) + offset * self.cell
        groups = _gather(point, weight, EXCLUSION.get(symbol, ION_EXCLUSION))
        position = [weight[group] @ point[group] / weight[group].sum() for group in groups]
        confidence = [min(1.0, weight[group].sum()) for group in groups]
        return Found(
            np.full(len(groups), atomic_numbers[symbol], dtype=np.int64),
            np.array(position).reshape(-1, 3),
            np.array(confidence, dtype=np.float64),
        )

    @cached_property
    def _channel(self) -> np.ndarray:
        """Place of each atomic number among the species, or −1."""
        channel = np.full(len(chemical_symbols), -1)
        channel[[atomic_numbers[symbol] for symbol in self.species]] = np.arange(len(self.species))
        return channel

    def _index(self, position: np.ndarray) -> np.ndarray:
        """Count cells along x, y and downwards to positions in Å."""
        index: np.ndarray = np.floor(position * [1, 1, -1] / self.cell).astype(np.int64)
        return index

    def _inside(self, index: np.ndarray) -> np.ndarray:
        inside: np.ndarray = np.all((index >= 0) & (index < [self.cells, self.cells, self.depth_cells]), axis=1)
        return inside

    def _centre(self, index: np.ndarray) -> np.ndarray:
        """Centres of cells, Å."""
        centre: np.ndarray = (index + 0.5) * self.cell * [1, 1, -1]
        return centre


def _gather(
    point: Float[np.ndarray, "cell 3"], weight: Float[np.ndarray, " cell"], radius: float
) -> Sequence[Int[np.ndarray, " _"]]:
    """Give each point to the most confident free point within the radius."""
    if not weight.size:
        return []
    neighbours = cKDTree(point).query_ball_point(point, radius)
    free = np.ones(weight.size, dtype=bool)
    groups = []
    for first in np.argsort(-weight, kind="stable"):
        if free[first]:
            around = np.array(neighbours[first], dtype=np.int64)
            group = around[free[around]]
            free[group] = False
            groups.append(group)
    return groups
