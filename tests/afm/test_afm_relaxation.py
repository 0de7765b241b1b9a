"""The relaxed probe against closed forms, symmetries and finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from scipy.optimize import brentq, minimize

from hydrafm.afm import kernel
from hydrafm.afm.lennard_jones import LENNARD_JONES, mixed
from hydrafm.afm.renderer import relaxed_force, render
from hydrafm.afm.sample import Sample
from hydrafm.errors import StructureError
from hydrafm.provenance import generator
from hydrafm.settings.afm import DrawnTip, Scan, Tip
from hydrafm.units import COULOMB, EV_PER_A2_IN_N_PER_M, KJ_PER_MOL

TIP = DrawnTip(
    charge=0.1,
    quadrupole=-0.1,
    width=0.71,
    length=3.5,
    lateral_stiffness=0.4,
    radial_stiffness=20.0,
    offset_x=0.0,
    offset_y=0.0,
    amplitude=0.5,
    resonance=30300.0,
    stiffness=1800.0,
)


def water(shift=(0.0, 0.0, 0.0)):
    """Two water molecules near (5, 5) with SPC/E charges, H to all sides."""
    atoms = Atoms(
        "OHHOHH",
        positions=[(3.8, 5, 0), (4.6, 5.5, 0.2), (3.5, 5.4, -0.8), (6.5, 5.3, -0.1), (7.3, 4.7, 0.1), (6.2, 6.0, 0.5)],
    )
    atoms.translate(shift)
    return atoms, np.tile([-0.8476, 0.4238, 0.4238], 2)


def test_the_pair_minimum_lies_at_the_summed_radii_with_the_geometric_depth():
    c6, c12 = mixed(["Au"])
    radius = LENNARD_JONES["O"][0] + LENNARD_JONES["Au"][0]
    near = np.array([[0.0], [0.0], [0.0], c6, c12])
    energy, _, _, slope, *_ = kernel.lennard_jones(0.0, 0.0, radius, near, 1)
    assert energy == pytest.approx(-np.sqrt(LENNARD_JONES["O"][1] * LENNARD_JONES["Au"][1]))
    assert slope == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("element", "sigma", "depth"), [("Na", 2.15954, 1.47545), ("K", 2.83840, 1.79789), ("Cl", 4.83045, 0.0534924)]
)
def test_ions_have_the_parameters_of_joung_and_cheatham(element, sigma, depth):
    """σ (Å) and ε (kJ/mol) of the set for SPC/E water."""
    assert LENNARD_JONES[element] == pytest.approx((2 ** (1 / 6) * sigma / 2, depth * KJ_PER_MOL), rel=1e-4)


@pytest.mark.parametrize("height", [2.6, 3.0, 3.6, 5.0])
def test_over_one_atom_the_bond_balances_lennard_jones(height):
    """On the axis: 12ε/R·((R/r)^13 − (R/r)^7) = k(R0 − bond), and both are the force on the tip."""
    sample = Sample.from_atoms(Atoms("O", positions=[(0, 0, 0)]))
    radius, depth = 2 * LENNARD_JONES["O"][0], LENNARD_JONES["O"][1]
    stiffness = TIP.radial_stiffness / EV_PER_A2_IN_N_PER_M

    def push(r):
        return 12 * depth / radius * ((radius / r) ** 13 - (radius / r) ** 7)

    r = brentq(lambda r: push(r) - stiffness * (r - height), height - 0.5, height + 1.0, xtol=1e-13)
    z = height + 0.1 * np.arange(20)
    origin = np.zeros(1)
    force, unconverged = relaxed_force(sample, replace(TIP, charge=0.0, quadrupole=0.0), x=origin, y=origin, z=z)
    assert unconverged.sum() == 0
    assert force[0, 0, 0] == pytest.approx(push(r), rel=1e-5, abs=1e-8)


def test_a_charge_pushes_a_like_charge_away_by_coulombs_law():
    sample = Sample(np.zeros((1, 3)), np.zeros(1), np.zeros(1), 0.0, np.array([0.5]))
    tip = replace(TIP, charge=0.2, quadrupole=0.0, radial_stiffness=1e6)
    origin = np.zeros(1)
    force, _ = relaxed_force(sample, tip, x=origin, y=origin, z=np.array([4.0]))
    assert force[0, 0, 0] == pytest.approx(COULOMB * 0.5 * 0.2 / 16, rel=1e-4)


def test_the_quadrupoles_energy_is_the_second_derivative_of_the_monopoles():
    charges = np.array([[0.3, -1.0], [0.2, 0.4], [-3.0, -3.5], [1.0, -0.7]])

    def energy(z, charge, moment):
        return kernel.coulomb(0.0, 0.0, z, charges, charge, moment)[0]

    h = 1e-3
    expected = (energy(h, 1.0, 0.0) - 2 * energy(0.0, 1.0, 0.0) + energy(-h, 1.0, 0.0)) / h**2
    assert energy(0.0, 0.0, 1.0) == pytest.approx(expected, rel=1e-5)


def test_a_gaussian_quadrupole_has_the_energy_its_moment_gives():
    """The integral of ppafm's dz² density, Q(2z² − x² − y²)/4σ² times a Gaussian, with a harmonic potential."""
    k = np.array([0.8, 1.1])
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    x, y, z = (TIP.width * grid for grid in np.meshgrid(nodes, nodes, nodes, indexing="ij"))
    w = np.einsum("i,j,k->ijk", weights, weights, weights) / (2 * np.pi) ** 1.5
    potential = np.cos(k[0] * x + k[1] * y + 0.3) * np.exp(-np.hypot(*k) * z)
    density = TIP.charge + TIP.quadrupole * (2 * z**2 - x**2 - y**2) / (4 * TIP.width**2)
    point = (TIP.charge + TIP.moment * (k @ k)) * np.cos(0.3)
    assert np.sum(w * density * potential) == pytest.approx(point, rel=1e-9)


@pytest.mark.parametrize("moment", [0.0, -0.3])
def test_gradient_and_hessian_are_derivatives_of_the_energy(moment):
    atoms, charges = water()
    sample = Sample.from_atoms(atoms, charges=charges)
    near = np.ascontiguousarray(np.column_stack([sample.positions, sample.c6, sample.c12]).T)
    points = np.ascontiguousarray(np.column_stack([sample.positions, COULOMB * charges]).T)
    place, h = np.array([5.1, 4.6, 3.0]), 1e-4
    probe = kernel.Probe(0.03, 1.2, 3.5, 0.1, -0.1, 0.1, moment)
    jets = (
        lambda r: kernel.lennard_jones(*r, near, near.shape[1]),
        lambda r: kernel.coulomb(*r, points, 0.1, moment),
        lambda r: kernel.springs(*(r - np.array([5.0, 5.0, 6.4])), probe),
    )
    for jet in jets:
        found = np.array(jet(place))
        moved = [(np.array(jet(place + step)), np.array(jet(place - step))) for step in h * np.eye(3)]
        slopes = np.array([(up - down) / (2 * h) for up, down in moved])
        np.testing.assert_allclose(found[1:4], slopes[:, 0], rtol=1e-5, atol=1e-9)
        hessian = np.array(
            [[found[4], found[7], found[8]], [found[7], found[5], found[9]], [found[8], found[9], found[6]]]
        )
        np.testing.assert_allclose(hessian, slopes[:, 1:4], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("place", [(4.6, 5.2), (5.6, 5.6)])
def test_force_is_the_slope_of_the_minimal_energy(place):
    """F = −d/dz min E(r; z), the minimum found by scipy from the formula of each term."""
    atoms, charges = water()
    sample = Sample.from_atoms(atoms, charges=charges)

    def energy(r, apex):
        away = r - sample.positions
        distance = np.linalg.norm(away, axis=1)
        pairs = sample.c12 / distance**12 - sample.c6 / distance**6
        potential = TIP.charge / distance + TIP.moment * (3 * away[:, 2] ** 2 - distance**2) / distance**5
        bond = r - np.array([*place, apex])
        radial = 0.5 * TIP.radial_stiffness * (np.linalg.norm(bond) - TIP.length) ** 2
        lateral = 0.5 * TIP.lateral_stiffness * (bond[:2] @ bond[:2])
        return np.sum(pairs + COULOMB * charges * potential) + (radial + lateral) / EV_PER_A2_IN_N_PER_M

    def lowest(z):
        apex = sample.top + z + TIP.length
        start = np.array([*place, apex - TIP.length])
        return minimize(energy, start, args=(apex,), method="BFGS", options={"gtol": 1e-9}).fun

    z = 3.0 + 0.1 * np.arange(20)
    force, _ = relaxed_force(sample, TIP, x=np.array(place[:1]), y=np.array(place[1:]), z=z)
    h = 0.01
    for level in (1, 4, 8):
        slope = (lowest(z[level] + h) - lowest(z[level] - h)) / (2 * h)
        assert force[level, 0, 0] == pytest.approx(-slope, rel=1e-3, abs=1e-6)


def test_the_mirror_image_of_a_sample_makes_the_mirror_image():
    atoms, charges = water()
    mirrored = atoms.copy()
    mirrored.positions[:, 0] = 10.0 - mirrored.positions[:, 0]
    scan = Scan(size=10.0, pixels=16, lowest=2.9, spacing=0.2, heights=4)
    image = render(Sample.from_atoms(atoms, charges=charges), replace(TIP, offset_x=0.1), scan)
    other = render(Sample.from_atoms(mirrored, charges=charges), replace(TIP, offset_x=-0.1), scan)
    np.testing.assert_allclose(other["frequency_shift"], image["frequency_shift"][:, :, ::-1], atol=1e-4)


def test_a_quarter_turn_of_sample_and_tip_turns_the_image():
    atoms, charges = water()
    turned = atoms.copy()
    turned.positions[:, :2] = np.column_stack([10.0 - atoms.positions[:, 1], atoms.positions[:, 0]])
    scan = Scan(size=10.0, pixels=16, lowest=2.9, spacing=0.2, heights=4)
    image = render(Sample.from_atoms(atoms, charges=charges), replace(TIP, offset_x=0.1), scan)["frequency_shift"]
    other = render(Sample.from_atoms(turned, charges=charges), replace(TIP, offset_y=0.1), scan)["frequency_shift"]
    np.testing.assert_allclose(other, np.rot90(image, -1, axes=(1, 2)), atol=1e-4)


def test_threads_change_nothing():
    atoms, charges = water()
    sample, scan = Sample.from_atoms(atoms, charges=charges), Scan(size=10.0, pixels=16, heights=3)
    one, two = (render(sample, TIP, scan, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one["frequency_shift"], two["frequency_shift"])


def test_an_atom_beyond_the_reach_does_not_act():
    scan = Scan(size=10.0, pixels=16, heights=2)
    near = Atoms("O", positions=[(5, 5, 0)])
    far = near + Atoms("Au", positions=[(25, 5, -3)])
    tip = replace(TIP, charge=0.0, quadrupole=0.0)
    images = [render(Sample.from_atoms(atoms), tip, scan)["frequency_shift"] for atoms in (near, far)]
    np.testing.assert_array_equal(*images)


def test_heights_count_from_the_topmost_atom():
    scan = Scan(size=10.0, pixels=16, heights=2)
    images = []
    for lift in (0.0, 7.0):
        atoms, charges = water((0.0, 0.0, lift))
        images.append(render(Sample.from_atoms(atoms, charges=charges), TIP, scan)["frequency_shift"])
    np.testing.assert_allclose(*images, atol=1e-6)


def test_a_tip_is_drawn_within_its_ranges_and_fixed_by_the_seed():
    settings = Tip()
    tips = [settings.draw(generator(7, "system", index)) for index in range(50)]
    for name in ("charge", "quadrupole", "length", "lateral_stiffness", "amplitude"):
        low, high = getattr(settings, name)
        values = [getattr(tip, name) for tip in tips]
        assert low <= min(values) < low + 0.2 * (high - low)
        assert high - 0.2 * (high - low) < max(values) <= high
    assert tips[3] == settings.draw(generator(7, "system", 3))


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("OH", positions=[(0, 0, 0), (0, 0, 0.1)]), "atoms 0 and 1 are 0.100 Å apart"),
        (Atoms("OH", positions=[(0, 0, 0), (0, np.nan, 1)]), "atom 1 is at"),
        (Atoms("OU", positions=[(0, 0, 0), (0, 0, 3)]), "no Lennard-Jones parameters for U"),
        (Atoms(), "no atoms"),
    ],
)
def test_a_structure_that_is_not_physical_is_refused(atoms, message):
    with pytest.raises(StructureError, match=message):
        Sample.from_atoms(atoms)
