"""Structures as every stage sees them: a periodic slab cell and a square window on it.

A structure is an `ase.Atoms` with z up and z = 0 in the plane of the uppermost substrate atoms,
periodic along x and y. Tags tell the parts: 0 for water and ions, 1, 2, ... for the substrate's
layers from the top. Its ``info`` holds the window (`Window.to_info`) and where it comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from jaxtyping import Float, Int

from hydrafm.errors import StoreError, StructureError


@dataclass(frozen=True)
class Window:
    """A square field of view on a periodic slab.

    Attributes
    ----------
    x, y : float
        The window's lower left corner in the cell, Å.
    angle : float
        Direction of the window's x axis in the cell, counterclockwise, radians.
    size : float
        Side, Å.
    """

    x: float
    y: float
    angle: float
    size: float

    @classmethod
    def draw(cls, cell: Float[np.ndarray, "3 3"], size: float, random: np.random.Generator) -> "Window":
        """Place a window anywhere on a cell, turned by any angle."""
        corner = random.random(2) @ cell[:2, :2]
        return cls(float(corner[0]), float(corner[1]), float(random.uniform(0, 2 * np.pi)), size)

    @classmethod
    def from_info(cls, info: dict[str, Any]) -> "Window":
        """Read a window from the ``info`` of a structure."""
        try:
            return cls(*(float(info[f"window_{name}"]) for name in ("x", "y", "angle", "size")))
        except KeyError as error:
            raise StructureError(f"the structure names no window: {error.args[0]} is missing from its info") from None

    def to_info(self) -> dict[str, float]:
        """Write a window as entries for the ``info`` of a structure."""
        return {f"window_{name}": getattr(self, name) for name in ("x", "y", "angle", "size")}

    @property
    def axes(self) -> Float[np.ndarray, "2 2"]:
        """Unit vectors of the window's x and y in the cell, one a row."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cosine, sine], [-sine, cosine]])

    def to_cell(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Turn positions in the window (Å from its corner) into positions in the cell, Å."""
        moved: np.ndarray = points @ self.axes + np.array([self.x, self.y])
        return moved

    def from_cell(self, points: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        """Turn positions in the cell into positions in the window, Å from its corner."""
        moved: np.ndarray = (points - np.array([self.x, self.y])) @ self.axes.T
        return moved


def cut(atoms: Atoms, window: Window, margin: float) -> Atoms:
    """Repeat a slab and keep the atoms in a window and around it, in the window's frame.

    Parameters
    ----------
    atoms : Atoms
        A slab, periodic along x and y.
    window : Window
        The field of view.
    margin : float, Å
        How far outside the window atoms are kept.

    Returns
    -------
    Atoms
        Not periodic; x and y from the window's corner, z as in the slab; tags are kept.
    """
    cell = np.asarray(atoms.cell)[:2, :2]
    low, high = -margin, window.size + margin
    corners = np.array([[low, low], [high, low], [low, high], [high, high]])
    fractions = window.to_cell(corners) @ np.linalg.inv(cell)
    within = atoms.get_scaled_positions(wrap=False)[:, :2]
    first = np.floor(fractions.min(axis=0) - within.max(axis=0)).astype(int)
    last = np.ceil(fractions.max(axis=0) - within.min(axis=0)).astype(int)
    shifts = np.array([[i, j] for i in range(first[0], last[0] + 1) for j in range(first[1], last[1] + 1)])
    flat = window.from_cell(atoms.positions[None, :, :2] + (shifts @ cell)[:, None, :]).reshape(-1, 2)
    heights = np.tile(atoms.positions[:, 2], len(shifts))
    keep = np.all((flat >= low) & (flat < high), axis=1)
    return Atoms(
        numbers=np.tile(atoms.numbers, len(shifts))[keep],
        positions=np.column_stack([flat, heights])[keep],
        tags=np.tile(atoms.get_tags(), len(shifts))[keep],
    )


def top(atoms: Atoms, window: Window) -> float:
    """Height of the topmost atom of water or ions in a window, Å; the origin of all tip heights.

    Raises
    ------
    StructureError
        If the window holds no such atom.
    """
    seen = cut(atoms, window, 0.0)
    heights = seen.positions[seen.get_tags() == 0, 2]
    if not heights.size:
        raise StructureError("the window holds neither water nor ions; place it elsewhere or raise the coverage")
    return float(heights.max())


def labels(atoms: Atoms, window: Window) -> tuple[Int[np.ndarray, " atom"], Float[np.ndarray, "atom 3"]]:
    """List the atoms of water and ions in a window.

    Returns
    -------
    numbers : (atom,) array
        Atomic numbers.
    positions : (atom, 3) array, Å
        x and y from the window's corner, z from the topmost atom (so z ≤ 0).
    """
    seen = cut(atoms, window, 0.0)
    water = seen[seen.get_tags() == 0]
    positions = water.positions - np.array([0.0, 0.0, top(atoms, window)])
    return water.numbers.astype(np.int64), positions


def origin(atoms: Atoms, key: str) -> Any:
    """Read where a structure comes from: its ``system``, ``split``, ``replica``, ``frame``, ``index``, ...

    Raises
    ------
    StructureError
        If the structure does not say.
    """
    try:
        value = atoms.info[key]
    except KeyError:
        raise StructureError(f"a structure does not name its {key}; make it with hydrafm md collect") from None
    return value.item() if isinstance(value, np.generic) else value


def read_structures(source: Path) -> list[Atoms]:
    """Read the structures of an extended-xyz file.

    Raises
    ------
    StoreError
        If there is no such file or it holds no structure.
    """
    if not source.is_file():
        raise StoreError(f"there is no structure file {source}")
    structures = ase.io.read(source, index=":", format="extxyz")
    if not isinstance(structures, list) or not structures:
        raise StoreError(f"{source} holds no structure")
    return structures


def write_structures(structures: Sequence[Atoms], target: Path) -> None:
    """Write structures to an extended-xyz file (the caller makes it appear whole)."""
    ase.io.write(target, list(structures), format="extxyz")
