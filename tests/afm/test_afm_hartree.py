"""Potentials on grids: against point charges whose potential is known, and against GPAW."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.units import Hartree, Rydberg

from hydrafm import planar
from hydrafm.afm.hartree import HarmonicWarning, HartreeGrid
from hydrafm.afm.renderer import relaxed_force
from hydrafm.afm.sample import Sample
from hydrafm.errors import GridError, StoreError, StructureError
from hydrafm.settings.afm import DrawnTip
from hydrafm.settings.structure_file import HartreeFile
from hydrafm.structure import Window
from hydrafm.units import COULOMB

TIP = DrawnTip(
    charge=0.1,
    quadrupole=-0.15,
    width=0.71,
    length=3.5,
    lateral_stiffness=0.3,
    radial_stiffness=20.0,
    offset_x=0.0,
    offset_y=0.0,
    amplitude=0.5,
    resonance=30300.0,
    stiffness=1800.0,
)
RECTANGULAR = np.diag([8.0, 9.0, 16.0])
HEXAGONAL = np.array([[8.8, 0.0, 0.0], [-4.4, 4.4 * np.sqrt(3), 0.0], [0.0, 0.0, 16.0]])
CHARGES = np.array([-0.8, 0.4, 0.4, 0.4, -0.8, 0.4])
VOLTS = HartreeFile(holds="potential", unit="eV")
WINDOW = Window(0.0, 0.0, 0.0, 8.0)


def two_waters(cell):
    """Without charge or dipole, so that sums over cells converge: the second is the first, inverted."""
    one = np.array([[0.0, 0.0, 0.0], [0.76, 0.0, -0.59], [-0.76, 0.0, -0.59]])
    positions = np.concatenate([np.array([2.5, 2.0, 5.0]) + one, np.array([4.0, 4.5, 4.6]) - one])[[0, 1, 2, 4, 3, 5]]
    return Atoms("OHHHOH", positions=positions, cell=cell, pbc=(True, True, False))


def potential(atoms, shape, *, origin=(0.0, 0.0, 0.0), boxed=False):
    """Σ 2πC/(Ak) q e^{ik·(r - rⱼ)} e^{-k|z - zⱼ|} at the points of a grid, V; in a box also of all images along z."""
    cell = np.asarray(atoms.cell)
    k = planar.wave_vectors(cell, shape[:2])
    length = np.linalg.norm(k, axis=-1)
    length[0, 0] = 1.0
    z = origin[2] + cell[2, 2] * np.arange(shape[2]) / shape[2]
    waves = np.zeros(shape, dtype=complex)
    for charge, position in zip(CHARGES, atoms.positions, strict=True):
        distance = np.abs(z - position[2])
        decay = np.exp(-length[..., None] * distance)
        if boxed:
            decay += np.exp(-length[..., None] * (cell[2, 2] - distance))
            decay /= -np.expm1(-length * cell[2, 2])[..., None]
        phase = np.exp(1j * k @ (np.array(origin[:2]) - position[:2]))
        waves += (
            charge * 2 * np.pi * COULOMB / (np.linalg.det(cell[:2, :2]) * length[..., None]) * decay * phase[..., None]
        )
    waves[0, 0] = 0.0
    return np.fft.ifft2(waves, axes=(0, 1)).real * (shape[0] * shape[1])


def expected_plane(atoms, shape, above=2.0):
    """By the sum over plane waves that tests/potential checks against lattice sums."""
    height = atoms.positions[:, 2].max() + above
    return planar.charge_plane(atoms.positions, CHARGES, np.asarray(atoms.cell), height, shape)


@pytest.mark.parametrize("cell", [RECTANGULAR, HEXAGONAL], ids=["rectangular", "hexagonal"])
@pytest.mark.parametrize("unit", ["hartree", "eV"])
def test_a_cube_of_point_charges_makes_their_forces(tmp_path, cell, unit):
    """Against direct sums over 21 × 21 cells, to 1 %; electron energies are read as such by default."""
    atoms = two_waters(cell)
    energy = -potential(atoms, (45, 49, 90))
    ase.io.write(tmp_path / "v.cube", atoms, data=energy / (Hartree if unit == "hartree" else 1))
    grid = HartreeGrid.read(tmp_path / "v.cube", HartreeFile(unit=None if unit == "hartree" else unit))
    repeated = atoms.repeat((21, 21, 1))
    repeated.positions -= 10 * (cell[0] + cell[1])
    by_charges = Sample.from_atoms(repeated, charges=np.tile(CHARGES, 441))
    by_grid = replace(by_charges, charges=np.zeros(len(repeated)), potential=grid.plane(WINDOW))
    x, z = np.arange(0.5, 8.0, 1.9), 2.9 + 0.3 * np.arange(5)
    direct, found = (relaxed_force(sample, TIP, x=x, y=x, z=z)[0] for sample in (by_charges, by_grid))
    assert np.sqrt(np.mean((found - direct) ** 2)) < 0.01 * direct.std()


def test_cube_and_xsf_give_the_same_potential(tmp_path):
    atoms = two_waters(HEXAGONAL)
    values = potential(atoms, (40, 42, 90))
    ase.io.write(tmp_path / "v.cube", atoms, data=-values / Hartree)
    closed = np.pad(values, [(0, 1)] * 3, mode="wrap")
    atoms.pbc = True
    for name, data, spans in (("open", values, HEXAGONAL), ("closed", closed, HEXAGONAL)):
        ase.io.write(tmp_path / f"{name}.xsf", atoms, data=-data, origin=np.zeros(3), span_vectors=spans)
    cube = HartreeGrid.read(tmp_path / "v.cube").plane(WINDOW)
    for name in ("open", "closed"):
        xsf = HartreeGrid.read(tmp_path / f"{name}.xsf").plane(WINDOW)
        np.testing.assert_allclose(xsf.values, cube.values, atol=2e-5 * np.ptp(cube.values))
        assert xsf.height == pytest.approx(cube.height, abs=1e-5)


def test_an_xsf_grid_without_a_cell_ends_at_its_last_point(tmp_path):
    """XSF: the span reaches from the first point to the last."""
    atoms = two_waters(RECTANGULAR)
    values = potential(atoms, (40, 42, 90))
    spans = RECTANGULAR * (1 - 1 / np.array(values.shape))[:, None]
    lonely = Atoms(atoms.numbers, atoms.positions)
    ase.io.write(tmp_path / "v.xsf", lonely, data=values, origin=np.zeros(3), span_vectors=spans)
    text = (tmp_path / "v.xsf").read_text()
    assert "BEGIN_DATAGRID_3D" in text
    (tmp_path / "v.xsf").write_text(text.replace("BEGIN_DATAGRID_3D", "DATAGRID_3D_"))  # XSF knows both
    found = HartreeGrid.read(tmp_path / "v.xsf", VOLTS)
    np.testing.assert_allclose(found.cell, RECTANGULAR, atol=1e-4)
    np.testing.assert_allclose(found.values, values, atol=1e-4)


@pytest.mark.parametrize(("unit", "volts"), [("hartree", Hartree), ("rydberg", Rydberg), ("eV", 1.0)])
def test_units_and_signs_are_turned_into_volts(unit, volts):
    atoms = two_waters(RECTANGULAR)
    values = potential(atoms, (20, 20, 60))
    for holds, sign in (("potential", 1), ("electron_energy", -1)):
        settings = HartreeFile(holds=holds, unit=unit)
        np.testing.assert_allclose(HartreeGrid.from_array(sign * values / volts, atoms, settings).values, values)


def test_the_grids_origin_moves_nothing():
    """The same potential written from another corner, below the atoms and beside them."""
    atoms = two_waters(HEXAGONAL)
    origin = np.array([1.7, -3.1, -2.4])
    values = potential(atoms, (45, 49, 100), origin=origin)
    plane = HartreeGrid.from_array(values, atoms, VOLTS, origin=origin).plane(WINDOW)
    expected = expected_plane(atoms, plane.values.shape)
    np.testing.assert_allclose(plane.values, expected, atol=2e-4 * np.ptp(expected))


@pytest.mark.parametrize("above", [1.8, 2.0, 2.71])
def test_the_next_image_of_a_box_is_left_out(above):
    """3 Å of the box are empty above the plane: its images along z change the potential by a tenth."""
    atoms = two_waters(RECTANGULAR)
    atoms.cell[2, 2] = 11.0
    plane = HartreeGrid.from_array(potential(atoms, (45, 49, 70), boxed=True), atoms, VOLTS).plane(WINDOW, above)
    alone = HartreeGrid.from_array(potential(atoms, (45, 49, 70)), atoms, VOLTS).plane(WINDOW, above)
    expected = expected_plane(atoms, plane.values.shape, above)
    assert plane.height == pytest.approx(atoms.positions[:, 2].max() + above)
    np.testing.assert_allclose(plane.values, expected, atol=1e-3 * np.ptp(expected))
    np.testing.assert_allclose(alone.values, expected, atol=1e-3 * np.ptp(expected))


def screened(atoms, shape):
    """Nuclei inside clouds of electrons, as DFT knows them: each Z/r·erfc(r/0.5 Å)-like and positive, V."""
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"), axis=-1) @ np.asarray(atoms.cell)
    total = np.zeros(shape)
    for number, position in zip(atoms.numbers, atoms.positions, strict=True):
        r = np.maximum(np.linalg.norm(points - position, axis=-1), 0.1)
        total += number * COULOMB / r * np.exp(-r / 0.3)
    return total


def test_a_potential_of_the_wrong_sign_is_refused():
    atoms = two_waters(RECTANGULAR)
    values = potential(atoms, (40, 45, 80)) + screened(atoms, (40, 45, 80))
    assert HartreeGrid.from_array(-values, atoms).values.max() > 0
    assert HartreeGrid.from_array(values, atoms, VOLTS).values.max() > 0
    with pytest.raises(
        GridError, match=r"wrong sign: a positive charge at atom \d \(O\) would feel -\d+\.\d V .*holds"
    ):
        HartreeGrid.from_array(values, atoms)
    with pytest.raises(GridError, match="wrong sign"):
        HartreeGrid.from_array(-values, atoms, VOLTS)


@pytest.mark.parametrize("shape", [(40, 45, 80), (80, 90, 160)])
def test_point_charges_of_either_sign_do_not_pass_for_a_wrong_sign(shape):
    """O is low and H is high: no verdict, also where a fine grid comes near the charges."""
    atoms = two_waters(RECTANGULAR)
    HartreeGrid.from_array(potential(atoms, shape), atoms, VOLTS)
    oxygen = atoms[atoms.numbers == 8]
    oxygen.positions += 0.4  # smooth: no charge on a nucleus of the file
    HartreeGrid.from_array(0.02 * potential(atoms, shape), oxygen, VOLTS)


def test_a_potential_that_is_not_harmonic_is_told_and_a_hopeless_one_refused():
    """Electrons that reach up to the plane add what decays along z otherwise than across it."""
    atoms = two_waters(RECTANGULAR)
    values = potential(atoms, (40, 45, 80))
    u = np.arange(40)[:, None, None] / 40
    z = RECTANGULAR[2, 2] * np.arange(80) / 80
    tail = np.cos(2 * np.pi * u) * np.exp(-((z - 6.0) ** 2) / 2)
    HartreeGrid.from_array(values, atoms, VOLTS).plane(WINDOW)
    with pytest.warns(HarmonicWarning, match=r"not harmonic above z = 7\.19 Å: .* errs by \d+ %; .*plane_height"):
        HartreeGrid.from_array(values + 0.5 * tail, atoms, VOLTS).plane(WINDOW)
    with pytest.raises(GridError, match="not harmonic"):
        HartreeGrid.from_array(values + 20 * tail, atoms, VOLTS).plane(WINDOW)


def test_grids_that_cannot_serve_are_refused_in_one_line():
    atoms = two_waters(RECTANGULAR)
    values = potential(atoms, (20, 20, 60))
    broken = values.copy()
    broken[3, 4, 5] = np.nan
    with pytest.raises(GridError, match="1 of the potential's 24000 values are not finite"):
        HartreeGrid.from_array(broken, atoms, VOLTS)
    with pytest.raises(GridError, match=r"third axis is \[ ?2\. +0\. +16\.?\] Å"):
        HartreeGrid.from_array(values, atoms, VOLTS, cell=RECTANGULAR + np.array([[0] * 3, [0] * 3, [2, 0, 0]]))
    with pytest.raises(GridError, match=r"points 0\.80 Å apart; allowed is 0\.5 Å"):
        HartreeGrid.from_array(values[::2], atoms, VOLTS)
    with pytest.raises(StructureError, match="names no atoms"):
        HartreeGrid.from_array(values, Atoms(cell=RECTANGULAR), VOLTS)
    low = HartreeGrid.from_array(values[:, :, :30], atoms, VOLTS, cell=np.diag([8.0, 9.0, 8.0]))
    with pytest.raises(
        GridError, match=r"from z = 7\.19 Å, 2 Å above .* to 8\.19 Å, but its grid spans 0\.00 to 7\.73"
    ):
        low.plane(WINDOW)


def test_files_that_hold_no_grid_are_refused_in_one_line(tmp_path):
    atoms = two_waters(RECTANGULAR)
    with pytest.raises(StoreError, match=r"\.cube and \.xsf files, found LOCPOT"):
        HartreeGrid.read(tmp_path / "LOCPOT")
    with pytest.raises(StoreError, match=r"there is no file .*v\.cube"):
        HartreeGrid.read(tmp_path / "v.cube")
    ase.io.write(tmp_path / "v.cube", atoms, data=potential(atoms, (20, 20, 60)))
    text = (tmp_path / "v.cube").read_text().splitlines()
    (tmp_path / "v.cube").write_text("\n".join(text[:-100]))
    ase.io.write(tmp_path / "v.xsf", Atoms(atoms.numbers, atoms.positions))
    for name in ("v.cube", "v.xsf"):
        with pytest.raises(StoreError, match=r"holds no .* grid that can be read") as told:
            HartreeGrid.read(tmp_path / name)
        assert "\n" not in str(told.value)


def test_another_structure_than_the_potentials_is_refused():
    atoms = two_waters(HEXAGONAL)
    grid = HartreeGrid.from_array(potential(atoms, (20, 20, 60)), atoms, VOLTS)
    wrapped = atoms.copy()
    wrapped.positions[3] += HEXAGONAL[0] - 2 * HEXAGONAL[1]
    grid.check_belongs_to(wrapped)
    lifted, fewer, wider = atoms.copy(), atoms[:5], atoms.copy()
    lifted.positions[:, 2] += 0.3
    wider.set_cell(1.02 * HEXAGONAL)
    with pytest.raises(StructureError, match=r"atom 0 \(O\).* is 0\.30 Å from"):
        grid.check_belongs_to(lifted)
    with pytest.raises(StructureError, match="has 5 atoms, its potential 6"):
        grid.check_belongs_to(fewer)
    with pytest.raises(StructureError, match="cell"):
        grid.check_belongs_to(wider)


@pytest.mark.slow
def test_gpaw_reaches_the_renderer_with_its_sign_through_a_cube_or_an_array(tmp_path):
    """Water with both H up is positive above; its plane agrees with that in a box of twice the vacuum."""
    gpaw = pytest.importorskip("gpaw")
    planes = []
    for vacuum in (5.0, 8.0):
        atoms = Atoms("OHH", positions=[[0, 0, 0], [0.76, 0, 0.59], [-0.76, 0, 0.59]])
        atoms.set_cell([9.0, 9.0, 0.59 + 2 * vacuum])
        atoms.center()
        atoms.pbc = True
        atoms.calc = gpaw.GPAW(mode={"name": "pw", "ecut": 350}, xc="PBE", txt=None)
        atoms.get_potential_energy()
        values = atoms.calc.get_electrostatic_potential()
        grid = HartreeGrid.from_array(values, atoms)
        ase.io.write(tmp_path / "v.cube", atoms, data=values)
        from_file = HartreeGrid.read(tmp_path / "v.cube", HartreeFile(unit="eV"))
        np.testing.assert_allclose(from_file.plane(WINDOW).values, grid.plane(WINDOW).values, atol=1e-4)
        with pytest.raises(GridError, match="wrong sign"):
            HartreeGrid.read(tmp_path / "v.cube", HartreeFile(unit="eV", holds="potential"))
        planes.append(planar.resample(grid.plane(WINDOW).values, (31, 31)))
    assert planes[0][15, 15] > 0.2 > planes[0][0, 0]
    assert np.sqrt(np.mean((planes[0] - planes[1]) ** 2)) < 0.03 * planes[1].std()
