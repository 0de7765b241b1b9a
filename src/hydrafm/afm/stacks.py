"""Stacks of a shard of structures, as one dataset."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr
from ase import Atoms
from jaxtyping import Float, Int
from tqdm import tqdm

from hydrafm import structure
from hydrafm.afm.plane import PotentialPlane
from hydrafm.afm.renderer import image_heights, pixel_centres, render
from hydrafm.afm.sample import Sample
from hydrafm.errors import StoreError, StructureError
from hydrafm.provenance import generator, stamp
from hydrafm.settings.afm import DrawnTip, Scan, Tip
from hydrafm.store import described

SAME_CELL = 1e-3
"""Å, by which the cells of a structure and of its potential may differ."""


@dataclass(frozen=True)
class RenderedStack:
    """A structure's stack, with what a network is to find in it and the tip that made it."""

    shift: Float[np.ndarray, "z y x"]
    unconverged: int
    numbers: Int[np.ndarray, " atom"]
    positions: Float[np.ndarray, "atom 3"]
    tip: DrawnTip
    info: dict[str, Any]


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
    dataset = _dataset(stacks, scan, left_out)
    dataset.attrs |= {
        **stamp("numpy", "scipy", "numba"),
        **({"system": stacks[0].info["system"], "split": stacks[0].info["split"]} if stacks else {}),
        "tip": tip.model_dump_json(),
        "scan": scan.model_dump_json(),
        "potential": json.dumps({key: value for key, value in potentials.attrs.items() if key != "cell"}, default=str),
        "seed": seed,
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
    images = render(Sample.from_structure(atoms, plane), drawn, scan, threads=threads)
    numbers, positions = structure.labels(atoms, plane.window)
    return RenderedStack(
        images["frequency_shift"].to_numpy(), int(images["unconverged"]), numbers, positions, drawn, info
    )


def _dataset(stacks: Sequence[RenderedStack], scan: Scan, left_out: list[int]) -> xr.Dataset:
    """Join stacks along ``sample``; lists of atoms are filled up with zeros."""
    atoms = max((len(stack.numbers) for stack in stacks), default=0)
    shift = np.zeros((len(stacks), scan.heights, scan.pixels, scan.pixels), dtype=np.float32)
    number = np.zeros((len(stacks), atoms), dtype=np.int64)
    position = np.zeros((len(stacks), atoms, 3), dtype=np.float32)
    for sample, stack in enumerate(stacks):
        shift[sample] = stack.shift
        number[sample, : len(stack.numbers)] = stack.numbers
        position[sample, : len(stack.numbers)] = stack.positions

    def origin(key: str, kind: type) -> np.ndarray:
        return np.array([stack.info[key] for stack in stacks], dtype=kind)

    height = "height of the unrelaxed probe above the topmost atom, at the lowest point of the swing"
    variables = {
        "frequency_shift": described(("sample", "z", "y", "x"), shift, "Hz", "frequency shift of the sensor"),
        "atom_position": described(
            ("sample", "atom", "axis"),
            position,
            "Å",
            "water and ions: x and y from the window's corner, z from the topmost",
        ),
        "atom_number": described(("sample", "atom"), number, "1", "atomic number, 0 where there is no further atom"),
        "index": described(("sample",), origin("index", np.int64), "1", "number of the structure in its split"),
        "replica": described(("sample",), origin("replica", np.int64), "1", "trajectory the structure comes from"),
        "frame": described(("sample",), origin("frame", np.int64), "1", "frame of that trajectory"),
        "temperature": described(("sample",), origin("temperature", np.float64), "K", "temperature of that trajectory"),
        "unconverged": described(
            ("sample",),
            np.array([stack.unconverged for stack in stacks], dtype=np.int64),
            "1",
            "pixels × force heights whose probe did not come to rest",
        ),
        **_tip_variables([stack.tip for stack in stacks]),
    }
    centres = pixel_centres(scan)
    coordinates = {
        "z": described(("z",), image_heights(scan), "Å", height),
        "y": described(("y",), centres, "Å", "from the window's corner"),
        "x": described(("x",), centres, "Å", "from the window's corner"),
    }
    return xr.Dataset(variables, coordinates, {"left_out": left_out})


def _tip_variables(tips: Sequence[DrawnTip]) -> dict[str, object]:
    """Make a variable of each property of the tips, with the unit its setting has."""
    values = [asdict(tip) for tip in tips]
    variables: dict[str, object] = {}
    for name in DrawnTip.__dataclass_fields__:
        setting = Tip.model_fields["lateral_offset" if name.startswith("offset") else name]
        unit = str(setting.json_schema_extra["unit"]) if isinstance(setting.json_schema_extra, dict) else "1"
        column = np.array([tip[name] for tip in values], dtype=np.float64)
        variables[f"tip_{name}"] = described(("sample",), column, unit, str(setting.description))
    return variables
