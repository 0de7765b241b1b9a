"""The potential above a plane, against closed forms in k-space and sums over charges."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from hydrafm.afm import kernel
from hydrafm.afm.plane import PotentialPlane
from hydrafm.afm.renderer import relaxed_force
from hydrafm.afm.sample import Sample
from hydrafm.errors import GridError, StructureError
from hydrafm.settings.afm import DrawnTip
from hydrafm.structure import Window
from hydrafm.units import COULOMB

CELL = np.array([[8.0, 0.0], [2.0, 9.0]])
PLACES = np.array(
    [[1.0, 1.0, 0.0], [2.0, 1.3, -0.2], [3.0, 1.6, -0.4], [6.0, 5.0, -0.3], [6.4, 6.0, -0.3], [6.8, 7.0, -0.3]]
)
CHARGES = np.array([0.4, -0.8, 0.4, 0.3, -0.6, 0.3])
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


def waves(most=14):
    """Wave vectors and V_k at z = 0 of the periodic charges: 2πC/(Ak) Σ q e^{-ik·r} e^{k z}."""
    p, q = np.meshgrid(np.arange(-most, most + 1), np.arange(-most, most + 1), indexing="ij")
    k = 2 * np.pi * (np.column_stack([p.ravel(), q.ravel()]) @ np.linalg.inv(CELL).T)
    k = k[np.linalg.norm(k, axis=1) > 0]
    length = np.linalg.norm(k, axis=1)
    sums = (np.exp(-1j * k @ PLACES[:, :2].T + np.outer(length, PLACES[:, 2])) * CHARGES).sum(axis=1)
    return k, length, 2 * np.pi * COULOMB / np.linalg.det(CELL) / length * sums


def plane(window, height=2.0, counts=(27, 31)):
    u, v = np.meshgrid(np.arange(counts[0]) / counts[0], np.arange(counts[1]) / counts[1], indexing="ij")
    points = np.stack([u, v], axis=-1) @ CELL
    k, length, strength = waves()
    values = (np.exp(1j * points @ k.T - length * height) @ strength).real
    return PotentialPlane(values, CELL, height, window)


def fields(spline, points):
    """Jets of a spline, each expanded about its own point."""
    shapes = ((spline.coefficients.shape[2], kernel.TERMS), (2,), (2, 4, 4), (kernel.TERMS,), (3, kernel.TERMS))
    column = kernel.Column(0.0, *(np.zeros(shape) for shape in shapes))
    pixel = np.zeros(2)
    jets = []
    for x, y, z in points:
        kernel.pixel_of(x, y, spline, 1.0, pixel)
        column.centre[:] = kernel.NOWHERE
        jets.append(kernel.field(0.0, 0.0, z, pixel, spline, column))
    return np.array(jets)


@pytest.mark.parametrize("height", [2.0, 3.6])
def test_energy_gradient_and_hessian_match_the_plane_waves(height):
    """Above the plane, and down to 0.8 Å below it."""
    window = Window(1.3, -0.7, 0.6, 10.0)
    charge, moment = 0.1, -0.06
    spline = plane(window, height).spline(charge=charge, moment=moment, low=2.9, high=5.0)
    k, length, strength = waves()
    wave = np.column_stack([1j * (k @ window.axes.T), -length])
    random = np.random.default_rng(0)
    points = np.column_stack([random.uniform(0, 10, (200, 2)), random.uniform(2.8, 5.0, 200)])
    found = fields(spline, points)
    phase = np.exp(1j * window.to_cell(points[:, :2]) @ k.T - np.outer(points[:, 2], length))
    energy = phase * strength * (charge + moment * length**2)
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    columns = [np.ones(len(k)), *wave.T, *(wave[:, a] * wave[:, b] for a, b in pairs)]
    expected = np.column_stack([(energy @ column).real for column in columns])
    error = np.sqrt(np.mean((found - expected) ** 2, axis=0)) / expected.std(axis=0)
    assert error[0] < 1e-4
    assert error[1:4].max() < 1e-3
    assert error[4:].max() < 2e-2  # only Newton's steps feel this


def test_a_plane_makes_the_forces_of_the_charges_it_came_from():
    """Charges in neutral rows without a dipole, repeated 13 × 13 times, against one periodic plane."""
    window = Window(0.0, 0.0, 0.0, 8.0)
    shifts = np.array([[i, j] for i in range(-6, 7) for j in range(-6, 7)]) @ CELL
    positions = (PLACES[None] + np.pad(shifts, ((0, 0), (0, 1)))[:, None]).reshape(-1, 3)
    atoms = Atoms(f"H{len(positions)}", positions=positions)
    by_charges = Sample.from_atoms(atoms, charges=np.tile(CHARGES, len(shifts)))
    by_plane = replace(by_charges, charges=np.zeros(len(atoms)), potential=plane(window))
    x, z = np.arange(1.0, 8.0, 1.7), 2.9 + 0.2 * np.arange(8)
    expected, _ = relaxed_force(by_charges, TIP, x=x, y=x, z=z)
    found, _ = relaxed_force(by_plane, TIP, x=x, y=x, z=z)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 2e-3 * expected.std()


def test_turning_the_window_turns_the_image():
    """The force over a point of the surface is the same in whatever window the point is seen."""
    slab = Atoms("HOHHOH", positions=PLACES, cell=[[*CELL[0], 0], [*CELL[1], 0], [0, 0, 20]], pbc=(True, True, False))
    places = np.array([[2.0, 3.0], [5.0, 6.5], [6.0, 2.0]])
    z = 2.9 + 0.2 * np.arange(6)
    forces = []
    for window in (Window(0.0, 0.0, 0.0, 9.0), Window(3.0, -2.0, 0.9, 9.0), Window(-40.0, 11.0, 4.0, 9.0)):
        sample = Sample.from_structure(slab, plane(window))
        # Far from the other windows, the same place of the cell is met in a repeated one.
        repeats = np.array([[i, j] for i in range(-12, 13) for j in range(-12, 13)]) @ CELL
        forces.append([])
        for place in places:
            seen = window.from_cell(place + repeats)
            inside = seen[np.all((seen >= 0) & (seen <= 9.0), axis=1)]
            force, _ = relaxed_force(sample, TIP, x=inside[0, :1], y=inside[0, 1:], z=z, precision="direct")
            forces[-1].append(force[:, 0, 0])
    np.testing.assert_allclose(forces[1], forces[0], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(forces[2], forces[0], rtol=1e-4, atol=1e-7)


def test_a_probe_far_below_the_plane_is_refused():
    with pytest.raises(GridError, match=r"down to z = 0\.50 Å, more than 1 Å below the plane .* at 2\.00 Å"):
        plane(Window(0.0, 0.0, 0.0, 8.0)).spline(charge=0.1, moment=0.0, low=0.5, high=3.0)


def test_a_potential_that_is_not_finite_is_refused():
    with pytest.raises(StructureError, match="not finite"):
        PotentialPlane(np.full((4, 4), np.nan), CELL, 2.0, Window(0.0, 0.0, 0.0, 8.0))
