"""Stacks of a shard of structures, as one dataset."""

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from ase import Atoms
from jaxtyping import Float
from tqdm import tqdm

from hydrafm import structure
from hydrafm.afm.dataset import RenderedStack, gather
from hydrafm.afm.plane import PotentialPlane
from hydrafm.afm.sample import Sample
from hydrafm.errors import StoreError, StructureError
from hydrafm.provenance import generator
from hydrafm.settings.afm import Scan, Tip

SAME_CELL = 1e-3
"""Å, by which the cells of a structure and of its potential may differ."""


def render_stacks(
    structures: Sequence[Atoms], potentials: xr.Dataset, tip: Tip, scan: Scan, *, seed: int, threads: int = 1
) -> xr.Dataset:
    """Render the stack of each structure that a shard of potentials names.

    Parameters
    ----------
    structures : sequence of Atoms
        Structures with a window (see `hydrafm.structure`), in any order.
    potentials : Dataset
        ``potential`` (sample, u, v) in V, ``plane_height`` (sample) in Å, ``index`` (sample), and the
        cell in its attrs; it may hold no sample.
    tip, scan : Tip, Scan
        One tip is drawn for each structure.
    seed : int
        Fixes, with a structure's system, split and index, its tip.
    threads : int
        Rows of pixels handled at the same time.

    Returns
    -------
    Dataset
        ``frequency_shift`` (sample, z, y, x) with its atoms, origin and tip. A structure whose potential
        begins too high for its window, because molecules outside tower above all inside, is left out
        and named in the attribute ``left_out``.

    Raises
    ------
    StoreError
        If the potentials lack a variable, name a structure that is not there, or are of another cell.
    GridError
        If ``scan.lowest`` is too low for the plane of the potentials.
    """
    by_index = {int(structure.origin(atoms, "index")): atoms for atoms in structures}
    wanted = _indices(potentials, by_index)
    cell = np.array(potentials.attrs["cell"], dtype=float)[:2, :2]
    stacks: list[RenderedStack] = []
    left_out: list[int] = []
    for number, index in enumerate(tqdm(wanted, desc="stacks", unit="stack")):
        entry, atoms = potentials.isel(sample=number), by_index[index]
        window = _window(atoms, cell, scan)
        plane = PotentialPlane(entry["potential"].to_numpy().astype(float), cell, float(entry["plane_height"]), window)
        highest, inside = float(atoms.positions[:, 2].max()), structure.top(atoms, window)
        if inside + scan.lowest < plane.floor <= highest + scan.lowest:
            left_out.append(index)
            continue
        stacks.append(_render_one(atoms, plane, tip, scan, seed=seed, threads=threads))
    dataset = gather(stacks, tip, scan, seed=seed)
    dataset.attrs |= {
        **({"system": stacks[0].info["system"], "split": stacks[0].info["split"]} if stacks else {}),
        "potential": json.dumps({key: value for key, value in potentials.attrs.items() if key != "cell"}, default=str),
        "left_out": left_out,
    }
    return dataset


def _indices(potentials: xr.Dataset, by_index: dict[int, Atoms]) -> list[int]:
    """List the structures that a store of potentials names, after checks."""
    lacking = [name for name in ("potential", "plane_height", "index") if name not in potentials]
    lacking += ["attribute cell"] if "cell" not in potentials.attrs else []
    if lacking:
        raise StoreError(f"the potential store lacks {', '.join(lacking)}; make it with hydrafm potential solve")
    wanted = [int(index) for index in potentials["index"].to_numpy()]
    absent = [index for index in wanted if index not in by_index]
    if absent:
        raise StoreError(
            f"the potential store names structure {absent[0]}, but the structures have"
            f" {len(by_index)} others; give the structures that the potential was made from"
        )
    return wanted


def _window(atoms: Atoms, cell: Float[np.ndarray, "2 2"], scan: Scan) -> structure.Window:
    """Read the window of a structure; check its size, the cell and the positions."""
    index = structure.origin(atoms, "index")
    if not np.isfinite(atoms.positions).all():
        raise StructureError(f"structure {index} has positions that are not finite numbers; leave it out")
    if np.abs(np.asarray(atoms.cell)[:2, :2] - cell).max() > SAME_CELL:
        raise StoreError(f"structure {index} has another cell than its potential; give those that belong together")
    window = structure.Window.from_info(atoms.info)
    if abs(window.size - scan.size) > SAME_CELL:
        raise StructureError(
            f"scan.size is {scan.size:g} Å, but the window of structure {index} is {window.size:g} Å wide;"
            " make the structures again for this size"
        )
    return window


def _render_one(atoms: Atoms, plane: PotentialPlane, tip: Tip, scan: Scan, *, seed: int, threads: int) -> RenderedStack:
    """Render the stack of one structure with its own drawn tip."""
    info = {
        key: structure.origin(atoms, key) for key in ("system", "split", "index", "replica", "frame", "temperature")
    }
    drawn = tip.draw(generator(seed, "tip", str(info["system"]), str(info["split"]), int(info["index"])))
    sample = Sample.from_structure(atoms, plane)
    return RenderedStack.of(sample, atoms, plane.window, drawn, scan, info=info, threads=threads)
