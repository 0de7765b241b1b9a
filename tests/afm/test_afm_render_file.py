"""Structures from files: the same image whatever the format, the cell or the place, and clear refusals."""

import json
import shlex
import subprocess
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111, molecule
from typer.main import get_command
from typer.testing import CliRunner

from hydrafm import planar
from hydrafm.afm.commands import app
from hydrafm.afm.hartree import HartreeGrid
from hydrafm.afm.structure_file import read_file, render_structures
from hydrafm.cli import app as hydrafm
from hydrafm.errors import HydrafmError, SettingsError, StructureError
from hydrafm.settings.afm import Scan, Tip
from hydrafm.settings.structure_file import HartreeFile
from hydrafm.store import read_dataset
from hydrafm.units import COULOMB

SCAN = Scan(size=8.0, pixels=16, spacing=0.2, heights=3)
TIP = Tip(charge=0.05, quadrupole=-0.1, length=3.5, lateral_stiffness=0.3, lateral_offset=0.0, amplitude=0.5)
WATER = {"O": -0.8, "H": 0.4}
SAME = 3e-3
"""Relative RMS of two images that single precision may make of one thing."""


def image(atoms, **options):
    stacks = render_structures([atoms], TIP, SCAN, **options)
    assert not stacks["unconverged"].any()
    return stacks["frequency_shift"][0].to_numpy()


def error(found, expected):
    return np.sqrt(np.mean((found - expected) ** 2)) / expected.std()


def waters(cell):
    """Two water molecules at any height, one over the cell's border."""
    positions = [(0.3, 0.2, 7.0), (1.0, 0.7, 7.3), (-0.4, 0.8, 7.2), (4.0, 3.6, 6.6), (4.9, 3.3, 6.8), (4.2, 4.5, 6.4)]
    return Atoms("OHHOHH", positions=positions, cell=cell, pbc=(True, True, False))


HEXAGONAL = [[7.6, 0, 0], [-3.8, 3.8 * np.sqrt(3), 0], [0, 0, 20]]


def test_a_periodic_structure_looks_as_its_supercell():
    """With charges, Lennard-Jones and a window wider than the cell; the wave sums know no cell but the crystal's."""
    atoms = waters(HEXAGONAL)
    small = image(atoms, charges=WATER)
    assert error(image(atoms.repeat((2, 3, 1)), charges=WATER), small) < SAME
    assert error(image(atoms, charges="none"), small) > 0.02


def test_a_hexagonal_lattice_looks_the_same_in_its_rectangular_cell():
    """a₁, a₂ against a₁, a₁ + 2a₂, and each point of the window is seen again one lattice vector further."""
    atoms = waters(HEXAGONAL)
    doubled = atoms.repeat((1, 2, 1))
    doubled.set_cell([HEXAGONAL[0], [0.0, 7.6 * np.sqrt(3), 0.0], HEXAGONAL[2]])
    expected = image(atoms, charges=WATER, corner=(1.0, 2.0))
    options = {"charges": WATER, "corner": (1.0 - 3.8, 2.0 + 3.8 * np.sqrt(3))}
    assert error(image(doubled, **options), expected) < SAME


def test_charges_of_a_lonely_molecule_are_summed_as_they_stand():
    """In a wide cell its images add little; without one nothing is repeated."""
    atoms = molecule("H2O")
    atoms.rotate(50, "x")
    alone = image(atoms, charges=WATER)
    wide = atoms.copy()
    wide.set_cell([60.0, 60.0, 20.0])
    wide.pbc = True
    middle = atoms.positions[:, :2].max(axis=0) + atoms.positions[:, :2].min(axis=0)
    corner = tuple(float(value) for value in middle / 2 - 4.0)
    assert error(image(wide, charges=WATER, corner=corner), alone) < 0.01
    assert error(image(wide, charges=WATER, periodic=False), alone) < 1e-3
    assert error(image(atoms, charges="none"), alone) > 0.02


def test_moving_and_turning_structure_and_window_together_changes_nothing():
    """Also along z: heights count from the topmost atom."""
    atoms = molecule("H2O")
    atoms.rotate(50, "x")
    expected = image(atoms, charges=WATER, corner=(-3.0, -4.5))
    moved = atoms.copy()
    moved.positions += [11.0, -7.0, -31.0]
    assert error(image(moved, charges=WATER, corner=(8.0, -11.5)), expected) < SAME
    moved.rotate(30, "z", center=(8.0, -11.5, 0.0))
    turned = image(moved, charges=WATER, corner=(8.0, -11.5), angle=np.radians(30))
    assert error(turned, expected) < SAME


def test_a_molecule_is_seen_in_the_middle_of_its_window():
    stacks = render_structures([molecule("H2O", positions=molecule("H2O").positions + 50.0)], TIP, SCAN)
    seen = stacks["atom_position"][0].to_numpy()
    assert (seen[:, :2].min(axis=0) + seen[:, :2].max(axis=0)) / 2 == pytest.approx([4.0, 4.0], abs=1e-4)
    assert seen[:, 2].max() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    "name", ["slab.xyz", "slab.extxyz", "slab.cif", "POSCAR", "slab.xsf", "slab.cube", "slab.traj"]
)
def test_formats_that_ase_reads_give_the_same_image(tmp_path, name):
    atoms = waters([8.0, 9.0, 15.0])
    atoms.pbc = True
    expected = image(atoms, charges=WATER)
    ase.io.write(tmp_path / name, atoms)
    (read,) = read_file(tmp_path / name)
    assert error(image(read, charges=WATER), expected) < SAME


def test_a_substrate_is_felt_but_not_listed_and_a_bare_one_is_listed():
    gold = fcc111("Au", (3, 4, 2), a=4.08, orthogonal=True, vacuum=8.0)
    both = gold.copy()
    both += Atoms("OHH", positions=gold.positions[-1] + [[0, 0, 3.0], [0.8, 0, 3.4], [-0.8, 0, 3.4]])
    stacks = render_structures([both, gold], TIP, SCAN)
    numbers = stacks["atom_number"].to_numpy()
    assert set(numbers[0]) <= {0, 1, 8}
    assert set(numbers[1]) <= {0, 79}
    assert stacks["atom_position"][1].to_numpy().max(axis=0)[2] == pytest.approx(0.0, abs=1e-5)
    bare = both[both.get_tags() == 0]
    bare.set_cell(gold.cell)
    bare.pbc = gold.pbc
    assert error(image(both), image(bare)) > 0.01


def test_charges_of_the_file_are_taken_where_it_has_some():
    plain = waters([8.0, 9.0, 15.0])
    charged = plain.copy()
    charged.set_initial_charges([-0.8, 0.4, 0.4] * 2)
    expected = image(plain, charges=WATER)
    np.testing.assert_array_equal(image(charged), expected)
    np.testing.assert_array_equal(image(charged, charges="column"), expected)
    np.testing.assert_array_equal(image(charged, charges="none"), image(plain))
    with pytest.raises(SettingsError, match="the structure holds none"):
        image(plain, charges="column")


def test_each_structure_of_a_file_has_a_tip_of_its_own():
    frames = [waters([8.0, 9.0, 15.0]) for _ in range(3)]
    stacks = render_structures(frames, Tip(), SCAN, seed=3)
    assert stacks["index"].to_numpy().tolist() == [0, 1, 2]
    assert len(set(stacks["tip_charge"].to_numpy())) == 3
    again = render_structures(frames[:1], Tip(), SCAN, seed=3)
    np.testing.assert_array_equal(again["frequency_shift"][0], stacks["frequency_shift"][0])
    assert render_structures(frames[:1], Tip(), SCAN, seed=4)["tip_charge"][0] != stacks["tip_charge"][0]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_example_of_the_help_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ase.io.write("water.xyz", molecule("H2O"))
    epilog = get_command(hydrafm).commands["afm"].commands["render"].epilog
    result = CliRunner().invoke(hydrafm, shlex.split(epilog.removeprefix("Example: hydrafm ")), catch_exceptions=False)
    assert result.exit_code == 0
    assert "quadrupole -0.1 e" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["water.png", "water.xyz", "water.zarr"]
    stacks = read_dataset(tmp_path / "water.zarr")
    assert stacks["frequency_shift"].shape == (1, 20, 64, 64)
    assert json.loads(stacks.attrs["potential"]) == {"method": "point_charges", "charges": WATER}
    for name, variable in stacks.variables.items():
        assert variable.attrs["units"], name


def layer_potential(atoms, shape):
    """Σ 2πC/(Ak) q e^{-k|z - zⱼ|} of the charges WATER, V."""
    cell = np.asarray(atoms.cell)
    k = planar.wave_vectors(cell, shape[:2])
    length = np.linalg.norm(k, axis=-1)
    length[0, 0] = 1.0
    z = cell[2, 2] * np.arange(shape[2]) / shape[2]
    waves = np.zeros(shape, dtype=complex)
    for symbol, place in zip(atoms.get_chemical_symbols(), atoms.positions, strict=True):
        strength = WATER[symbol] * 2 * np.pi * COULOMB / (np.linalg.det(cell[:2, :2]) * length)
        waves += (strength * np.exp(-1j * k @ place[:2]))[..., None] * np.exp(-length[..., None] * np.abs(z - place[2]))
    waves[0, 0] = 0.0
    return np.fft.ifft2(waves, axes=(0, 1)).real * (shape[0] * shape[1])


def test_a_potential_made_of_point_charges_gives_their_image(tmp_path):
    """Through the command: a cube in electron volts against charges by element; less than 1 % apart."""
    atoms = waters(HEXAGONAL)
    ase.io.write(tmp_path / "v.cube", atoms, data=-layer_potential(atoms, (40, 40, 100)))
    common = ["--tip", TIP.model_dump_json(), "--scan", SCAN.model_dump_json(), "--window", 1.0, 2.0, 25.0]
    by_grid = ["--hartree", tmp_path / "v.cube", "--unit", "eV", "--out", tmp_path / "grid.zarr"]
    by_charge = ["--charges", "O=-0.8,H=0.4", "--out", tmp_path / "charge.zarr"]
    for options in (by_grid, by_charge):
        assert run("render", tmp_path / "v.cube", *common, *options).exit_code == 0
    grid, charge = (
        read_dataset(tmp_path / f"{name}.zarr")["frequency_shift"].to_numpy() for name in ("grid", "charge")
    )
    assert error(grid, charge) < 0.01
    assert error(image(atoms, charges="none", corner=(1.0, 2.0), angle=np.radians(25)), charge[0]) > 0.05
    assert json.loads(read_dataset(tmp_path / "grid.zarr").attrs["potential"])["method"] == "hartree"


def broken(**changes):
    atoms = waters([8.0, 9.0, 15.0])
    for name, value in changes.items():
        getattr(atoms, name)[:] = value
    return atoms


REFUSED = {
    "nan": (lambda: broken(positions=np.nan), [], r"atom 0 \(O\) is at \[nan nan nan\] Å"),
    "overlap": (
        lambda: waters([8.0, 9.0, 15.0]) + Atoms("H", positions=[(8.4, 9.3, 7.0)]),
        [],
        r"atoms 0 \(O\) and 6 \(H\) are 0\.141 Å apart across the cell's border",
    ),
    "unknown": (
        lambda: broken(numbers=[12, 1, 1, 8, 1, 1]),
        [],
        r"Mg; known are .* --parameters '\{\"Mg\": \[R, ε\]\}'",
    ),
    "empty": (lambda: Atoms(cell=[8, 9, 15], pbc=True), [], "no atoms"),
    "standing": (
        lambda: Atoms("O", cell=[[8, 0, 1], [0, 9, 0], [0, 0, 15]], pbc=True),
        [],
        r"rise by 1\.000 and 0\.000 Å",
    ),
    "chain": (lambda: Atoms("O", cell=[8, 9, 15], pbc=(True, False, False)), [], "first cell vector alone"),
    "no cell": (lambda: Atoms("O"), ["--periodic"], "give it a cell"),
    "away": (lambda: Atoms("O"), ["--window", "50", "0", "0"], "shows no atom"),
    "charges": (lambda: Atoms("OH", positions=[(0, 0, 0), (0, 0, 1)]), ["--charges", "O=1"], "no charge for H"),
    "pairs": (lambda: Atoms("O"), ["--charges", "O:1"], "found 'O:1'"),
    "both": (None, ["--charges", "O=1,H=1", "--hartree", "v.cube"], "leave one out"),
    "index": (lambda: Atoms("O"), ["--index", "7"], "no structure of index 7"),
    "slice": (lambda: Atoms("O"), ["--index", "last"], "allowed is a number or a slice"),
    "holds": (lambda: Atoms("O"), ["--holds", "volts"], "holds: found 'volts'"),
    "parameters": (lambda: Atoms("O"), ["--parameters", '{"Mg": [1.0, -0.1]}'], r"Mg\.1: found -0\.1"),
    "other": (lambda: Atoms("O"), ["--hartree", "v.cube"], "has 1 atoms, its potential 6"),
    "low": (
        None,
        ["--hartree", "v.cube", "--plane-height", "4", "--scan", '{"size": 8, "pixels": 16, "lowest": 2.5}'],
        r"down to z = .* below the plane",
    ),
    "missing": (lambda: Atoms("O"), ["--hartree", "absent.cube"], "there is no file absent.cube"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_rendered_is_told_in_one_line_and_leaves_nothing(tmp_path, monkeypatch, name):
    make, options, message = REFUSED[name]
    monkeypatch.chdir(tmp_path)
    atoms = waters(HEXAGONAL)
    ase.io.write("v.cube", atoms, data=-layer_potential(atoms, (20, 20, 60)) / 27.2114)
    if make is None:
        Path("v.cube").rename("a.cube")
        Path("v.cube").write_text(Path("a.cube").read_text())
        source = "a.cube"
    else:
        source = "a.traj"
        ase.io.write(source, make())
    before = sorted(Path().iterdir())
    with pytest.raises(HydrafmError, match=message) as told:
        run("render", source, "--out", "s.zarr", "--quick-look", "s.png", *options)
    assert "\n" not in str(told.value)
    assert sorted(Path().iterdir()) == before


def test_files_that_ase_cannot_read_are_told_in_one_line(tmp_path):
    (tmp_path / "notes.xyz").write_text("not\na structure\n")
    result = subprocess.run(
        ["hydrafm", "afm", "render", "notes.xyz", "--out", "s.zarr"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("hydrafm: ASE cannot read notes.xyz")
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["notes.xyz"]


def test_further_elements_get_their_parameters_from_the_command(tmp_path):
    ase.io.write(tmp_path / "ion.xyz", Atoms("Mg"))
    ase.io.write(tmp_path / "sodium.xyz", Atoms("Na"))
    common = ["--tip", TIP.model_dump_json(), "--scan", SCAN.model_dump_json()]
    mine = ["--parameters", '{"Mg": [1.212, 0.015292]}', "--out", tmp_path / "mg.zarr"]
    assert run("render", tmp_path / "ion.xyz", *common, *mine).exit_code == 0
    assert run("render", tmp_path / "sodium.xyz", *common, "--out", tmp_path / "na.zarr").exit_code == 0
    magnesium, sodium = (read_dataset(tmp_path / f"{name}.zarr") for name in ("mg", "na"))
    np.testing.assert_array_equal(magnesium["frequency_shift"], sodium["frequency_shift"])
    assert json.loads(magnesium.attrs["lennard_jones"]) == {"Mg": [1.212, 0.015292]}


def test_a_doubtful_potential_is_told_beside_the_result(tmp_path):
    """A Gaussian layer of electrons, 3 Å up; nothing else changes."""
    atoms = waters(HEXAGONAL)
    values = layer_potential(atoms, (40, 40, 100))
    z = 20 * np.arange(100) / 100
    values += 0.5 * np.cos(2 * np.pi * np.arange(40) / 40)[:, None, None] * np.exp(-((z - 8.2) ** 2) / 2)
    ase.io.write(tmp_path / "v.cube", atoms, data=-values)
    options = ["--hartree", tmp_path / "v.cube", "--unit", "eV", "--scan", SCAN.model_dump_json()]
    result = run("render", tmp_path / "v.cube", *options, "--out", tmp_path / "s.zarr")
    assert result.exit_code == 0
    assert "hydrafm: the potential is not harmonic" in result.stderr
    assert (tmp_path / "s.zarr/zarr.json").is_file()


def test_a_potential_of_moved_atoms_is_refused():
    atoms = waters(HEXAGONAL)
    values = layer_potential(atoms, (20, 20, 60))
    grid = HartreeGrid.from_array(values, atoms.copy(), HartreeFile(holds="potential", unit="eV"))
    atoms.positions[:, 2] += 1.0
    with pytest.raises(StructureError, match="belong together"):
        image(atoms, hartree=grid)


def test_precision_and_device_are_chosen_at_the_command(tmp_path):
    ase.io.write(tmp_path / "water.xyz", molecule("H2O"))
    images = {}
    for number, options in enumerate((["--precision", "direct"], ["--precision", "single"])):
        out = tmp_path / f"{number}.zarr"
        arguments = ["render", tmp_path / "water.xyz", "--charges", "O=-0.8,H=0.4", "--out", out]
        result = run(*arguments, "--tip", TIP.model_dump_json(), "--scan", SCAN.model_dump_json(), *options)
        assert result.exit_code == 0, result.output
        images[number] = read_dataset(out)["frequency_shift"].to_numpy()
    assert 0 < error(images[1], images[0]) < SAME
    with pytest.raises(SettingsError, match="nowhere"):
        run(*arguments[:-1], tmp_path / "lost.zarr", "--scan", SCAN.model_dump_json(), "--device", "nowhere")
    assert not (tmp_path / "lost.zarr").exists()
