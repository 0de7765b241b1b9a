"""Forces against ppafm 0.4.1, two samples rendered by its C++ path (kept beside the project)."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest

from hydrafm.afm.frequency_shift import frequency_shift
from hydrafm.afm.renderer import relaxed_force
from hydrafm.afm.sample import Sample
from hydrafm.settings.afm import DrawnTip

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "ppafm"
SPECIES = {"H": (1.487, 0.000681), "O": (1.6612, 0.009106), "Na": (2.77, 0.01), "Au": (2.41, 0.01)}
"""ppafm's own table, with the neutral sodium that it has."""


def relative(found, expected):
    """Root mean square of the difference, to the standard deviation of what is expected."""
    return np.sqrt(np.mean((found - expected) ** 2)) / expected.std()


@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no ppafm reference at {REFERENCE}")
@pytest.mark.parametrize(
    ("name", "of_force", "of_shift"),
    [("A_bilayer", 5e-3, 9e-3), ("C_hydrates_au", 1.2e-2, 1.2e-2)],
)
def test_force_and_shift_agree_with_ppafm_within_its_own_grid_error(name, of_force, of_shift):
    """ppafm interpolates forces on a 0.05 Å (bilayer) or 0.1 Å grid, which makes it err by 0.4 and 1 %."""
    settings = json.loads((REFERENCE / "params.json").read_text())[name]
    reference = np.load(REFERENCE / f"{name}.npz")
    atoms = ase.io.read(REFERENCE / f"{name}.extxyz")
    sample = Sample.from_atoms(atoms, charges=atoms.get_initial_charges(), parameters=SPECIES, reach=1000.0)
    tip = DrawnTip(
        charge=0.0,
        # On point charges ppafm takes Q as the point quadrupole itself, in e Å².
        quadrupole=settings["Q"] * 4 / (3 * settings["sigma"] ** 2),
        width=settings["sigma"],
        length=settings["R0"],
        lateral_stiffness=settings["klat"],
        radial_stiffness=settings["krad"],
        offset_x=0.0,
        offset_y=0.0,
        amplitude=settings["amp"] / 2,  # ppafm's is peak to peak
        resonance=settings["f0"],
        stiffness=settings["k0"],
    )
    assert tip.moment == pytest.approx(settings["Q"])
    x = reference["xs"].astype(float)
    z = settings["zpp_first"] - sample.top + settings["dz"] * np.arange(settings["nz"])
    force, unconverged = relaxed_force(sample, tip, x=x, y=x, z=z)
    assert unconverged.sum() == 0
    assert relative(force, reference["fz"].transpose(2, 1, 0)) < of_force
    shift = frequency_shift(force, z, amplitude=tip.amplitude, resonance=tip.resonance, stiffness=tip.stiffness)
    assert relative(shift, reference["df"].transpose(2, 1, 0)) < of_shift
