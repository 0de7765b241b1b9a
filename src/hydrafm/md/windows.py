"""Structures for the later stages: frames of all replicas of a split, each with a window on it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from ase import Atoms

from hydrafm.errors import StoreError, StructureError
from hydrafm.md.surface import build_slab
from hydrafm.provenance import generator
from hydrafm.settings.md import Split, Substrate
from hydrafm.store import read_dataset
from hydrafm.structure import Window, cut

DRAWS = 50
"""Windows tried on a frame before it is left out."""


@dataclass(frozen=True)
class Collected:
    """Structures, and the frames that gave none.

    Attributes
    ----------
    structures : list of Atoms
        In order: frame 0 of all replicas, frame 1 of all replicas, ...
    empty : list of (replica, frame)
        Frames on which no window held water or an ion.
    """

    structures: list[Atoms]
    empty: list[tuple[int, int]]


def collect(
    sources: Sequence[Path], substrate: Substrate, *, window: float, seed: int, system: str, split: Split
) -> Collected:
    """Put the frames of a split's replicas on their substrate and place a window on each.

    The order is frame-major, so that the first N structures come from all replicas and the first
    100 are among the first 200.

    Parameters
    ----------
    sources : sequence of Path
        Frame stores, one a replica, with as many frames each; their order does not matter.
    substrate : Substrate
        The one they were simulated on; its `layers` are put under the water.
    window : float, Å
        Side of the field of view.
    seed, system : int, str
        Fix, with the numbers of replica and frame, the window.
    split : str
        Noted in the structures.

    Returns
    -------
    Collected

    Raises
    ------
    StoreError
        If a store is of another system or substrate, a replica comes twice, or stores differ in length.
    StructureError
        If not one window holds water or an ion.
    """
    replicas = _read(sources, substrate, system)
    collected = Collected([], [])
    slab = build_slab(substrate, height=float(next(iter(replicas.values())).attrs["cell"][2]))
    for frame in range(next(iter(replicas.values())).sizes["frame"]):
        for replica, frames in replicas.items():
            adsorbate = _adsorbate(frames, frame, slab)
            view = _draw_window(adsorbate, window, generator(seed, system, replica, frame))
            if view is None:
                collected.empty.append((replica, frame))
                continue
            structure = adsorbate + slab
            structure.info |= {
                "system": system,
                "split": split,
                "replica": replica,
                "frame": frame,
                "index": len(collected.structures),
                "temperature": float(frames.attrs["temperature"]),
                **view.to_info(),
            }
            collected.structures.append(structure)
    if not collected.structures:
        raise StructureError(
            f"no window of {window:g} Å on {len(collected.empty)} frames held water or an ion;"
            " widen the window or raise composition.waters"
        )
    return collected


def _read(sources: Sequence[Path], substrate: Substrate, system: str) -> dict[int, xr.Dataset]:
    """Load the stores by replica and check that they belong together."""
    if not sources:
        raise StoreError("no frame store was given")
    replicas: dict[int, xr.Dataset] = {}
    for source in sources:
        frames = read_dataset(source).load()
        if frames.attrs.get("system") != system:
            raise StoreError(f"{source} holds frames of {frames.attrs.get('system')!r}, not of {system!r}")
        simulated = Substrate.parse(json.loads(frames.attrs["settings"])["substrate"])
        if (simulated.repeats, simulated.lattice_constant) != (substrate.repeats, substrate.lattice_constant):
            raise StoreError(
                f"{source} was simulated on {simulated.repeats} units of {simulated.lattice_constant:g} Å,"
                f" not on {substrate.repeats} of {substrate.lattice_constant:g} Å; simulate it again"
            )
        replica = int(frames.attrs["replica"])
        if replica in replicas:
            raise StoreError(f"{source} is replica {replica}, which another store is too; give each once")
        replicas[replica] = frames
    lengths = {frames.sizes["frame"] for frames in replicas.values()}
    if len(lengths) > 1:
        raise StoreError(f"the stores hold {sorted(lengths)} frames; replicas of one split have as many each")
    return dict(sorted(replicas.items()))


def _adsorbate(frames: xr.Dataset, frame: int, slab: Atoms) -> Atoms:
    """Make the water and ions of a frame, tag 0, in the slab's cell."""
    return Atoms(
        numbers=frames["number"].values,
        positions=frames["position"].values[frame].astype(float),
        cell=slab.cell,
        pbc=slab.pbc,
    )


def _draw_window(adsorbate: Atoms, size: float, random: np.random.Generator) -> Window | None:
    """Draw windows until one holds an O or an ion."""
    heads = adsorbate[adsorbate.numbers > 1]
    for _ in range(DRAWS):
        window = Window.draw(np.asarray(adsorbate.cell), size, random)
        if len(cut(heads, window, 0.0)):
            return window
    return None
