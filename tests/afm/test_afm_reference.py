"""Forces against ppafm 0.4.1, samples rendered by its C++ path (kept beside the project), by the benchmark's means."""

import importlib
import json
from pathlib import Path

import ase.io
import numpy as np
import pytest

from hydrafm.errors import HydrafmError
from hydrafm.units import COULOMB

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "reference" / "ppafm"


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def cases():
    return importlib.import_module("ppafm_cases")


@pytest.fixture
def against():
    return importlib.import_module("against_ppafm")


@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no ppafm reference at {REFERENCE}")
@pytest.mark.parametrize(
    ("name", "of_force", "of_shift"),
    [("A_bilayer", 5e-3, 9e-3), ("C_hydrates_au", 1.2e-2, 1.2e-2)],
)
def test_force_and_shift_agree_with_ppafm_within_its_own_grid_error(cases, against, name, of_force, of_shift):
    """ppafm interpolates forces on a 0.05 Å (bilayer) or 0.1 Å grid, which makes it err by 0.4 and 1 %."""
    reference = cases.read_references(REFERENCE)[name]
    assert against.bound(reference.case.ppafm_grid_A) == pytest.approx(of_force)
    found = against.compare(reference)
    assert found.unconverged == 0
    assert found.force < of_force
    assert found.shift < of_shift


@pytest.fixture
def ion(tmp_path):
    """A Cl⁻ under a stiff probe with a monopole and a quadrupole, off its axis, over a window that is not square.

    A probe that stays at rest feels the closed-form force of the two.
    """
    pixels, rows, heights, step, spacing = 10, 6, 12, 0.5, 0.1
    length, charge, moment, offset = 3.5, 0.05, -0.1, np.array([0.3, -0.2])
    lowest = 3.0
    atom = np.array([4.0, 3.0, 1.0])
    rise = length - np.sqrt(length**2 - offset @ offset)
    x = 1.5 + step * np.arange(pixels) + offset[0] - atom[0]
    y = 2.0 + step * np.arange(rows) + offset[1] - atom[1]
    z = lowest + rise + spacing * np.arange(heights)
    r = np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2)
    ratio = ((1.948 + 1.6612) / r) ** 6
    van_der_waals = 12 * np.sqrt(0.011491 * 0.009106) * (ratio**2 - ratio) * z / r**2
    electrostatic = -COULOMB * (charge * z / r**3 - moment * (9 * z / r**5 - 15 * z**3 / r**7))
    ase.io.write(tmp_path / "ion.extxyz", ase.Atoms("Cl", [atom], charges=[-1.0]), format="extxyz")
    np.savez(tmp_path / "ion.npz", fz=van_der_waals + electrostatic)
    parameters = {
        **{"L": 5.0, "npx": pixels, "npy": rows, "nz": heights, "dz": spacing, "R0": length, "krad": 1e4, "klat": 1e4},
        **{"Q": moment, "charge": charge, "sigma": 0.71, "amp": 0.6, "f0": 30300.0, "k0": 1800.0, "probe": "O"},
        **{"clear": lowest, "zpp_first": 1.0 + lowest, "ztip_first": 1.0 + lowest + length, "x_first": 1.5},
        **{"x_step": step, "y_first": 2.0, "natoms": 1, "offset_x": offset[0], "offset_y": offset[1]},
        "ppafm_grid_A": 0.05,
    }
    (tmp_path / "params.json").write_text(json.dumps({"ion": parameters}))
    return tmp_path


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (0.99, 1), (-1.0, 1)])
def test_only_a_force_that_agrees_with_the_closed_form_passes(ion, against, capsys, factor, status):
    force = np.load(ion / "ion.npz")["fz"]
    np.savez(ion / "ion.npz", fz=factor * force)
    assert against.main(ion) == status
    assert ("more than ppafm errs: ion" in capsys.readouterr().out) == bool(status)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tip_tilt": 3.0}, "ion: tip_tilt: unknown key"),
        ({"klat": None}, "ion: klat: found None"),
        ({"probe": "Xe"}, "ion: probe: found 'Xe'"),
        ({"natoms": 2}, "the number of atoms is 1, but the parameters make it 2"),
        ({"npy": 7}, r"the shape of fz is \(10, 6, 12\), but the parameters make it \(10, 7, 12\)"),
        ({"ztip_first": 4.0}, "ztip_first is 4.0, but the parameters make it 7.5"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(ion, cases, change, says):
    listing = ion / "params.json"
    listing.write_text(json.dumps({"ion": {**json.loads(listing.read_text())["ion"], **change}}))
    with pytest.raises(HydrafmError, match=says):
        cases.read_references(ion)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("{'PBC': True}", "ppafm's PBC is True, but the parameters make it False"),
        ("{'r0Probe': [np.float64(0.0), 0.0, 3.5]}", "ppafm's r0Probe is"),
        ("__import__('os')", "params is not the text of a mapping"),
    ],
)
def test_ppafms_own_record_must_not_contradict(ion, cases, record, says):
    np.savez(ion / "ion.npz", fz=np.load(ion / "ion.npz")["fz"], params=record)
    with pytest.raises(HydrafmError, match=says):
        cases.read_references(ion)


@pytest.mark.parametrize("name", ["params.json", "ion.extxyz", "ion.npz"])
def test_a_missing_file_is_named(ion, cases, name):
    (ion / name).unlink()
    with pytest.raises(HydrafmError, match=name):
        cases.read_references(ion)
