import numpy as np
import pytest
from gpaw import GPAW
from gpaw.setup import create_setup
from gpaw.xc import XC

from hydrafm.errors import ConvergenceError, SettingsError, StructureError
from hydrafm.planar import continue_plane, plane_shape, resample
from hydrafm.potential.gpaw_slab import boxed_slab, converge, escalation, extract_plane, solve_slab
from hydrafm.potential.spherical_xc import BatchedXC
from hydrafm.settings.potential import Gpaw, Potential

CHEAP = Gpaw(basis="sz(dzp)", grid_spacing=0.35, layers=1, density_tolerance=1e-3)


@pytest.fixture(scope="module")
def solved(make_structure):
    """A water on gold in its box, and the potential there."""
    slab, origin = boxed_slab(make_structure(), layers=1, vacuum=CHEAP.vacuum)
    potential, _ = converge(slab, escalation(CHEAP)[0])
    return slab, origin, potential


def test_potential_is_that_of_gpaw_as_seen_by_a_positive_charge(solved):
    """GPAW's own ASE calculator and functional give the potential energy of an electron, eV."""
    slab, _, potential = solved
    parameters = {**escalation(CHEAP)[0], "xc": "PBE"}
    atoms = slab.copy()
    atoms.calc = GPAW(txt=None, **parameters)
    atoms.get_potential_energy()
    assert np.allclose(potential, -atoms.calc.get_electrostatic_potential(), atol=1e-3)


def test_plane_holds_the_grid_values(solved):
    """At the height of a grid plane, with the box's top left alone, only the mean is missing."""
    slab, _, potential = solved
    layer = potential.shape[2] - 12
    z = layer * slab.cell[2, 2] / potential.shape[2]
    odd = tuple(count + 1 for count in potential.shape[:2])
    plane = extract_plane(potential, slab, z, odd, grounded=False)
    expected = potential[:, :, layer] - potential[:, :, layer].mean()
    assert np.allclose(resample(plane, (15, 15)), resample(expected, (15, 15)), atol=1e-9)
    assert np.abs(resample(plane, (15, 15))).max() > 0.05


def test_potential_outside_the_electrons_is_harmonic_under_a_grounded_top(solved):
    """Planes 2 and 3.5 Å above the top atom tell the same potential."""
    slab, _, potential = solved
    shape = plane_shape(slab.cell.array, 0.3)
    low = slab.positions[:, 2].max() + 2
    near = extract_plane(potential, slab, low + 1.5, shape, grounded=True)
    far = continue_plane(extract_plane(potential, slab, low, shape, grounded=True), slab.cell.array, rise=1.5)
    assert np.abs(near - far).max() < 0.02 * np.abs(near).max()


def test_hydrogen_that_points_up_makes_a_positive_potential_above(solved):
    slab, _, potential = solved
    shape = plane_shape(slab.cell.array, 0.3)
    plane = extract_plane(potential, slab, slab.positions[:, 2].max() + 2, shape, grounded=True)
    fraction = np.array(np.unravel_index(plane.argmax(), shape)) / shape
    away = (fraction - slab.get_scaled_positions()[-3, :2] + 0.5) % 1 - 0.5
    assert plane.max() > 0.1
    assert np.linalg.norm(away @ slab.cell.array[:2, :2]) < 1.0


@pytest.mark.parametrize("symbol", ["H", "O", "Na", "Au"])
def test_batched_functional_equals_gpaws(symbol, random):
    """Energy and gradient inside a sphere, for occupations without any symmetry."""
    batched, plain = BatchedXC("PBE").functional(collinear=True), XC("PBE")
    setup = create_setup(symbol, plain)
    matrix = 0.3 * np.eye(setup.ni) + 0.02 * random.normal(size=(setup.ni, setup.ni))
    packed = (matrix + matrix.T)[np.triu_indices(setup.ni)][None]
    gradients = [np.zeros_like(packed) for _ in range(2)]
    energies = [
        functional.calculate_paw_correction(setup, packed, gradient)
        for functional, gradient in zip((batched, plain), gradients, strict=True)
    ]
    assert energies[0] == pytest.approx(energies[1], abs=1e-12)
    assert np.allclose(*gradients, atol=1e-12)


def test_box_has_its_vacuum_on_both_sides_and_only_the_upper_layers(make_structure):
    atoms = make_structure(layers=3)
    slab, origin = boxed_slab(atoms, layers=2, vacuum=6.0)
    assert sorted(set(slab.get_tags())) == [0, 1, 2]
    assert slab.positions[:, 2].min() == pytest.approx(6.0)
    assert slab.cell[2, 2] - slab.positions[:, 2].max() == pytest.approx(6.0)
    assert slab.positions[:, 2].max() + origin == pytest.approx(atoms.positions[:, 2].max())
    assert slab.pbc.tolist() == [True, True, False]


def test_fewer_layers_than_asked_are_refused(make_structure):
    with pytest.raises(StructureError, match="asks for 2 metal layers, the structure has 1"):
        boxed_slab(make_structure(layers=1), layers=2, vacuum=6.0)


def test_a_plane_too_near_the_top_of_the_box_is_refused():
    with pytest.raises(SettingsError, match=r"gpaw\.vacuum: found 4 Å; allowed is 4\.5 Å or more"):
        Potential.parse({"method": "gpaw", "gpaw": {"vacuum": 4}, "plane_height": 3})


def test_each_attempt_is_at_least_as_safe_as_the_one_before():
    attempts = escalation(CHEAP)
    assert attempts[0]["occupations"]["width"] == CHEAP.smearing
    assert attempts[0]["maxiter"] == CHEAP.max_iterations
    patience = [attempt["maxiter"] for attempt in attempts]
    assert patience == sorted(patience)
    widths = [attempt["occupations"]["width"] for attempt in attempts]
    assert widths == sorted(widths)


def test_running_out_of_steps_is_an_error_after_every_attempt(make_structure):
    settings = CHEAP.model_copy(update={"max_iterations": 1})
    with pytest.raises(ConvergenceError, match=r"3 attempts.*msr1, 1 steps were not enough.*pulay, 2 steps"):
        solve_slab(make_structure(), 6.0, (21, 17), settings)


@pytest.mark.slow
def test_grids_and_plane_waves_agree(make_structure):
    """Two independent representations and Poisson solvers, 1 Å above the plane."""
    atoms = make_structure()
    cell = atoms.cell.array
    height, shape = atoms.positions[:, 2].max() + 2.0, plane_shape(cell, 0.3)
    grid, waves = (
        continue_plane(solve_slab(atoms, height, shape, settings).values, cell, rise=1.0)
        for settings in (
            Gpaw(mode="fd", grid_spacing=0.2, layers=1),
            Gpaw(mode="pw", plane_wave_cutoff=450, layers=1),
        )
    )
    assert np.std(grid - waves) < 0.03 * np.std(grid)
