"""Stacks of structures from any file that ASE reads: molecules, slabs, crystals, with charges or a potential.

z is the surface's normal, at whatever height the atoms lie. Periodic structures are repeated along the first two
cell vectors, never along the third. Tags 1, 2, ... mark a substrate, as `ase.build` sets them: its atoms are
not listed with the images. They do not count where a tagged atom is the topmost.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import ase.io
import numpy as np
import xarray as xr
from ase import Atoms
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list
from ase.utils import string2index
from jaxtyping import Float
from tqdm import tqdm

from hydrafm import planar, structure
from hydrafm.afm.dataset import RenderedStack, gather
from hydrafm.afm.hartree import GRID, HartreeGrid
from hydrafm.afm.lennard_jones import LENNARD_JONES
from hydrafm.afm.plane import PotentialPlane
from hydrafm.afm.relaxation import Precision
from hydrafm.afm.sample import CLOSEST, REACH, Sample
from hydrafm.errors import SettingsError, StoreError, StructureError
from hydrafm.provenance import generator
from hydrafm.settings.afm import Scan, Tip

Charges = Mapping[str, float] | Literal["column", "none"]

ABOVE = 2.0
"""Å, of the plane above the topmost charge from which the potential of periodic charges continues."""

FLAT = 1e-3
"""Part of their lengths by which the two lateral cell vectors may rise."""


def read_file(source: Path, index: str = "-1") -> list[Atoms]:
    """Read one structure or several from a file of any format that ASE knows.

    Parameters
    ----------
    source : Path
        ``.xyz``, ``.cif``, ``POSCAR``, ``.cube``, ``.xsf``, ...
    index : str
        Which: a number (-1 is the last) or a slice such as ``:`` or ``0:100:10``.

    Raises
    ------
    StoreError
        If the file is missing, cannot be read or holds no such structure.
    SettingsError
        If `index` is neither a number nor a slice.
    """
    if not source.exists():
        raise StoreError(f"there is no structure file {source}")
    try:
        chosen = string2index(index)
    except (ValueError, TypeError):
        chosen = index
    if isinstance(chosen, str):
        raise SettingsError(f"index: found {index!r}; allowed is a number or a slice, such as -1 or 0:100:10")
    try:
        found = ase.io.read(source, index=chosen, do_not_split_by_at_sign=True)
    except (IndexError, StopIteration):
        found = []
    except Exception as error:  # ASE's readers end in whatever their parsing meets
        reason = " ".join(str(error).split())
        raise StoreError(f"ASE cannot read {source} ({type(error).__name__}: {reason}); give another format") from None
    structures = found if isinstance(found, list) else [found]
    if not structures:
        raise StoreError(f"{source} holds no structure of index {index}; give one that is there")
    return structures


def parse_charges(text: str) -> Charges:
    """Read charges from a text: ``column``, ``none`` or pairs such as ``O=-0.8,H=0.4`` (e).

    Raises
    ------
    SettingsError
        If it is none of these.
    """
    if text == "column":
        return "column"
    if text == "none":
        return "none"
    charges: dict[str, float] = {}
    for pair in text.split(","):
        symbol, _, value = (part.strip() for part in pair.partition("="))
        try:
            charge = float(value)
        except ValueError:
            charge = np.nan
        if symbol not in atomic_numbers or not np.isfinite(charge):
            raise SettingsError(f"charges: found {pair!r}; allowed are column, none or pairs such as O=-0.8,H=0.4 (e)")
        charges[symbol] = charge
    return charges


def render_structures(
    structures: Sequence[Atoms],
    tip: Tip,
    scan: Scan,
    *,
    charges: Charges | None = None,
    hartree: HartreeGrid | None = None,
    plane_height: float = ABOVE,
    corner: tuple[float, float] | None = None,
    angle: float = 0.0,
    periodic: bool | None = None,
    parameters: Mapping[str, tuple[float, float]] = LENNARD_JONES,
    seed: int = 0,
    threads: int = 1,
    precision: Precision = "single",
    device: str = "cpu",
) -> xr.Dataset:
    """Render the stack of each of some structures.

    Parameters
    ----------
    structures : sequence of Atoms
        As read from a file.
    tip, scan : Tip, Scan
        One tip is drawn for each structure; settings without ranges fix it.
    charges : mapping or {"column", "none"}, optional
        Point charges (e) by element, or those the structures hold (``initial_charges`` or calculated
        ``charges``); if not given, those they hold, where they do. Charges of a periodic structure are
        repeated without end, a net charge is neutralised evenly.
    hartree : HartreeGrid, optional
        Potential of the one structure, instead of charges. It is periodic in its own cell.
    plane_height : float, Å
        Where it is taken, above the topmost atom.
    corner : (float, float), optional
        Lower left corner of the window, Å, in the frame of the atoms. If not given, the cell's corner (the origin);
        without a cell the window is centred on the atoms.
    angle : float, radians
        Direction of the window's x axis, counterclockwise.
    periodic : bool, optional
        Whether the structures are repeated; if not given, as they say.
    parameters : mapping
        Lennard-Jones R (Å) and ε (eV) by element.
    seed : int
        Draws the tips.
    threads, precision, device
        As for `hydrafm.afm.renderer.relaxed_force`.

    Returns
    -------
    Dataset
        As of `hydrafm.afm.stacks.render_stacks`; ``index`` and ``frame`` number the structures. The attribute
        ``windows`` lists their corners (Å) and angles (radians).

    Raises
    ------
    StructureError
        If a structure is empty, has positions that are not finite, atoms that overlap (also across the cell's
        border), an element without parameters or a cell that cannot be repeated, if the window holds no
        atom, or if the potential is not that of the structure.
    SettingsError
        If charges are missing, or given beside a potential.
    GridError
        If the potential does not reach where the probe goes.
    """
    if hartree is not None and charges not in (None, "none"):
        raise SettingsError("charges and a potential were given; the potential holds the charges, leave one out")
    stacks: list[RenderedStack] = []
    corners: list[list[float]] = []
    method = "none"
    for number, given in enumerate(tqdm(structures, desc="stacks", unit="stack", disable=len(structures) == 1)):
        atoms = _checked(given, periodic, parameters)
        place = _window(atoms, corner, angle, scan.size)
        own = np.zeros(len(atoms)) if hartree is not None else _charges(given, charges)
        plane = None
        if hartree is not None:
            hartree.check_belongs_to(atoms)
            plane, method = hartree.plane(place, plane_height), "hartree"
        elif own.any():
            plane, method = (_charge_plane(atoms, own, place) if atoms.pbc.any() else None), "point_charges"
        sample, atoms = _seen(atoms, own, plane, place, parameters)
        drawn = tip.draw(generator(seed, "tip", number))
        corners.append([place.x, place.y, place.angle])
        info = {"index": number, "replica": 0, "frame": number, "temperature": np.nan}
        stacks.append(
            RenderedStack.of(
                sample, atoms, place, drawn, scan, info=info, threads=threads, precision=precision, device=device
            )
        )
    dataset = gather(stacks, tip, scan, seed=seed)
    elements = sorted({symbol for atoms in structures for symbol in atoms.get_chemical_symbols()})
    dataset.attrs |= {
        "potential": json.dumps(
            {"method": method, "charges": dict(charges) if isinstance(charges, Mapping) else charges}
        ),
        "lennard_jones": json.dumps({symbol: parameters[symbol] for symbol in elements}),
        "windows": corners,
    }
    return dataset


def _checked(given: Atoms, periodic: bool | None, parameters: Mapping[str, tuple[float, float]]) -> Atoms:
    """Give a copy of a structure, periodic along x and y or not at all, or tell what is wrong with it."""
    atoms: Atoms = given.copy()
    if not len(atoms):
        raise StructureError("the structure has no atoms")
    bad = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
    if bad.size:
        raise StructureError(
            f"atom {bad[0]} ({atoms.symbols[bad[0]]}) is at {atoms.positions[bad[0]]} Å; a structure wants finite"
            " positions"
        )
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(parameters))
    if unknown:
        raise StructureError(
            f"no Lennard-Jones parameters for {', '.join(unknown)}; known are {', '.join(parameters)};"
            f" add R (Å) and ε (eV) with --parameters '{{\"{unknown[0]}\": [R, ε]}}'"
        )
    atoms.pbc = (*_lateral(atoms, periodic), False)
    one, other, distance = neighbor_list("ijd", atoms, CLOSEST)
    if distance.size:
        first, second = int(one[0]), int(other[0])
        across = " across the cell's border" if atoms.get_distance(first, second) > CLOSEST else ""
        raise StructureError(
            f"atoms {first} ({atoms.symbols[first]}) and {second} ({atoms.symbols[second]}) are"
            f" {distance[0]:.3f} Å apart{across}; atoms that overlap (below {CLOSEST:g} Å) are not physical,"
            " remove one"
        )
    tags = atoms.get_tags()
    if tags[atoms.positions[:, 2].argmax()] != 0:
        atoms.set_tags(np.zeros(len(atoms), dtype=int))
    return atoms


def _lateral(atoms: Atoms, periodic: bool | None) -> tuple[bool, bool]:
    """Tell along which of the two lateral cell vectors a structure is repeated: both or none."""
    own = bool(atoms.pbc[0]), bool(atoms.pbc[1])
    if periodic is None and own[0] != own[1]:
        raise StructureError(
            f"the structure is periodic along its {'first' if own[0] else 'second'} cell vector alone;"
            " repeat it along both or none (--periodic, --no-periodic)"
        )
    if not (own[0] if periodic is None else periodic):
        return False, False
    cell = np.asarray(atoms.cell)
    lengths = np.linalg.norm(cell[:2], axis=1)
    if np.abs(cell[:2, 2]).max() > FLAT * lengths.max():
        raise StructureError(
            f"the first two cell vectors rise by {cell[0, 2]:.3f} and {cell[1, 2]:.3f} Å; they must lie in the surface,"
            " across z: turn the structure"
        )
    if lengths.min() < 2 * CLOSEST or abs(np.linalg.det(cell[:2, :2])) < FLAT * lengths.prod():
        raise StructureError(
            f"the structure is to be repeated, but its first two cell vectors are {cell[0].round(3)} and"
            f" {cell[1].round(3)} Å; give it a cell or take it as it stands (--no-periodic)"
        )
    return True, True


def _window(atoms: Atoms, corner: tuple[float, float] | None, angle: float, size: float) -> structure.Window:
    """Place the window."""
    place = structure.Window(*(corner or (0.0, 0.0)), angle, size)
    if corner is None and not atoms.pbc.any():
        flat = atoms.positions[:, :2]
        middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
        x, y = middle - place.to_cell(np.array([size / 2, size / 2]))
        place = replace(place, x=float(x), y=float(y))
    return place


def _charges(atoms: Atoms, charges: Charges | None) -> Float[np.ndarray, " atom"]:
    """List the charges of a structure, e."""
    if charges == "none":
        return np.zeros(len(atoms))
    if isinstance(charges, Mapping):
        missing = sorted(set(atoms.get_chemical_symbols()) - set(charges))
        if missing:
            raise SettingsError(
                f"charges: no charge for {', '.join(missing)}, found in the structure; given are"
                f" {', '.join(charges)}; add it (unit e, may be 0)"
            )
        return np.array([charges[symbol] for symbol in atoms.get_chemical_symbols()], dtype=float)
    if atoms.has("initial_charges"):
        own = atoms.get_initial_charges()
    else:
        own = np.asarray(atoms.calc.results.get("charges", [])) if atoms.calc is not None else np.array([])
    if not own.size:
        if charges == "column":
            raise SettingsError(
                "charges: the structure holds none, neither initial_charges nor charges; give them by element,"
                " such as O=-0.8,H=0.4 (e)"
            )
        return np.zeros(len(atoms))
    if not np.isfinite(own).all():
        raise StructureError(f"atom {int(np.argmin(np.isfinite(own)))} has a charge that is not a finite number")
    return np.array(own, dtype=float)


def _charge_plane(atoms: Atoms, charges: Float[np.ndarray, " atom"], window: structure.Window) -> PotentialPlane:
    """Sum the potential of a periodic structure's charges in a plane above them."""
    cell, charged = np.asarray(atoms.cell), charges != 0
    positions = atoms.positions[charged]
    height = float(positions[:, 2].max()) + ABOVE
    values = planar.charge_plane(positions, charges[charged], cell, height, planar.plane_shape(cell, GRID))
    return PotentialPlane(values, cell[:2, :2], height, window)


def _seen(
    atoms: Atoms,
    charges: Float[np.ndarray, " atom"],
    plane: PotentialPlane | None,
    window: structure.Window,
    parameters: Mapping[str, tuple[float, float]],
) -> tuple[Sample, Atoms]:
    """Turn a structure into what the probe meets, and into a slab of which the window sees as much."""
    slab = atoms.copy()
    cell = np.eye(3)
    if atoms.pbc.any():
        cell[:2, :2] = np.asarray(atoms.cell)[:2, :2]
    else:  # a cell so wide that no image of an atom comes into the window
        corner = np.array([window.x, window.y])
        cell[:2, :2] *= 4 * (float(np.abs(atoms.positions[:, :2] - corner).max()) + window.size)
    slab.set_cell(cell)
    slab.pbc = (True, True, False)
    if not np.any(structure.cut(slab, window, 0.0).get_tags() == 0):
        raise StructureError(
            f"the window of {window.size:g} Å from ({window.x:.2f}, {window.y:.2f}) Å shows no atom but the"
            " substrate's; place it elsewhere (--window)"
        )
    if atoms.pbc.any():
        around, own = structure.cut(slab, window, REACH), None
    else:
        around, own = atoms.copy(), charges
        around.positions[:, :2] = window.from_cell(atoms.positions[:, :2])
    sample = Sample.from_atoms(around, charges=own, parameters=parameters)
    return replace(sample, top=structure.top(slab, window), potential=plane), slab
