"""Rendered stacks as one dataset, the same from whatever they were made."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr
from ase import Atoms
from jaxtyping import Float, Int

from hydrafm import structure
from hydrafm.afm.relaxation import Precision
from hydrafm.afm.renderer import image_heights, pixel_centres, render
from hydrafm.afm.sample import Sample
from hydrafm.provenance import stamp
from hydrafm.settings.afm import DrawnTip, Scan, Tip
from hydrafm.store import described


@dataclass(frozen=True)
class RenderedStack:
    """A structure's stack, the atoms a network is to find in it, and the tip that made it."""

    shift: Float[np.ndarray, "z y x"]
    unconverged: int
    numbers: Int[np.ndarray, " atom"]
    positions: Float[np.ndarray, "atom 3"]
    tip: DrawnTip
    info: dict[str, Any]

    @classmethod
    def of(
        cls,
        sample: Sample,
        atoms: Atoms,
        window: structure.Window,
        tip: DrawnTip,
        scan: Scan,
        *,
        info: dict[str, Any],
        threads: int,
        precision: Precision = "single",
        device: str = "cpu",
    ) -> "RenderedStack":
        """Render a sample, which is a structure seen through a window, and list the atoms in that window.

        Parameters
        ----------
        sample : Sample
            In the window's frame.
        atoms : Atoms
            The structure (see `hydrafm.structure`).
        window : Window
            The field of view.
        tip, scan : DrawnTip, Scan
            Of the microscope.
        info : dict
            Where the structure comes from: its ``index``, ``replica``, ``frame`` and ``temperature``.
        threads, precision, device
            As for `hydrafm.afm.renderer.relaxed_force`.
        """
        images = render(sample, tip, scan, threads=threads, precision=precision, device=device)
        numbers, positions = structure.labels(atoms, window)
        return cls(images["frequency_shift"].to_numpy(), int(images["unconverged"]), numbers, positions, tip, info)


def gather(stacks: Sequence[RenderedStack], tip: Tip, scan: Scan, *, seed: int) -> xr.Dataset:
    """Join stacks along ``sample`` into what a store holds; lists of atoms are filled up with zeros.

    Parameters
    ----------
    stacks : sequence of RenderedStack
        Of one scan; there may be none.
    tip, scan : Tip, Scan
        Settings that made them.
    seed : int
        That drew their tips.

    Returns
    -------
    Dataset
        ``frequency_shift`` (sample, z, y, x) in Hz, atoms, origin and tip of each sample; attrs hold settings,
        seed and versions.
    """
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
            "all but the substrate: x and y from the window's corner, z from the topmost",
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
    attributes = {
        **stamp("numpy", "scipy", "numba"),
        "tip": tip.model_dump_json(),
        "scan": scan.model_dump_json(),
        "seed": seed,
        "left_out": [],
    }
    return xr.Dataset(variables, coordinates, attributes)


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
