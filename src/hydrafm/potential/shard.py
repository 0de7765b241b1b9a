"""The potentials of the structures that one job handles."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from ase import Atoms
from jaxtyping import Float
from tqdm import tqdm

from hydrafm.errors import ConvergenceError, StructureError
from hydrafm.planar import plane_shape
from hydrafm.potential.gpaw_slab import SlabPotential, solve_slab
from hydrafm.potential.point_charges import point_charge_plane
from hydrafm.provenance import stamp
from hydrafm.settings.potential import Potential
from hydrafm.store import described
from hydrafm.structure import origin


@dataclass(frozen=True)
class Failure:
    """A structure whose calculation did not converge.

    Attributes
    ----------
    index : int
        The structure's index in its split.
    replica, frame : int
        Where it comes from.
    error : str
        What happened.
    seconds : float
        Time spent on it.
    """

    index: int
    replica: int
    frame: int
    error: str
    seconds: float


@dataclass(frozen=True)
class _Solved:
    index: int
    height: float
    seconds: float
    result: SlabPotential


def solve_shard(
    structures: Sequence[Atoms], *, first: int, count: int, settings: Potential
) -> tuple[xr.Dataset, list[Failure]]:
    """Calculate the potential of some of a split's structures, each in a plane above its top atom.

    Parameters
    ----------
    structures : sequence of Atoms
        All structures of the split.
    first : int
        Number of the first structure handled.
    count : int
        How many structures; those beyond the last are not asked for.
    settings : Potential
        Method and plane.

    Returns
    -------
    dataset : Dataset
        ``potential`` (sample, u, v) in V with the lateral mean removed, ``plane_height`` (sample) in Å
        in the structure's frame, and how it came about; attrs hold the cell. It may hold no sample.
    failures : list of Failure
        Structures left out because their calculation did not converge.

    Raises
    ------
    StructureError
        If there is no structure of these numbers, cells differ, or the metal's layers are too few.
    SettingsError
        If the settings lack an element's charge.
    """
    chosen = list(structures[first : first + count])
    if not chosen:
        raise StructureError(f"structures {first} to {first + count - 1} were asked for, there are {len(structures)}")
    cell = _common_cell(chosen)
    shape = plane_shape(cell, settings.plane_spacing)
    solved: list[_Solved] = []
    failures: list[Failure] = []
    for atoms in tqdm(chosen, desc="potentials", unit="structure"):
        index, replica, frame = (int(origin(atoms, key)) for key in ("index", "replica", "frame"))
        height = float(atoms.positions[:, 2].max()) + settings.plane_height
        start = time.perf_counter()
        try:
            result = _solve_one(atoms, height, shape, settings)
        except ConvergenceError as error:
            failures.append(Failure(index, replica, frame, str(error), time.perf_counter() - start))
        else:
            solved.append(_Solved(index, height, time.perf_counter() - start, result))
    dataset = _dataset(solved, shape)
    dataset.attrs = {
        **stamp("numpy", "ase", *(("gpaw", "gpaw-data") if settings.method == "gpaw" else ())),
        "system": str(origin(chosen[0], "system")),
        "split": str(origin(chosen[0], "split")),
        "method": settings.method,
        "settings": settings.model_dump_json(),
        "cell": cell.tolist(),
        "convention": "volts, seen by a positive unit charge; point [i, j] at i/u of the first and j/v of the"
        " second cell vector (rows of cell, Å); harmonic above the plane: every wave decays as exp(-k z)",
    }
    return dataset, failures


def _solve_one(atoms: Atoms, height: float, shape: tuple[int, int], settings: Potential) -> SlabPotential:
    if settings.method == "gpaw":
        return solve_slab(atoms, height, shape, settings.gpaw)
    charges, image_plane = settings.point_charges.charges, settings.point_charges.image_plane
    values = point_charge_plane(atoms, height, shape, charges=charges, image_plane=image_plane)
    return SlabPotential(values, iterations=0, attempt=0)


def _common_cell(structures: Sequence[Atoms]) -> Float[np.ndarray, "3 3"]:
    """Give the cell that all structures share, Å."""
    cell = np.array(structures[0].cell)
    for atoms in structures:
        if not np.allclose(atoms.cell, cell, atol=1e-6):
            raise StructureError(
                f"the structures of a shard share one cell; found {np.array(atoms.cell).tolist()} Å"
                f" beside {cell.tolist()} Å; put each system into its own file"
            )
    return cell


def _dataset(solved: Sequence[_Solved], shape: tuple[int, int]) -> xr.Dataset:
    """Gather what was calculated; dimensions are right even without any sample."""
    values = np.array([entry.result.values for entry in solved], dtype=np.float32).reshape(-1, *shape)
    heights = np.array([entry.height for entry in solved], dtype=float)
    indices = np.array([entry.index for entry in solved], dtype=np.int64)
    seconds = np.array([entry.seconds for entry in solved], dtype=float)
    iterations = np.array([entry.result.iterations for entry in solved], dtype=np.int64)
    attempts = np.array([entry.result.attempt for entry in solved], dtype=np.int64)
    sample = ["sample"]
    return xr.Dataset(
        {
            "potential": described([*sample, "u", "v"], values, "V", "electrostatic potential, lateral mean removed"),
            "plane_height": described(sample, heights, "Å", "height of the plane in the structure's frame"),
            "index": described(sample, indices, "1", "index of the structure in its split"),
            "seconds": described(sample, seconds, "s", "wall time of the calculation"),
            "iterations": described(sample, iterations, "1", "self-consistency steps of the attempt that converged"),
            "attempt": described(sample, attempts, "1", "attempt that converged; 0 is the settings as given"),
        }
    )
