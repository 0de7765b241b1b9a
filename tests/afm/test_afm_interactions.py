"""The formulas of the interactions, as plain functions of numbers, against closed forms and finite differences."""

from math import sqrt

import numpy as np
import pytest

from hydrafm.afm import interactions
from hydrafm.afm.interactions import Probe, split_at
from hydrafm.afm.lennard_jones import LENNARD_JONES, mixed
from hydrafm.units import KJ_PER_MOL

PLACE = np.array([0.9, -1.4, 2.8])
STEP = 1e-4


def lennard_jones(r, c6, c12):
    """The jet of C12/r^12 − C6/r^6."""
    v = interactions.lennard_jones(1 / (r @ r))
    return interactions.pair_jet(*r, (*(c12 * v[n + 3] - c6 * v[n] for n in range(3)), 0.0, 0.0, 0.0))


def multipole(r, charge, moment):
    """The jet of a multipole beside a unit charge."""
    inverse = 1 / (r @ r)
    return interactions.pair_jet(
        *r, interactions.multipole(interactions.coulomb(inverse, sqrt(inverse)), charge, moment)
    )


def springs(r):
    return interactions.springs(*r, np.linalg.norm(r), Probe(0.03, 1.2, 3.5, 0.1, -0.1, 0.0, 0.0))


@pytest.mark.parametrize(
    "jet",
    [
        lambda r: lennard_jones(r, 40.0, 9000.0),
        lambda r: multipole(r, 0.3, 0.0),
        lambda r: multipole(r, 0.1, -0.4),
        springs,
    ],
)
def test_gradient_and_hessian_are_derivatives_of_the_energy(jet):
    found = np.array(jet(PLACE))
    moved = [(np.array(jet(PLACE + step)), np.array(jet(PLACE - step))) for step in STEP * np.eye(3)]
    slopes = np.array([(up - down) / (2 * STEP) for up, down in moved])
    np.testing.assert_allclose(found[1:4], slopes[:, 0], rtol=1e-6, atol=1e-9)
    hessian = np.array([[found[4], found[7], found[8]], [found[7], found[5], found[9]], [found[8], found[9], found[6]]])
    np.testing.assert_allclose(hessian, slopes[:, 1:4], rtol=1e-6, atol=1e-8)


def test_the_pair_minimum_lies_at_the_summed_radii_with_the_geometric_depth():
    c6, c12 = (float(value[0]) for value in mixed(["Au"]))
    radius = LENNARD_JONES["O"][0] + LENNARD_JONES["Au"][0]
    energy, _, _, slope, *_ = lennard_jones(np.array([0.0, 0.0, radius]), c6, c12)
    assert energy == pytest.approx(-np.sqrt(LENNARD_JONES["O"][1] * LENNARD_JONES["Au"][1]))
    assert slope == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("element", "sigma", "depth"), [("Na", 2.15954, 1.47545), ("K", 2.83840, 1.79789), ("Cl", 4.83045, 0.0534924)]
)
def test_ions_have_the_parameters_of_joung_and_cheatham(element, sigma, depth):
    """σ (Å) and ε (kJ/mol) of the set for SPC/E water."""
    assert LENNARD_JONES[element] == pytest.approx((2 ** (1 / 6) * sigma / 2, depth * KJ_PER_MOL), rel=1e-4)


def test_the_multipole_is_that_of_a_point_charge_and_a_point_quadrupole():
    """q/r + M (3z² − r²)/r⁵ beside a unit charge."""
    r = np.linalg.norm(PLACE)
    expected = 0.3 / r - 0.2 * (3 * PLACE[2] ** 2 - r**2) / r**5
    assert multipole(PLACE, 0.3, -0.2)[0] == pytest.approx(expected, rel=1e-12)


def test_the_quadrupoles_energy_is_the_second_derivative_of_the_monopoles():
    h = 1e-3
    up, here, down = (multipole(PLACE + np.array([0, 0, shift]), 1.0, 0.0)[0] for shift in (h, 0.0, -h))
    assert multipole(PLACE, 0.0, 1.0)[0] == pytest.approx((up - 2 * here + down) / h**2, rel=1e-5)


def test_a_gaussian_quadrupole_has_the_energy_its_moment_gives():
    """The integral of ppafm's dz² density, Q(2z² − x² − y²)/4σ² times a Gaussian, with a harmonic potential."""
    width, charge, quadrupole = 0.71, 0.1, -0.1
    k = np.array([0.8, 1.1])
    nodes, weights = np.polynomial.hermite_e.hermegauss(30)
    x, y, z = (width * grid for grid in np.meshgrid(nodes, nodes, nodes, indexing="ij"))
    w = np.einsum("i,j,k->ijk", weights, weights, weights) / (2 * np.pi) ** 1.5
    potential = np.cos(k[0] * x + k[1] * y + 0.3) * np.exp(-np.hypot(*k) * z)
    density = charge + quadrupole * (2 * z**2 - x**2 - y**2) / (4 * width**2)
    point = (charge + 0.75 * quadrupole * width**2 * (k @ k)) * np.cos(0.3)
    assert np.sum(w * density * potential) == pytest.approx(point, rel=1e-9)


def test_the_taylor_polynomials_meet_their_powers_where_near_ends():
    """Value and all derivatives at s₀; nearby, they part with the first power they do not hold."""
    split = split_at(6.0)
    inverse = 1 / split.square
    of_lennard_jones = interactions.lennard_jones_taylor(0.0, split)
    of_coulomb = interactions.coulomb_taylor(0.0, split)
    np.testing.assert_allclose(of_lennard_jones, interactions.lennard_jones(inverse), rtol=1e-12)
    np.testing.assert_allclose(of_coulomb, interactions.coulomb(inverse, sqrt(inverse)), rtol=1e-12)

    def parting(t):
        return interactions.coulomb(1 / (36 + t), (36 + t) ** -0.5)[0] - interactions.coulomb_taylor(t, split)[0]

    assert parting(-4.0) / parting(-2.0) == pytest.approx(2**7, rel=0.2)
