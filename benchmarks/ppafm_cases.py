"""Samples that ppafm rendered, kept in a folder to compare with: their parameters, atoms and forces.

The folder holds params.json, with the parameters of each case by its NAME (see `Case`), and for each NAME

- NAME.extxyz: positions and ``initial_charges``;
- NAME.npz: ``fz`` (x, y, z), eV/Å, heights ascending; it may also hold ``df`` (x, y, z), Hz, the pixels
  ``xs`` and ``ys``, the heights ``ztip`` of the tip, and ``params``, ppafm's own record of its run.
"""

import ast
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ase
import numpy as np
from jaxtyping import Float
from pydantic import Field, PositiveInt

from hydrafm import structure
from hydrafm.errors import SettingsError, StoreError, StructureError
from hydrafm.settings.afm import DrawnTip
from hydrafm.settings.base import Settings

SPECIES: Mapping[str, tuple[float, float]] = {
    "H": (1.487, 0.000681),
    "Li": (2.0, 0.01),
    "C": (1.908, 0.003729),
    "N": (1.78, 0.007372),
    "O": (1.6612, 0.009106),
    "F": (1.75, 0.002645),
    "Na": (2.77, 0.01),
    "Mg": (2.42, 0.01),
    "Al": (2.4, 0.01),
    "Si": (1.9, 0.02549),
    "P": (2.1, 0.008673),
    "S": (2.0, 0.010841),
    "Cl": (1.948, 0.011491),
    "K": (3.02, 0.01),
    "Ca": (2.78, 0.01),
    "Fe": (2.27, 0.01),
    "Ni": (2.23, 0.01),
    "Cu": (2.23, 0.01),
    "Zn": (2.24, 0.01),
    "Br": (2.22, 0.013876),
    "Rb": (3.15, 0.01),
    "Pd": (2.35, 0.01),
    "Ag": (2.37, 0.01),
    "I": (2.35, 0.017345),
    "Cs": (3.3, 0.01),
    "Pt": (2.37, 0.01),
    "Au": (2.41, 0.01),
    "Pb": (2.53, 0.01),
}
"""ppafm's own table, R (Å) and ε (eV): neutral atoms, also for what is an ion here."""

EVERYTHING = 1000.0
"""Å, a reach of Lennard-Jones that leaves out no atom: ppafm's has no end."""

ROUNDING = 1e-4
"""Å, eV, e or N/m, up to which two statements of a parameter agree; the arrays are in single precision."""


class Case(Settings):
    """One case of params.json, by the names it has there; Å, eV, e, N/m and Hz.

    The last six are there for a tip with a monopole or a bent rest position and for a window that is
    not square. Those not given are none, or as in ppafm's record, or for y as for x.
    """

    L: float = Field(gt=0, description="side of the window; the pixels are given apart")
    npx: PositiveInt
    nz: PositiveInt
    dz: float = Field(gt=0)
    R0: float = Field(gt=0)
    krad: float = Field(gt=0)
    klat: float = Field(gt=0)
    Q: float = Field(description="on point charges the point quadrupole itself, e Å²")
    sigma: float = Field(gt=0, description="width of ppafm's Gaussian tip, which point charges do not see")
    amp: float = Field(gt=0, description="peak to peak")
    f0: float = Field(gt=0)
    k0: float = Field(gt=0)
    probe: Literal["O"]
    clear: float = Field(description="distance of the lowest probe from the sample, by which zpp_first was chosen")
    zpp_first: float
    ztip_first: float
    x_first: float
    x_step: float = Field(gt=0)
    natoms: PositiveInt
    ppafm_grid_A: float = Field(gt=0, le=0.2)  # noqa: N815 -- its name in the file

    charge: float = 0.0
    offset_x: float
    offset_y: float
    npy: PositiveInt
    y_first: float
    y_step: float = Field(gt=0)

    @property
    def x(self) -> Float[np.ndarray, " x"]:
        """Pixels along x, Å."""
        return self.x_first + self.x_step * np.arange(self.npx)

    @property
    def y(self) -> Float[np.ndarray, " y"]:
        """Pixels along y, Å."""
        return self.y_first + self.y_step * np.arange(self.npy)

    @property
    def z(self) -> Float[np.ndarray, " z"]:
        """Heights of the unrelaxed probe in the frame of the atoms, Å."""
        return self.zpp_first + self.dz * np.arange(self.nz)

    @property
    def tip(self) -> DrawnTip:
        """The tip in our words."""
        return DrawnTip(
            charge=self.charge,
            quadrupole=self.Q * 4 / (3 * self.sigma**2),
            width=self.sigma,
            length=self.R0,
            lateral_stiffness=self.klat,
            radial_stiffness=self.krad,
            offset_x=self.offset_x,
            offset_y=self.offset_y,
            amplitude=self.amp / 2,
            resonance=self.f0,
            stiffness=self.k0,
        )


@dataclass(frozen=True)
class Reference:
    """One case with what ppafm made of it: force (eV/Å) and, where it was kept, Δf (Hz)."""

    case: Case
    atoms: ase.Atoms
    force: Float[np.ndarray, "z y x"]
    shift: Float[np.ndarray, "z_out y x"] | None


def read_references(folder: Path) -> dict[str, Reference]:
    """Read every case of a folder, by its name.

    Raises
    ------
    HydrafmError
        If a file or a parameter is missing, unknown or at odds with another.
    """
    listing = folder / "params.json"
    try:
        parameters = json.loads(listing.read_text())
    except OSError as error:
        raise StoreError(f"{listing}: {error.strerror}; name the folder that holds the cases") from None
    except json.JSONDecodeError as error:
        raise StoreError(f"{listing} is not JSON: {error}") from None
    if not isinstance(parameters, dict) or not all(isinstance(given, dict) for given in parameters.values()):
        raise StoreError(f"{listing} must map the name of each case to its parameters")
    if not parameters:
        raise StoreError(f"{listing} names no case; name the folder that holds the cases")
    unlisted = {file.stem for suffix in ("extxyz", "npz") for file in folder.glob(f"*.{suffix}")} - set(parameters)
    if unlisted:
        raise StoreError(f"{listing} has no parameters for {', '.join(sorted(unlisted))}; add them")
    return {name: read_reference(folder, name, given) for name, given in parameters.items()}


def read_reference(folder: Path, name: str, given: dict[str, Any]) -> Reference:
    """Read one case and check that its files say the same.

    Raises
    ------
    HydrafmError
        As `read_references`.
    """
    atoms = structure.read_structures(folder / f"{name}.extxyz")[0]
    if not atoms.has("initial_charges"):
        raise StructureError(f"{folder / name}.extxyz has no column initial_charges; give the charges in e")
    arrays = read_arrays(folder / f"{name}.npz")
    record = read_record(folder / f"{name}.npz", arrays)
    left_out = {"npy": arrays["fz"].shape[1], "offset_x": 0.0, "offset_y": 0.0}
    left_out |= {f"y_{key}": given[f"x_{key}"] for key in ("first", "step") if f"x_{key}" in given}
    if {"r0Probe", "scanMin", "scanStep"} <= set(record):
        left_out |= {"offset_x": record["r0Probe"][0], "offset_y": record["r0Probe"][1]}
        left_out |= {"y_first": record["scanMin"][1], "y_step": record["scanStep"][1]}
    try:
        case = Case.parse(left_out | given)
    except SettingsError as error:
        raise SettingsError(f"{folder / 'params.json'}, {name}: {error}") from None
    shape = (case.npx, case.npy, case.nz)
    pairs = [
        ("ztip_first", case.ztip_first, case.zpp_first + case.R0),
        ("the number of atoms", len(atoms), case.natoms),
        ("the shape of fz", arrays["fz"].shape, shape),
        ("the shape of df", arrays.get("df", arrays["fz"]).shape[:2], shape[:2]),
        *((key, arrays[key], value) for key, value in (("xs", case.x), ("ys", case.y)) if key in arrays),
        *((key, arrays[key], case.z + case.R0) for key in ("ztip",) if key in arrays),
        *((f"ppafm's {key}", record[key], value) for key, value in expected_record(case).items() if key in record),
    ]
    for key, found, meant in pairs:
        if not agree(found, meant):
            raise StoreError(
                f"{folder / name}: {key} is {brief(found)}, but the parameters make it {brief(meant)}; correct one"
            )
    shift = arrays["df"].transpose(2, 1, 0) if "df" in arrays else None
    return Reference(case, atoms, arrays["fz"].transpose(2, 1, 0), shift)


def read_arrays(source: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file that holds forces.

    Raises
    ------
    StoreError
        If there is no such file or it holds no forces over x, y and z.
    """
    try:
        with np.load(source, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise StoreError(f"there is no file {source}; it must hold ppafm's forces") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise StoreError(f"{source} is not a readable .npz file: {error}") from None
    if "fz" not in arrays or arrays["fz"].ndim != 3:
        raise StoreError(f"{source} holds {', '.join(arrays)}; it must hold fz (x, y, z), eV/Å")
    return arrays


def read_record(source: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Read ppafm's record of its run, the text of a Python mapping; empty where none was kept.

    Raises
    ------
    StoreError
        If it is anything else.
    """
    text = re.sub(r"np\.\w+\(([^()]*)\)", r"\1", str(arrays.get("params", "{}")))
    try:
        return dict(ast.literal_eval(text))
    except (SyntaxError, TypeError, ValueError):
        raise StoreError(f"{source}: params is not the text of a mapping: {text[:40]}…; leave it out") from None


def expected_record(case: Case) -> dict[str, Any]:
    """Tell by a case's parameters what ppafm's record of the run must say, by its names.

    It has one charge and one kind of tip; for a monopole with a quadrupole neither is told.
    """
    expected = {
        "PBC": False,
        "ffModel": "LJ",
        "probeType": case.probe,
        "r0Probe": [case.offset_x, case.offset_y, case.R0],
        "klat": case.klat,
        "krad": case.krad,
        "scanMin": [case.x_first, case.y_first, case.ztip_first],
        "scanStep": [case.x_step, case.y_step, case.dz],
        "tiltedScan": False,
        "Amplitude": case.amp,
        "f0Cantilever": case.f0,
        "kCantilever": case.k0,
        "Vbias": 0.0,
    }
    if case.Q and not case.charge:
        expected |= {"tip": "dz2", "charge": case.Q}
    if case.charge and not case.Q:
        expected |= {"tip": "s", "charge": case.charge}
    return expected


def agree(found: Any, meant: Any) -> bool:
    """Compare two statements of one parameter: words exactly, numbers up to rounding."""
    one, other = np.asarray(found), np.asarray(meant)
    if one.shape != other.shape or one.dtype.kind == "U" or other.dtype.kind == "U":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, rtol=0, atol=ROUNDING))


def brief(value: Any) -> str:
    """Tell a value in a few words."""
    array = np.asarray(value)
    return str(value) if array.size <= 6 else f"{array.min():g} … {array.max():g} ({array.size} values)"
