import numpy as np
import pytest
from ase import Atoms

from hydrafm.planar import continue_plane, from_below, next_plane, plane_shape, resample, wave_vectors
from hydrafm.potential.gpaw_slab import extract_plane

OBLIQUE = np.array([[9.0, 0.0, 0.0], [-4.0, 8.0, 0.0], [0.0, 0.0, 30.0]])
ORDERS = {(1, 0): 0.7 + 0.2j, (2, -3): -0.4 + 0.1j, (0, 1): 0.3j, (-4, 2): 0.15}
"""A few waves, as orders along the two reciprocal vectors, with amplitudes in V."""


def harmonic(points, z, *, spread=lambda k, z: np.exp(-k * z)):
    """A real sum of waves at fractions of the cell and a height; wave vectors from the cell's duals."""
    reciprocal = 2 * np.pi * np.linalg.inv(OBLIQUE[:2, :2]).T
    total = np.zeros(points.shape[:-1])
    for order, amplitude in ORDERS.items():
        k = np.linalg.norm(np.array(order) @ reciprocal)
        total += (amplitude * np.exp(2j * np.pi * points @ np.array(order))).real * spread(k, z)
    return total


def fractions(shape):
    return np.stack(np.meshgrid(*(np.arange(count) / count for count in shape), indexing="ij"), axis=-1)


def test_grid_is_odd_and_as_fine_as_asked():
    shape = plane_shape(OBLIQUE, 0.3)
    assert all(count % 2 for count in shape)
    assert all(np.linalg.norm(side) / count <= 0.3 for side, count in zip(OBLIQUE[:2], shape, strict=True))


def test_wave_vectors_are_periodic_on_an_oblique_cell():
    phases = wave_vectors(OBLIQUE, (7, 9)) @ OBLIQUE[:2, :2].T / (2 * np.pi)
    assert np.allclose(phases, np.round(phases))
    assert np.allclose(phases[1, 0], [1, 0])
    assert np.allclose(phases[0, -1], [0, -1])


@pytest.mark.parametrize("rise", [-0.3, 0.5, 3.0])
def test_each_wave_decays_with_its_wave_number(rise):
    """V = Σ cos(k·r) exp(−kz) solves Laplace's equation and is known at any height."""
    points = fractions((21, 19))
    continued = continue_plane(harmonic(points, 0.0) + 4.2, OBLIQUE, rise=rise)
    assert np.allclose(continued, harmonic(points, rise), atol=1e-10)


def test_continued_potential_obeys_laplace(random):
    """Second differences along z cancel the lateral ones, each taken on the grid."""
    cell = np.diag([10.0, 12.0, 30.0])
    coarse = random.normal(size=(5, 5))
    below, here, above = (continue_plane(resample(coarse, (401, 481)), cell, rise=rise) for rise in (0.975, 1.0, 1.025))
    along_z = (above - 2 * here + below) / 0.025**2
    lateral = sum(
        (np.roll(here, 1, axis) - 2 * here + np.roll(here, -1, axis)) / (cell[axis, axis] / here.shape[axis]) ** 2
        for axis in (0, 1)
    )
    assert np.abs(along_z + lateral).max() < 1e-3 * np.abs(along_z).max()


@pytest.mark.parametrize("rise", [0.4, 1.0])
def test_two_planes_tell_what_lies_below_from_what_lies_above(rise):
    """Σ cos(k·r) (exp(−kz) + c exp(kz)): the growing part, of charges above, is taken away; both parts continue."""
    points = fractions((21, 19))
    planes = [
        harmonic(points, z, spread=lambda k, z: np.exp(-k * z) - 0.3 * np.exp(k * z)) for z in (0, rise, 2 * rise)
    ]
    own = from_below(planes[0] + 1.3, planes[1] - 0.4, OBLIQUE, rise=rise)
    assert np.allclose(own, harmonic(points, 0.0), atol=1e-10)
    assert np.allclose(next_plane(planes[0], planes[1], OBLIQUE, rise=rise), planes[2], atol=1e-10)


def test_resampling_is_exact_for_waves_that_both_grids_carry():
    fine, coarse = fractions((31, 23)), fractions((11, 13))
    assert np.allclose(resample(harmonic(fine, 0.0), (11, 13)), harmonic(coarse, 0.0), atol=1e-12)
    assert np.allclose(resample(harmonic(coarse, 0.0), (31, 23)), harmonic(fine, 0.0), atol=1e-12)
    even = fractions((14, 16))
    assert np.allclose(resample(harmonic(even, 0.0), (31, 23)), harmonic(fine, 0.0), atol=1e-12)


@pytest.mark.parametrize("height", [12.0, 12.13, 13.9])
@pytest.mark.parametrize("grounded", [True, False])
def test_plane_between_grid_planes_is_exact_for_harmonic_potentials(height, grounded):
    """Below a grounded top charges make sinh k(c − z); the free potential exp(−kz) is given back."""
    box = Atoms(cell=[*OBLIQUE[:2].tolist(), [0.0, 0.0, 16.0]])

    def in_box(k, z):
        return np.exp(-k * z) - (np.exp(-k * (10.0 - z)) if grounded else 0.0)

    points = fractions((20, 24))
    grid = np.stack([harmonic(points, z - 11.0, spread=in_box) for z in np.arange(80) * 16.0 / 80], axis=-1)
    plane = extract_plane(grid, box, height, (15, 13), grounded=grounded)
    assert np.allclose(plane, harmonic(fractions((15, 13)), height - 11.0), atol=1e-9)
