"""The relaxed probe against closed forms, symmetries and finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from scipy.optimize import brentq, minimize

from hydrafm.afm.lennard_jones import LENNARD_JONES
from hydrafm.afm.renderer import relaxed_force, render
from hydrafm.afm.sample import Sample
from hydrafm.errors import StructureError
from hydrafm.provenance import generator
from hydrafm.settings.afm import DrawnTip, Scan, Tip
from hydrafm.units import COULOMB, EV_PER_A2_IN_N_PER_M

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


@pytest.mark.parametrize(
    ("height", "precision", "error"),
    [
        (2.6, "direct", 1e-5),
        *((height, *how) for height in (3.0, 3.6, 5.0) for how in (("direct", 1e-5), ("single", 1e-3))),
    ],
)
def test_over_one_atom_the_bond_balances_lennard_jones(height, precision, error):
    """On the axis: 12ε/R·((R/r)^13 − (R/r)^7) = k(R0 − bond), and both are the force on the tip.

    At 2.6 Å the axis is a pass between rests to all sides: rounding in single precision would lead off it.
    """
    sample = Sample.from_atoms(Atoms("O", positions=[(0, 0, 0)]))
    radius, depth = 2 * LENNARD_JONES["O"][0], LENNARD_JONES["O"][1]
    stiffness = TIP.radial_stiffness / EV_PER_A2_IN_N_PER_M

    def push(r):
        return 12 * depth / radius * ((radius / r) ** 13 - (radius / r) ** 7)

    r = brentq(lambda r: push(r) - stiffness * (r - height), height - 0.5, height + 1.0, xtol=1e-13)
    z = height + 0.1 * np.arange(20)
    origin = np.zeros(1)
    tip = replace(TIP, charge=0.0, quadrupole=0.0)
    force, unconverged = relaxed_force(sample, tip, x=origin, y=origin, z=z, precision=precision)
    assert unconverged.sum() == 0
    assert force[0, 0, 0] == pytest.approx(push(r), rel=error, abs=1e-8)


@pytest.mark.parametrize(("precision", "error"), [("direct", 1e-4), ("single", 1e-3)])
def test_a_charge_pushes_a_like_charge_away_by_coulombs_law(precision, error):
    sample = Sample(np.zeros((1, 3)), np.zeros(1), np.zeros(1), 0.0, np.array([0.5]))
    tip = replace(TIP, charge=0.2, quadrupole=0.0, radial_stiffness=1e6)
    origin = np.zeros(1)
    force, _ = relaxed_force(sample, tip, x=origin, y=origin, z=np.array([4.0]), precision=precision)
    assert force[0, 0, 0] == pytest.approx(COULOMB * 0.5 * 0.2 / 16, rel=error)


@pytest.mark.parametrize(("precision", "error"), [("direct", 1e-3), ("single", 3e-3)])
@pytest.mark.parametrize("place", [(4.6, 5.2), (5.6, 5.6)])
def test_force_is_the_slope_of_the_minimal_energy(place, precision, error):
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
    x, y = np.array(place[:1]), np.array(place[1:])
    force, _ = relaxed_force(sample, TIP, x=x, y=y, z=z, precision=precision)
    h = 0.01
    for level in (1, 4, 8):
        slope = (lowest(z[level] + h) - lowest(z[level] - h)) / (2 * h)
        assert force[level, 0, 0] == pytest.approx(-slope, rel=error, abs=1e-6 if precision == "direct" else 1e-4)


@pytest.mark.parametrize(("precision", "error"), [("direct", 1e-6), ("single", 5e-3)])
def test_the_mirror_image_of_a_sample_makes_the_mirror_image(precision, error):
    atoms, charges = water()
    mirrored = atoms.copy()
    mirrored.positions[:, 0] = 10.0 - mirrored.positions[:, 0]
    scan = Scan(size=10.0, pixels=16, lowest=2.9, spacing=0.2, heights=4)
    image = render(Sample.from_atoms(atoms, charges=charges), replace(TIP, offset_x=0.1), scan, precision=precision)
    tip = replace(TIP, offset_x=-0.1)
    other = render(Sample.from_atoms(mirrored, charges=charges), tip, scan, precision=precision)
    expected = image["frequency_shift"][:, :, ::-1]
    np.testing.assert_allclose(other["frequency_shift"], expected, atol=error * float(expected.std()))


@pytest.mark.parametrize(("precision", "error"), [("direct", 1e-6), ("single", 5e-3)])
def test_a_quarter_turn_of_sample_and_tip_turns_the_image(precision, error):
    atoms, charges = water()
    turned = atoms.copy()
    turned.positions[:, :2] = np.column_stack([10.0 - atoms.positions[:, 1], atoms.positions[:, 0]])
    scan = Scan(size=10.0, pixels=16, lowest=2.9, spacing=0.2, heights=4)
    image, other = (
        render(Sample.from_atoms(one, charges=charges), tip, scan, precision=precision)["frequency_shift"]
        for one, tip in ((atoms, replace(TIP, offset_x=0.1)), (turned, replace(TIP, offset_y=0.1)))
    )
    np.testing.assert_allclose(other, np.rot90(image, -1, axes=(1, 2)), atol=error * float(image.std()))


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
