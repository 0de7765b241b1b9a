"""Near and far parts together, in single precision and double, against the sum of every pair."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111

from hydrafm.afm.far_field import FarGrid
from hydrafm.afm.frequency_shift import frequency_shift
from hydrafm.afm.relaxation import ACCURACY, Relaxation
from hydrafm.afm.renderer import force_heights, pixel_centres, relaxed_force, render, render_batch
from hydrafm.afm.sample import Sample
from hydrafm.settings.afm import DrawnTip, Scan

SCAN = Scan(size=14.0, pixels=28, lowest=2.9, spacing=0.1, heights=12)
TIP = DrawnTip(
    charge=0.05,
    quadrupole=-0.2,
    width=0.71,
    length=3.5,
    lateral_stiffness=0.4,
    radial_stiffness=20.0,
    offset_x=0.03,
    offset_y=-0.05,
    amplitude=0.5,
    resonance=30300.0,
    stiffness=1800.0,
)


def waters(random, count, size):
    """Molecules on a square lattice, each turned by itself, with SPC/E charges."""
    shape = np.array([[0.0, 0, 0], [0.8, 0.58, 0], [-0.8, 0.58, 0]])
    places = []
    for corner in itertools.product(np.arange(count) * size, repeat=2):
        turn, _ = np.linalg.qr(random.standard_normal((3, 3)))
        places.append(shape @ turn + [*corner, random.uniform(-0.4, 0.0)])
    atoms = Atoms("OHH" * len(places), np.concatenate(places))
    atoms.set_initial_charges(np.tile([-0.8476, 0.4238, 0.4238], len(places)))
    return atoms


@pytest.fixture(scope="module")
def sample():
    """Water on gold, wider than the window, with charges; all atoms act."""
    water = waters(np.random.default_rng(5), 6, 3.1)
    gold = fcc111("Au", (8, 8, 2), a=4.08)
    gold.positions += [-5.0, -3.0, -4.0 - gold.positions[:, 2].max()]
    atoms = Atoms(gold.numbers, gold.positions, charges=np.zeros(len(gold)))
    atoms.extend(water)
    return Sample.from_atoms(atoms, charges=atoms.get_initial_charges(), reach=1000.0)


def path(sample, precision, threads=2):
    x, z = pixel_centres(SCAN), force_heights(SCAN, TIP.amplitude)
    return Relaxation.prepare(sample, TIP, x=x, y=x, z=z, precision=precision, threads=threads).run(threads=threads)


def relative(found, expected):
    return np.sqrt(np.mean((found - expected) ** 2)) / expected.std()


@pytest.fixture(scope="module")
def direct(sample):
    return path(sample, "direct")


@pytest.mark.parametrize(("precision", "bound"), [("single", 3e-3), ("double", 5e-4)])
def test_force_and_shift_are_those_of_every_pair_summed(sample, direct, precision, bound):
    """Away from pixels where the probe snaps, which are few."""
    found = path(sample, precision)
    smooth = (direct.leaps == 0) & (found.leaps == 0)
    assert (~smooth).sum() < 0.02 * smooth.size
    assert not found.lost.any()
    assert relative(found.force[smooth], direct.force[smooth]) < bound
    z = force_heights(SCAN, TIP.amplitude)
    sensor = {"amplitude": TIP.amplitude, "resonance": TIP.resonance, "stiffness": TIP.stiffness}
    shifts = [
        frequency_shift(np.moveaxis(one.force, 2, 0).astype(float), z, **sensor)[:, smooth] for one in (found, direct)
    ]
    assert relative(*shifts) < bound


def test_many_charges_far_away_are_summed_as_well():
    """21 × 21 cells of two molecules: the far field of what surrounds the window."""
    pair = waters(np.random.default_rng(2), 1, 1.0) + waters(np.random.default_rng(3), 1, 1.0)
    pair.positions[3:] += [3.0, 3.0, 0.0]
    shifts = np.array([[6.2 * i, 6.2 * j, 0.0] for i in range(-9, 12) for j in range(-9, 12)])
    positions = (pair.positions[None] + shifts[:, None]).reshape(-1, 3)
    atoms = Atoms("OHHOHH" * len(shifts), positions)
    wide = Sample.from_atoms(atoms, charges=np.tile(pair.get_initial_charges(), len(shifts)))
    x, z = pixel_centres(SCAN)[::4], force_heights(SCAN, TIP.amplitude)
    found, expected = (
        relaxed_force(wide, TIP, x=x, y=x, z=z, precision=precision)[0] for precision in ("single", "direct")
    )
    assert relative(found, expected) < 3e-3


def test_the_order_of_atoms_does_not_matter(sample):
    order = np.random.default_rng(0).permutation(len(sample.positions))
    mixed = replace(
        sample,
        positions=sample.positions[order],
        c6=sample.c6[order],
        c12=sample.c12[order],
        charges=sample.charges[order],
    )
    forces = [path(one, "single") for one in (sample, mixed)]
    smooth = forces[0].leaps == 0
    assert relative(forces[1].force[smooth], forces[0].force[smooth]) < 1e-3


def test_threads_change_nothing(sample):
    np.testing.assert_array_equal(*(path(sample, "single", threads).force for threads in (1, 2)))


def test_a_spline_goes_through_its_values_and_is_exact_for_cubics():
    grid = FarGrid.over(np.array([0.0, 5.0]), np.array([0.0, 4.0]), np.array([3.0, 6.0]), 0.5)
    z, y, x = np.meshgrid(grid.z, grid.y, grid.x, indexing="ij")
    values = 0.3 * x**3 - x * y * z + 0.2 * y**2 * z - z**3 + 2
    spline = grid.spline(values)
    c = spline.coefficients
    weights = np.array([1, 4, 1]) / 6
    back = sum(
        weights[i] * weights[j] * weights[k]
        * c[i : i + len(grid.y), j : j + len(grid.x), k : k + len(grid.z)]
        for i, j, k in itertools.product(range(3), repeat=3)
    )  # fmt: skip
    np.testing.assert_allclose(np.moveaxis(back, 2, 0), values, atol=1e-9)
    # A cubic's third derivative is one number: that of the coefficients, everywhere.
    np.testing.assert_allclose(np.diff(c, 3, axis=1) / 0.5**3, 1.8, atol=1e-7)


def test_the_adjoint_of_a_spline_is_its_transpose():
    grid = FarGrid.over(np.array([0.0, 3.0]), np.array([0.0, 2.0]), np.array([3.0, 4.0]), 0.5)
    random = np.random.default_rng(1)
    values = random.standard_normal((len(grid.z), len(grid.y), len(grid.x)))
    slopes = random.standard_normal(grid.spline(values).coefficients.shape)
    assert np.vdot(slopes, grid.spline(values).coefficients) == pytest.approx(np.vdot(grid.adjoint(slopes), values))


def test_a_batch_gives_what_single_stacks_give_one_at_a_time(sample):
    """Of an endless number of cases, too."""
    tips = (replace(TIP, charge=0.01 * number) for number in itertools.count())
    batch = render_batch(((sample, tip) for tip in tips), SCAN)
    for number, images in enumerate(itertools.islice(batch, 2)):
        alone = render(sample, replace(TIP, charge=0.01 * number), SCAN)
        np.testing.assert_array_equal(images["frequency_shift"], alone["frequency_shift"])


def test_more_precision_means_finer_grids_and_tighter_rests():
    single, double, direct = (ACCURACY[name] for name in ("single", "double", "direct"))
    assert single.tolerance > double.tolerance > direct.tolerance
    assert single.near < double.near < direct.near
