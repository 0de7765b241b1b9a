"""An electrostatic potential on a 3-D grid, from a file or an array, as what the renderer takes: one plane of it.

The grid is periodic along its first two axes, which are horizontal; also that of a molecule in a box is taken so.
Its third axis points along z.
"""

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms
from ase.geometry import get_distances
from ase.io.cube import read_cube
from ase.io.formats import open_with_compression
from ase.io.xsf import read_xsf
from ase.units import Hartree, Rydberg
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from hydrafm import planar
from hydrafm.afm.plane import PotentialPlane
from hydrafm.errors import GridError, StoreError, StructureError
from hydrafm.settings.structure_file import HartreeFile
from hydrafm.structure import Window

VOLTS = {"hartree": Hartree, "rydberg": Rydberg, "eV": 1.0}
"""Of each unit of energy, for one elementary charge."""

COARSEST = 0.5
"""Å, between the grid's points: waves of a molecule's potential 2 Å above it are a few Å long."""

SIGN = 5.0
"""V, from which the potential at a nucleus tells its sign: density functional theory gives 10 to several 100."""

RISE = 1.0
"""Å, between the two planes that tell the potential of the sample from that of the box's top or next image."""

DOUBTFUL, REFUSED = 0.08, 0.3
"""Error of a potential continued over that distance, relative RMS, that is told and that is refused.

A water molecule in GPAW (plane waves, 5 Å of vacuum) makes 3 to 5 % from 2 Å above it and 7 to 14 % from 1.5 Å.
"""

NEGLIGIBLE = 1e-3
"""V, RMS of that error below which it does not matter."""

TOGETHER = 0.05
"""Å, by which an atom of a structure and of its potential may differ."""

GRID = 0.6
"""Å, of a plane: all waves that are continued (`hydrafm.afm.plane.FINEST`) are on it, and little else."""

LAYERS = 6
"""Of the grid beyond the planes that the interpolation along z uses."""


class HarmonicWarning(UserWarning):
    """A potential is not quite harmonic where it is continued."""


@dataclass(frozen=True)
class HartreeGrid:
    """An electrostatic potential on a grid, and the atoms that make it.

    Attributes
    ----------
    values : (u, v, w) array, V
        Potential seen by a positive unit charge; point [i, j, l] lies at the origin and i/u, j/v, l/w of the
        cell vectors. Only differences matter.
    cell : (3, 3) array, Å
        Vectors of the grid, one a row: the first two horizontal, the third along z.
    origin : (3,) array, Å
        Place of the first point in the frame of the atoms.
    atoms : Atoms
        All that is in the cell.

    Raises
    ------
    GridError
        If the values are not finite, the third axis is not along z, the grid is too coarse, or the values have
        the sign of an electron's energy. That is told at the nuclei: they attract electrons, so that a
        potential of density functional theory is higher at each of them than on average. It counts as wrong
        where the median over the atoms is more than 5 V below the average and no atom is more than 5 V
        above it. Potentials of point charges, high at some atoms and low at others, and smooth ones are not
        judged.
    StructureError
        If there are no atoms.
    """

    values: Float[np.ndarray, "u v w"]
    cell: Float[np.ndarray, "3 3"]
    origin: Float[np.ndarray, " 3"]
    atoms: Atoms

    def __post_init__(self) -> None:
        if not len(self.atoms):
            raise StructureError("the potential names no atoms; its plane is placed above them, give a file with them")
        bad = int(np.count_nonzero(~np.isfinite(self.values)))
        if bad:
            raise GridError(f"{bad} of the potential's {self.values.size} values are not finite; write it again")
        tilt = np.abs([self.cell[0, 2], self.cell[1, 2], self.cell[2, 0], self.cell[2, 1]]).max()
        if tilt > 1e-3 * self.cell[2, 2]:
            raise GridError(
                f"the potential's third axis is {np.round(self.cell[2], 3)} Å and the first two rise by"
                f" {self.cell[0, 2]:.3f} and {self.cell[1, 2]:.3f} Å; the surface must lie across z"
                " and the third axis along +z, write the grid so"
            )
        steps = np.linalg.norm(self.cell, axis=1) / self.values.shape
        if steps.max() > COARSEST:
            raise GridError(
                f"the potential's grid has points {steps.max():.2f} Å apart; allowed is {COARSEST:g} Å or less,"
                " write it on a finer grid"
            )
        self._check_sign()

    @classmethod
    def read(cls, source: Path, settings: HartreeFile | None = None) -> "HartreeGrid":
        """Read a ``.cube`` or an ``.xsf`` file.

        Parameters
        ----------
        source : Path
            Lengths are Bohr in ``.cube`` and Å in ``.xsf`` files. An XSF grid names its last points; where they
            repeat the first ones they are left out. (`ase.io.write` wants ``origin`` and ``span_vectors`` for
            an XSF grid: what it makes up of its own is neither the cell nor the span.)
        settings : HartreeFile, optional
            What the numbers are.

        Raises
        ------
        StoreError
            If there is no such file or it holds no grid.
        GridError, StructureError
            As `HartreeGrid`.
        """
        settings = settings or HartreeFile()
        readers = {".cube": _read_cube, ".xsf": _read_xsf}
        kind = next((suffix for suffix in readers if suffix in source.suffixes), None)
        if kind is None:
            raise StoreError(
                f"a potential is read from .cube and .xsf files, found {source.name};"
                " for a store of potentials there is hydrafm afm stacks"
            )
        if not source.is_file():
            raise StoreError(f"there is no file {source} with a potential")
        try:
            with open_with_compression(str(source)) as stream:
                values, cell, origin, atoms = readers[kind](stream)
        except Exception as error:  # ASE's readers end in whatever their parsing meets
            raise StoreError(
                f"{source} holds no {kind} grid that can be read ({type(error).__name__}: {error}); write it again"
            ) from None
        unit = settings.unit or ("hartree" if kind == ".cube" else "eV")
        return cls.from_array(values, atoms, settings.model_copy(update={"unit": unit}), cell=cell, origin=origin)

    @classmethod
    def from_array(
        cls,
        values: Float[np.ndarray, "u v w"],
        atoms: Atoms,
        settings: HartreeFile | None = None,
        *,
        cell: Float[np.ndarray, "3 3"] | None = None,
        origin: Float[np.ndarray, " 3"] | None = None,
    ) -> "HartreeGrid":
        """Take a grid from an array, by default of electron energies in eV.

        Parameters
        ----------
        values : (u, v, w) array
            Point [i, j, l] lies at the origin and i/u, j/v, l/w of the cell vectors.
        atoms : Atoms
            What makes the potential.
        settings : HartreeFile, optional
            What the numbers are.
        cell : (3, 3) array, Å
            Vectors of the grid; the atoms' cell if not given.
        origin : (3,) array, Å
            Place of the first point; zero if not given.

        Examples
        --------
        From a GPAW calculation, whose values are energies of an electron in eV, with or without a file between::

            grid = HartreeGrid.from_array(atoms.calc.get_electrostatic_potential(), atoms)

            ase.io.write("hartree.cube", atoms, data=atoms.calc.get_electrostatic_potential())
            grid = HartreeGrid.read(Path("hartree.cube"), HartreeFile(unit="eV"))
        """
        settings = settings or HartreeFile()
        sign = 1.0 if settings.holds == "potential" else -1.0
        return cls(
            sign * VOLTS[settings.unit or "eV"] * np.asarray(values, dtype=float),
            np.asarray(atoms.cell if cell is None else cell, dtype=float),
            np.zeros(3) if origin is None else np.asarray(origin, dtype=float),
            atoms,
        )

    def check_belongs_to(self, atoms: Atoms) -> None:
        """Make sure that a structure is the one whose potential this is, up to steps of the cell across z.

        Raises
        ------
        StructureError
            If an atom has no equal here, or a periodic structure has another cell.
        """
        if atoms.pbc[:2].all() and np.abs(np.asarray(atoms.cell)[:2, :2] - self.cell[:2, :2]).max() > TOGETHER:
            raise StructureError(
                f"the structure's cell is {np.asarray(atoms.cell)[:2, :2].round(3).tolist()} Å across, that of its"
                f" potential {self.cell[:2, :2].round(3).tolist()} Å; give those that belong together"
            )
        if len(atoms) != len(self.atoms):
            raise StructureError(
                f"the structure has {len(atoms)} atoms, its potential {len(self.atoms)}; give those that belong"
                " together, or render the file of the potential itself"
            )
        box = np.eye(3)
        box[:2, :2] = self.cell[:2, :2]
        _, distances = get_distances(atoms.positions, self.atoms.positions, cell=box, pbc=(True, True, False))
        distances[atoms.numbers[:, None] != self.atoms.numbers] = np.inf
        nearest = distances.min(axis=1)
        worst = int(nearest.argmax())
        if nearest[worst] > TOGETHER:
            raise StructureError(
                f"atom {worst} ({atoms.symbols[worst]}) of the structure, at {atoms.positions[worst].round(2)} Å, is"
                f" {nearest[worst]:.2f} Å from the nearest of its kind that the potential names; give those that belong"
                " together, or render the file of the potential itself"
            )

    def plane(self, window: Window, above: float = 2.0) -> PotentialPlane:
        """Take the potential in a plane above the topmost atom, as if there were nothing further up.

        What a box's next image or its grounded top adds is told from the sample's part by a second plane, 1 Å
        higher, and left out. That plane is also compared with what follows from the first and one halfway if the
        potential is harmonic.

        Parameters
        ----------
        window : Window
            The field of view, in the frame of the atoms.
        above : float, Å
            Height of the plane above the topmost atom.

        Raises
        ------
        GridError
            If the grid does not reach 1 Å above the plane, or the potential is far from harmonic there.

        Warns
        -----
        HarmonicWarning
            If it is not quite harmonic: electrons reach so high, a potential with exchange and correlation
            was given, the next image is too near, or the box ends beside a molecule.
        """
        height = float(self.atoms.positions[:, 2].max()) + above
        step = self.cell[2, 2] / self.values.shape[2]
        first, last = self.origin[2], self.origin[2] + self.cell[2, 2] - step
        if height < first or height + RISE > last:
            raise GridError(
                f"the potential is wanted from z = {height:.2f} Å, {above:g} Å above the topmost atom, to"
                f" {height + RISE:.2f} Å, but its grid spans {first:.2f} to {last:.2f} Å; use more vacuum above"
                " the atoms, or move them down so that it lies there"
            )
        lower, middle, upper = self._layers(np.array([height, height + RISE / 2, height + RISE]))
        departure = float(np.std(upper - planar.next_plane(lower, middle, self.cell, rise=RISE / 2)))
        share = departure / max(float(np.std(upper)), NEGLIGIBLE)
        if departure > NEGLIGIBLE and share > DOUBTFUL:
            message = (
                f"the potential is not harmonic above z = {height:.2f} Å: continued by {RISE:g} Å it errs by"
                f" {100 * share:.0f} %; electrons reach there, the box ends too near, or it holds more than"
                f" electrostatics: raise plane_height ({above:g} Å) or use a wider box"
            )
            if share > REFUSED:
                raise GridError(message)
            warnings.warn(message, HarmonicWarning, stacklevel=2)
        own = planar.from_below(lower, upper, self.cell, rise=RISE)
        return PotentialPlane(self._in_place(own), self.cell[:2, :2], height, window)

    def _layers(self, heights: Float[np.ndarray, " z"]) -> Float[np.ndarray, "z p q"]:
        """Interpolate the grid to heights (Å) and keep its long waves."""
        count = self.values.shape[2]
        z = self.origin[2] + self.cell[2, 2] * np.arange(count) / count
        low, high = np.searchsorted(z, heights[[0, -1]])
        near = slice(max(int(low) - LAYERS, 0), min(int(high) + LAYERS, count))
        spline = CubicSpline(z[near], self.values[:, :, near], axis=2)
        shape = planar.plane_shape(self.cell, GRID)
        return np.stack([planar.resample(spline(height), shape) for height in heights])

    def _in_place(self, values: Float[np.ndarray, "p q"]) -> Float[np.ndarray, "p q"]:
        """Shift a plane so that its first point lies at the cell's corner instead of the grid's origin."""
        vectors = planar.wave_vectors(self.cell, (values.shape[0], values.shape[1]))
        moved: np.ndarray = np.fft.ifft2(np.fft.fft2(values) * np.exp(-1j * (vectors @ self.origin[:2]))).real
        return moved

    def _check_sign(self) -> None:
        places = (self.atoms.positions - self.origin) @ np.linalg.inv(self.cell)
        nearest = np.round(places * self.values.shape).astype(int)
        inside = (nearest[:, 2] >= 0) & (nearest[:, 2] < self.values.shape[2])
        if not inside.any():
            return
        points = nearest[inside] % self.values.shape
        rise = self.values[tuple(points.T)] - self.values.mean()
        if np.median(rise) < -SIGN and rise.max() < SIGN:
            lowest = int(np.flatnonzero(inside)[rise.argmin()])
            raise GridError(
                f"the potential has the wrong sign: a positive charge at atom {lowest} ({self.atoms.symbols[lowest]})"
                f" would feel {rise.min():.1f} V against the mean, and nuclei repel it; the numbers are of the other"
                " kind, change holds between electron_energy and potential (--holds)"
            )


def _read_cube(source: IO[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray, Atoms]:
    """Read values, cell (Å), origin (Å) and atoms of a cube file."""
    content = read_cube(source)
    values = content["data"]
    return values, content["spacing"] * np.array(values.shape)[:, None], content["origin"], content["atoms"]


def _read_xsf(source: IO[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray, Atoms]:
    """Read values, cell (Å), origin (Å) and atoms of an XSF file.

    Its span ends at the last point. Programs differ in whether that repeats the first and in what they call the
    span, so that a cell the file names, where the grid covers it to a point or two, decides.
    """
    text = re.sub(r"^\s*DATAGRID_3D", "BEGIN_DATAGRID_3D", source.read(), flags=re.MULTILINE)  # ASE asks for BEGIN
    values, origin, spans, atoms = read_xsf(io.StringIO(text), read_data=True)
    cell = np.empty((3, 3))
    for axis in range(3):
        step = spans[axis] / (values.shape[axis] - 1)
        first, last = np.take(values, 0, axis), np.take(values, -1, axis)
        if np.allclose(first, last, rtol=1e-5, atol=1e-6 * float(np.ptp(values))):
            values = np.delete(values, -1, axis)
        cell[axis] = step * values.shape[axis]
        named = np.asarray(atoms.cell)[axis]
        if np.linalg.norm(cell[axis] - named) < 2.1 * np.linalg.norm(step):
            cell[axis] = named
    return values, cell, origin, atoms
