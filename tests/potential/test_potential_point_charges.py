import numpy as np
import pytest
from ase import Atoms

from hydrafm.errors import SettingsError
from hydrafm.planar import plane_shape
from hydrafm.potential.point_charges import point_charge_plane
from hydrafm.settings.potential import PointCharges

CHARGES = {"O": -0.8476, "H": 0.4238, "Na": 1.0}
E2_OVER_4_PI_EPS0 = 1.602176634e-19 / (4 * np.pi * 8.8541878128e-12) * 1e10
"""V Å, from the SI values (CODATA 2018)."""


def lattice_sum(positions, charges, cell, points, radius):
    """Coulomb sum over all cells within a radius, V."""
    most = int(radius / min(np.linalg.norm(side) for side in cell[:2])) + 2
    shifts = np.array([i * cell[0] + j * cell[1] for i in range(-most, most + 1) for j in range(-most, most + 1)])
    shifts = shifts[np.linalg.norm(shifts, axis=1) < radius]
    sources = (positions[None] + shifts[:, None]).reshape(-1, 3)
    distances = np.linalg.norm(points[:, None] - sources[None], axis=-1)
    return E2_OVER_4_PI_EPS0 * (np.tile(charges, len(shifts)) / distances).sum(axis=1)


def grid_points(cell, shape, height):
    u, v = np.meshgrid(*(np.arange(count) / count for count in shape), indexing="ij")
    flat = u[..., None] * cell[0] + v[..., None] * cell[1]
    return (flat + np.array([0.0, 0.0, height])).reshape(-1, 3)


@pytest.fixture
def layer():
    """Two waters and an ion in an oblique cell."""
    positions = [
        [1, 1, 3.0],
        [1.8, 1.3, 3.5],
        [0.4, 1.6, 3.1],
        [5, 4, 2.8],
        [5.9, 4, 2.6],
        [4.6, 4.8, 3.0],
        [3, 6, 2.4],
    ]
    cell = [[9.0, 0.0, 0.0], [-3.0, 8.0, 0.0], [0.0, 0.0, 40.0]]
    return Atoms("OHHOHHNa", positions=positions, cell=cell, pbc=(True, True, False), tags=np.zeros(7, int))


def test_charges_with_images_equal_the_lattice_sum(layer):
    """Neutral with its images, the layer's plain Coulomb sum over cells converges (as 1/R³)."""
    shape, height, image_plane = (9, 7), 5.5, 1.2
    charges = np.array([CHARGES[symbol] for symbol in layer.get_chemical_symbols()])
    mirrored = layer.positions * [1, 1, -1] + [0, 0, 2 * image_plane]
    direct = lattice_sum(
        np.concatenate([layer.positions, mirrored]),
        np.concatenate([charges, -charges]),
        layer.cell.array,
        grid_points(layer.cell.array, shape, height),
        radius=250.0,
    ).reshape(shape)
    sampled = point_charge_plane(layer, height, (45, 35), charges=CHARGES, image_plane=image_plane)[::5, ::5]
    assert np.abs(sampled - sampled.mean() - direct + direct.mean()).max() < 1e-4 * np.ptp(direct)


def test_charges_on_the_image_plane_are_screened_away(layer):
    """The metal's surface is an equipotential, so a charge on it makes no field."""
    flat = layer.copy()
    flat.positions[:, 2] = 1.2
    values = point_charge_plane(flat, 4.0, (31, 27), charges=CHARGES, image_plane=1.2)
    assert np.abs(values).max() < 1e-12


def test_an_ion_alone_makes_its_coulomb_potential_and_a_cation_is_positive():
    """Far from its copies: V = (e²/4πε₀)(1/d − 1/d'), d' from the image."""
    ion = Atoms("Na", positions=[[30.0, 30.0, 2.5]], cell=np.diag([60.0, 60.0, 40.0]), tags=[0])
    shape = plane_shape(ion.cell.array, 0.3)
    values = point_charge_plane(ion, 4.5, shape, charges=CHARGES, image_plane=1.2)
    here = tuple((count + 1) // 2 for count in shape)
    off = 60.0 * abs(here[0] / shape[0] - 0.5) * np.sqrt(2)
    expected = E2_OVER_4_PI_EPS0 * (1 / np.hypot(2.0, off) - 1 / np.hypot(4.6, off))
    assert values[here] - values[0, 0] == pytest.approx(expected, rel=3e-3)


def test_moving_the_atoms_moves_the_potential(layer):
    shape = (27, 25)
    before = point_charge_plane(layer, 5.5, shape, charges=CHARGES, image_plane=1.2)
    layer.positions += 4 / 27 * layer.cell[0] + 3 / 25 * layer.cell[1] - 2 * layer.cell[1]
    after = point_charge_plane(layer, 5.5, shape, charges=CHARGES, image_plane=1.2)
    assert np.allclose(after, np.roll(before, (4, 3), axis=(0, 1)), atol=1e-12)


def test_the_metal_carries_no_charge(layer):
    gold = Atoms("Au2", positions=[[0, 0, 0], [3, 3, 0]], tags=[1, 1])
    both = layer + gold
    arguments = {"charges": CHARGES, "image_plane": 1.2}
    assert np.array_equal(
        point_charge_plane(both, 5.5, (11, 11), **arguments), point_charge_plane(layer, 5.5, (11, 11), **arguments)
    )


def test_default_water_is_neutral_with_the_dipole_of_spce():
    """SPC/E: 1 Å, 109.47°, 2.35 D (Berendsen et al. 1987)."""
    charges = PointCharges().charges
    assert 2 * charges["H"] + charges["O"] == pytest.approx(0, abs=1e-12)
    dipole = 2 * charges["H"] * np.cos(np.radians(109.47 / 2)) * 4.80320
    assert dipole == pytest.approx(2.35, abs=0.005)


def test_an_element_without_charge_is_named_with_the_setting(layer):
    layer.symbols[6] = "Cl"
    with pytest.raises(SettingsError, match=r"point_charges\.charges.*Cl"):
        point_charge_plane(layer, 5.5, (11, 11), charges=CHARGES, image_plane=1.2)
