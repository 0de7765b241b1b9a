"""Gradients against finite differences, and what must not depend on how the work is cut."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms

from hydrafm.afm.gradients import OF_FORCE, differentiable_render
from hydrafm.afm.plane import PotentialPlane
from hydrafm.afm.renderer import render
from hydrafm.afm.sample import Sample
from hydrafm.errors import SettingsError
from hydrafm.settings.afm import DrawnTip, Scan
from hydrafm.structure import Window

TIP = DrawnTip(
    charge=0.08,
    quadrupole=-0.15,
    width=0.71,
    length=3.5,
    lateral_stiffness=0.4,
    radial_stiffness=20.0,
    offset_x=0.05,
    offset_y=-0.08,
    amplitude=0.33,
    resonance=30300.0,
    stiffness=1800.0,
)
SCAN = Scan(size=10.0, pixels=16, lowest=2.9, spacing=0.1, heights=4)


@pytest.fixture(scope="module")
def sample():
    """Two water molecules and gold 7 Å below the probe, far in terms of the split."""
    water = Atoms(
        "OHHOHH",
        positions=[(3.8, 5, 0), (4.6, 5.5, 0.2), (3.5, 5.4, -0.8), (6.5, 5.3, -0.1), (7.3, 4.7, 0.1), (6.2, 6.0, 0.5)],
    )
    gold = Atoms("Au4", positions=[(3, 3, -4), (6, 3, -4), (3, 6, -4), (14, 6, -4)])
    charges = np.concatenate([np.tile([-0.8476, 0.4238, 0.4238], 2), np.zeros(4)])
    return Sample.from_atoms(water + gold, charges=charges)


@pytest.fixture(scope="module")
def weights(sample):
    """Of a loss: as of one that compares with an image of nothing."""
    return images(sample).frequency_shift.detach()


def images(sample, precision="double", **changes):
    return differentiable_render(sample, TIP, SCAN, precision=precision, **changes)


def slope(function, step):
    """Central difference of the fourth order."""
    return (8 * (function(step) - function(-step)) - (function(2 * step) - function(-2 * step))) / (12 * step)


def test_the_images_are_those_of_render(sample):
    plain = render(sample, TIP, SCAN)["frequency_shift"]
    np.testing.assert_allclose(images(sample, "single").frequency_shift, plain, atol=1e-5 * float(plain.std()))


@pytest.mark.parametrize("precision", ["single", "double"])
def test_gradients_by_positions_and_charges_match_finite_differences(sample, weights, precision):
    positions = torch.tensor(sample.positions, requires_grad=True)
    charges = torch.tensor(sample.charges, requires_grad=True)
    made = images(sample, precision, positions=positions, charges=charges)
    assert not made.masked.any()
    (made.frequency_shift.double() * weights).sum().backward()

    def loss(**changes):
        with torch.no_grad():
            return float((images(sample, **changes).frequency_shift * weights).sum())

    def moved(atom, axis, distance):
        places = torch.tensor(sample.positions)
        places[atom, axis] += distance
        return loss(positions=places)

    def charged(atom, more):
        changed = torch.tensor(sample.charges)
        changed[atom] += more
        return loss(charges=changed)

    of_places = [[slope(lambda d: moved(a, k, d), 1e-3) for k in range(3)] for a in (0, 1, 5, 6)]  # noqa: B023
    of_charges = [slope(lambda d: charged(a, d), 1e-2) for a in (0, 1, 5)]  # noqa: B023
    tolerance = 1e-2 if precision == "single" else 1e-4
    for atom, expected in zip((0, 1, 5, 6), of_places, strict=True):
        difference = np.linalg.norm(positions.grad[atom].numpy() - expected)
        assert difference < tolerance * max(np.linalg.norm(expected), 0.01 * np.linalg.norm(of_places[0])), atom
    np.testing.assert_allclose(charges.grad[[0, 1, 5]], of_charges, rtol=tolerance)


@pytest.mark.parametrize("name", [*OF_FORCE, "amplitude"])
def test_gradients_by_the_tip_match_finite_differences(sample, weights, name):
    value = torch.tensor(getattr(TIP, name), dtype=torch.float64)
    scale = float(weights.square().sum())
    for precision, relative, absolute in (("double", 1e-4, 1e-6 * scale), ("single", 2e-2, 1e-3 * scale)):
        parameter = value.clone().requires_grad_(True)
        made = images(sample, precision, tip_parameters={name: parameter})
        (made.frequency_shift.double() * weights).sum().backward()

        def loss(more):
            with torch.no_grad():
                changed = images(sample, tip_parameters={name: value + more})
                return float((changed.frequency_shift * weights).sum())

        assert float(parameter.grad) == pytest.approx(slope(loss, 1e-3), rel=relative, abs=absolute)


@pytest.mark.parametrize("name", ["charge", "quadrupole", "lateral_stiffness"])
def test_gradients_by_the_tip_hold_above_a_potential(sample, weights, name):
    u, v = np.meshgrid(np.arange(24) / 24, np.arange(20) / 20, indexing="ij")
    values = 0.3 * np.cos(2 * np.pi * (u + 0.2)) + 0.2 * np.sin(2 * np.pi * (u - v))
    plane = PotentialPlane(values, np.array([[9.0, 0.0], [1.0, 8.0]]), sample.top + 2.0, Window(1.0, 2.0, 0.4, 10.0))
    above = replace(sample, charges=np.zeros(10), potential=plane)
    value = torch.tensor(getattr(TIP, name), dtype=torch.float64)
    parameter = value.clone().requires_grad_(True)
    made = images(above, tip_parameters={name: parameter})
    (made.frequency_shift * weights).sum().backward()

    def loss(more):
        with torch.no_grad():
            changed = images(above, tip_parameters={name: value + more})
            return float((changed.frequency_shift * weights).sum())

    assert float(parameter.grad) == pytest.approx(slope(loss, 1e-3), rel=1e-4)


def test_gradients_do_not_depend_on_the_number_of_threads(sample, weights):
    found = []
    for threads in (1, 2):
        positions = torch.tensor(sample.positions, requires_grad=True)
        made = images(sample, "single", positions=positions, threads=threads)
        (made.frequency_shift * weights).sum().backward()
        found.append(positions.grad)
    assert torch.equal(*found)


def test_following_the_gradient_brings_a_displaced_atom_back(sample):
    """A molecule 0.15 Å off its place returns to it when its image is fitted."""
    target = images(sample, "single").frequency_shift
    displaced = torch.tensor(sample.positions)
    displaced[:3, 0] += 0.15
    shift = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.LBFGS([shift], max_iter=15, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        moved = displaced.clone()
        moved[:3, :2] = moved[:3, :2] + shift
        loss = (images(sample, "single", positions=moved).frequency_shift - target).square().mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    np.testing.assert_allclose(shift.detach(), [-0.15, 0.0], atol=2e-3)


def test_a_pixel_whose_probe_snaps_is_masked_and_has_no_gradient():
    """A soft probe pressed on a lone atom off its axis flees to one side or the other."""
    atoms = Sample.from_atoms(Atoms("O", positions=[(5.0, 5.0, 0.0)]))
    scan = Scan(size=5.0, pixels=16, lowest=2.0, spacing=0.1, heights=10)
    tip = replace(TIP, lateral_stiffness=0.05, charge=0.0, quadrupole=0.0, offset_x=0.0, offset_y=0.0)
    shifted = replace(atoms, positions=np.array([[2.5 + 1e-3, 2.5, 0.0]]))
    positions = torch.tensor(shifted.positions, requires_grad=True)
    made = differentiable_render(shifted, tip, scan, positions=positions)
    assert 0 < int(made.masked.sum()) < 60
    (made.frequency_shift * made.masked).sum().backward()
    assert not positions.grad.any()


def test_what_has_no_derivative_is_refused(sample):
    with pytest.raises(SettingsError, match="no derivative by colour"):
        images(sample, tip_parameters={"colour": torch.tensor(1.0)})
    with pytest.raises(SettingsError, match="single or double"):
        images(sample, "direct")
