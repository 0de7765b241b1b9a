"""A tip over a sample, prepared for the kernel: what the probe does, and how that depends on everything."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Float

from hydrafm.afm.far_field import FarGrid, far_slopes, fill_far
from hydrafm.afm.interactions import Probe, Split, split_at
from hydrafm.afm.kernel import LANES, TERMS, Column, Path, Slopes, Spline, Workspace, relax_rows, slope_rows
from hydrafm.afm.sample import Sample
from hydrafm.settings.afm import DrawnTip
from hydrafm.units import COULOMB, EV_PER_A2_IN_N_PER_M

Result = TypeVar("Result")
Precision = Literal["single", "double", "direct"]


@dataclass(frozen=True)
class Accuracy:
    """How a precision is reached.

    Attributes
    ----------
    kind : np.float32 or np.float64
        Of the numbers.
    near : float, Å
        Distance up to which atoms act one by one; what is left is interpolated.
    spacing : float or None, Å
        Of the grid for what is left; None where nothing is.
    tolerance : float, Å
        Newton step after which the probe is at rest; the force is corrected for that step to first order.
    radius : float, Å
        How far across the surface a field is expanded to third order; with 0 it is smooth without a jump.
    """

    kind: Any
    near: float
    spacing: float | None
    tolerance: float
    radius: float


ACCURACY: dict[Precision, Accuracy] = {
    "single": Accuracy(np.float32, 6.5, 0.5, 2e-3, 0.3),
    "double": Accuracy(np.float64, 7.0, 0.35, 1e-7, 0.0),
    "direct": Accuracy(np.float64, 1e4, None, 1e-8, 0.0),
}

BLOCKS = 16
"""Parts that work is cut into for the threads; fixed, so that sums do not depend on the number of threads."""


FEW = 4
"""Such parts of the far field's grid, each of which finds the distances across the surface anew."""


@dataclass(frozen=True)
class Relaxation:
    """A tip over a sample.

    Attributes
    ----------
    x, y : arrays, Å
        Where the tip goes down.
    heights : (z,) array, Å
        Of the tip's last atom above the sample's top.
    atoms : (6, atom) array
        Rows x, y, z (Å, z from the top), C6 (eV Å⁶), C12 (eV Å¹²), charge (eV Å/e).
    reach : float, Å
        Distance across the surface up to which Lennard-Jones is summed.
    probe, split : Probe, Split
        For the kernel.
    grid : FarGrid or None
        Of the far field.
    far, plane : Spline
        Energies of what is far, and of a potential.
    tolerance, radius : float, Å
        See `Accuracy`.
    """

    x: Float[np.ndarray, " x"]
    y: Float[np.ndarray, " y"]
    heights: Float[np.ndarray, " z"]
    atoms: Float[np.ndarray, "6 atom"]
    reach: float
    probe: Probe
    split: Split
    grid: FarGrid | None
    far: Spline
    plane: Spline
    tolerance: float
    radius: float

    @classmethod
    def prepare(
        cls,
        sample: Sample,
        tip: DrawnTip,
        *,
        x: Float[np.ndarray, " x"],
        y: Float[np.ndarray, " y"],
        z: Float[np.ndarray, " z"],
        precision: Precision,
        threads: int = 1,
    ) -> "Relaxation":
        """Prepare a tip over a sample; `z` (Å) are heights of the unrelaxed probe above the sample's top."""
        accuracy = ACCURACY[precision]
        kind = accuracy.kind
        top = np.array([0.0, 0.0, sample.top])
        atoms = np.ascontiguousarray(
            np.column_stack([sample.positions - top, sample.c6, sample.c12, COULOMB * sample.charges]).T
        )
        probe = Probe(
            *(
                kind(value)
                for value in (
                    tip.lateral_stiffness / EV_PER_A2_IN_N_PER_M,
                    tip.radial_stiffness / EV_PER_A2_IN_N_PER_M,
                    tip.length,
                    tip.offset_x,
                    tip.offset_y,
                    tip.charge,
                    tip.moment,
                )
            )
        )
        split = split_at(accuracy.near, kind)
        grid, far, plane = None, no_field(kind), no_field(kind)
        if accuracy.spacing is not None:
            grid = FarGrid.over(x, y, z, accuracy.spacing)
            far = grid.spline(_far_values(grid, atoms.astype(kind), sample.reach, probe, split, threads))
        if sample.potential is not None:
            low, high = sample.top + float(z[0]), sample.top + float(z[-1])
            made = sample.potential.spline(charge=tip.charge, moment=tip.moment, low=low, high=high)
            plane = Spline(
                made.coefficients.astype(kind),
                made.to_index.astype(kind),
                made.origin,
                kind(made.lowest - sample.top),
                kind(made.spacing),
            )
        return cls(
            x=x,
            y=y,
            heights=(z + tip.length).astype(kind),
            atoms=atoms,
            reach=sample.reach,
            probe=probe,
            split=split,
            grid=grid,
            far=far,
            plane=plane,
            tolerance=accuracy.tolerance,
            radius=accuracy.radius,
        )

    def run(self, *, threads: int, keep: bool = False) -> Path:
        """Relax the probe everywhere; `keep` its places and responses too."""
        kind = self.heights.dtype.type
        shape = (len(self.y), len(self.x), len(self.heights))
        kept = (shape if keep else (0, *shape[1:])) + (3,)
        path = Path(
            force=np.zeros(shape, kind),
            lost=np.zeros(shape[:2], np.int64),
            leaps=np.zeros(shape[:2], np.int64),
            place=np.zeros(kept, kind),
            response=np.zeros(kept, kind),
        )
        charged = bool(np.any(self.atoms[5]))

        def relax(rows: slice) -> None:
            part = Path(*(field[rows] for field in path))
            relax_rows(
                self.x,
                self.y[rows],
                self.heights,
                self.atoms,
                kind(self.reach),
                charged,
                self.probe,
                self.split,
                self.far,
                self.plane,
                kind(self.tolerance),
                part,
                self._workspace(),
            )

        _in_blocks(relax, len(self.y), threads)
        return path

    def slopes(self, path: Path, upstream: Float[np.ndarray, "y x z"], *, threads: int) -> Slopes:
        """Give the derivatives of a loss, given those by the force; pixels where the probe leapt or was lost must be 0.

        Of the sums, `far` is already brought to the atoms and the tip.
        """
        kind = self.heights.dtype.type
        count = self.atoms.shape[1]

        def differentiate(rows: slice) -> Slopes:
            part = Path(*(field[rows] for field in path))
            sums = Slopes(
                np.zeros((4, count)),
                np.zeros(8),
                np.zeros(self.far.coefficients.shape, kind),
                np.zeros(self.plane.coefficients.shape, kind),
            )
            slope_rows(
                self.x,
                self.y[rows],
                self.heights,
                self.atoms,
                kind(self.reach),
                self.probe,
                self.split,
                self.far,
                self.plane,
                part,
                np.ascontiguousarray(upstream[rows], dtype=kind),
                sums,
                self._workspace(),
            )
            return sums

        parts = _in_blocks(differentiate, len(self.y), threads)
        total = Slopes(*(np.sum(field, axis=0) for field in zip(*parts, strict=True)))
        if self.grid is not None:
            of_atoms = np.zeros((4, count), kind)
            values = self.grid.adjoint(total.far)
            axes, atoms = _in(kind, self.grid.x, self.grid.y, self.grid.z), self.atoms.astype(kind)

            def differentiate_far(part: slice) -> tuple[float, float]:
                few = np.ascontiguousarray(atoms[:, part])
                sums = np.zeros((4, few.shape[1]), kind)
                x, y, z = axes
                of_probe = far_slopes(x, y, z, few, kind(self.reach), self.probe, self.split, values, sums)
                of_atoms[:, part] = sums
                return of_probe

            of_probe = np.sum(_in_blocks(differentiate_far, count, threads), axis=0)
            total.atoms[:] += of_atoms
            total.tip[5:7] += of_probe
        return total

    def _workspace(self) -> Workspace:
        kind, count = self.heights.dtype.type, self.atoms.shape[1]

        def column(spline: Spline) -> Column:
            shapes = ((spline.coefficients.shape[2], TERMS), (2,), (2, 4, 4), (TERMS,), (3, TERMS))
            return Column(kind(self.radius), *(np.zeros(shape, kind) for shape in shapes))

        return Workspace(
            near=np.zeros((7, count + LANES), kind),
            of_near=np.zeros((4, count + LANES), kind),
            counts=np.zeros(len(self.heights), np.int64),
            order=np.zeros(count, np.int64),
            level=np.zeros(count, np.int64),
            row=np.zeros(count, np.int64),
            far_pixel=np.zeros(2, kind),
            plane_pixel=np.zeros(2, kind),
            far_column=column(self.far),
            plane_column=column(self.plane),
        )


def _in_blocks(work: Callable[[slice], Result], count: int, threads: int, most: int = BLOCKS) -> list[Result]:
    """Do work on blocks of rows, atoms or heights, which are the same however many threads there are."""
    edges = np.linspace(0, count, min(most, count) + 1).astype(int)
    blocks = [slice(low, high) for low, high in pairwise(edges)]
    if threads == 1:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, blocks))


def _far_values(
    grid: FarGrid, atoms: Float[np.ndarray, "6 atom"], reach: float, probe: Probe, split: Split, threads: int
) -> Float[np.ndarray, "z y x"]:
    """Fill a grid with the far energies."""
    kind = atoms.dtype.type
    x, y, z = _in(kind, grid.x, grid.y, grid.z)
    values = np.zeros((len(z), len(y), len(x)), kind)

    def fill(part: slice) -> None:
        fill_far(x, y, z[part], atoms, kind(reach), probe, split, values[part], np.empty((2, len(x)), kind))

    _in_blocks(fill, len(z), threads, FEW)
    return values


def no_field(kind: type) -> Spline:
    """Give the spline of nothing."""
    return Spline(np.zeros((0, 0, 0), kind), np.eye(2, dtype=kind), np.zeros(2), kind(0), kind(1))


def _in(kind: type, *arrays: np.ndarray) -> list[np.ndarray]:
    """Give arrays in a precision."""
    return [array.astype(kind) for array in arrays]


def compile_now() -> None:
    """Compile the kernel and its derivatives in single precision, for all that renders later."""
    one = np.zeros(1)
    sample = Sample(np.zeros((1, 3)), one, one, 0.0, np.ones(1))
    tip = DrawnTip(
        charge=0.0,
        quadrupole=0.0,
        width=0.7,
        length=3.0,
        lateral_stiffness=0.5,
        radial_stiffness=20.0,
        offset_x=0.0,
        offset_y=0.0,
        amplitude=0.5,
        resonance=3e4,
        stiffness=1.8e3,
    )
    relaxation = Relaxation.prepare(sample, tip, x=one, y=one, z=np.array([4.0, 4.1]), precision="single")
    relaxation.slopes(relaxation.run(threads=1, keep=True), np.zeros((1, 1, 2)), threads=1)
