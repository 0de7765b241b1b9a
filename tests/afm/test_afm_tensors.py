"""The tensors' relaxation against the kernel's, closed forms and finite differences."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from hydrafm.afm import tensors
from hydrafm.afm.interactions import Probe
from hydrafm.afm.plane import PotentialPlane
from hydrafm.afm.renderer import relaxed_force
from hydrafm.afm.sample import Sample
from hydrafm.afm.tensors import relaxed_force_on
from hydrafm.errors import SettingsError
from hydrafm.settings.afm import DrawnTip
from hydrafm.structure import Window
from hydrafm.units import COULOMB

TIP = DrawnTip(
    charge=0.1,
    quadrupole=-0.1,
    width=0.71,
    length=3.5,
    lateral_stiffness=0.4,
    radial_stiffness=20.0,
    offset_x=0.05,
    offset_y=-0.08,
    amplitude=0.5,
    resonance=30300.0,
    stiffness=1800.0,
)
X = 1.0 + 0.5 * np.arange(16)
Y = X[:14] + 0.1
Z = 2.9 + 0.1 * np.arange(12)
CELL = np.array([[8.0, 0.0], [2.0, 9.0]])


def by_charges():
    """Two water molecules near (5, 5) on three Au, one of them fading out of the reach of half the pixels."""
    atoms = Atoms(
        "OHHOHHAu3",
        positions=[
            *[(3.8, 5, 0), (4.6, 5.5, 0.2), (3.5, 5.4, -0.8), (6.5, 5.3, -0.1), (7.3, 4.7, 0.1), (6.2, 6.0, 0.5)],
            *[(4.0, 4.0, -3.0), (7.0, 5.0, -3.0), (13.0, 5.0, -3.0)],
        ],
    )
    return Sample.from_atoms(atoms, charges=np.array([*2 * [-0.8476, 0.4238, 0.4238], 0.0, 0.0, 0.0]))


def by_plane():
    """The same atoms under a periodic potential of a few waves, seen in a turned window off the cell's corner."""
    u, v = np.meshgrid(np.arange(27) / 27, np.arange(31) / 31, indexing="ij")
    turns = 2 * np.pi * np.stack([u + v, 2 * u - v + 0.1, v + 0.3, 3 * u + 0.2])
    values = np.tensordot([0.8, 0.3, -0.6, 0.1], np.cos(turns), axes=1)
    sample = by_charges()
    window = Window(1.3, -0.7, 0.6, 10.0)
    return replace(sample, charges=0 * sample.charges, potential=PotentialPlane(values, CELL, 2.0, window))


def error(found, expected):
    """Root mean square of the difference, of the spread of what is expected."""
    found = found.double().cpu().numpy()
    return np.sqrt(np.mean((found - expected) ** 2)) / expected.std()


@pytest.fixture(scope="module")
def expected():
    made = {}
    for sample in (by_charges, by_plane):
        made[sample], lost = relaxed_force(sample(), TIP, x=X, y=Y, z=Z, precision="direct")
        assert lost.sum() == 0
    return made


@pytest.mark.parametrize(("precision", "most"), [("direct", 1e-8), ("double", 1e-6), ("single", 1e-3)])
@pytest.mark.parametrize("sample", [by_charges, by_plane])
def test_every_precision_agrees_with_the_kernels_direct_sums(sample, precision, most, expected):
    force, lost = relaxed_force_on("cpu", sample(), TIP, x=X, y=Y, z=Z, precision=precision)
    assert force.dtype == (torch.float32 if precision == "single" else torch.float64)
    assert force.shape == (len(Z), len(Y), len(X))
    assert lost.tolist() == [0] * len(Y)
    assert error(force, expected[sample]) < most


@pytest.mark.parametrize("precision", ["direct", "single"])
def test_deep_in_the_repulsion_a_soft_probe_takes_many_steps_to_the_same_rest(precision, monkeypatch):
    """Hessians are raised there, steps cut and taken back."""
    rests, raised = [], []

    def step(*args):
        lanes = newton_step(*args)
        rests.append(lanes.rests)
        return lanes

    def factors(*args):
        made = raised_factors(*args)
        raised.append(~made[1])
        return made

    newton_step, raised_factors = tensors.newton_step, tensors.raised_factors
    monkeypatch.setattr(tensors, "newton_step", step)
    monkeypatch.setattr(tensors, "raised_factors", factors)
    tip, z = replace(TIP, lateral_stiffness=0.05, charge=0.3), 1.4 + 0.3 * np.arange(7)
    force, lost = relaxed_force_on("cpu", by_charges(), tip, x=X, y=Y, z=z, precision=precision)
    assert len(rests) > 15 * len(z)
    assert sum(int(lanes.sum()) for lanes in raised) > 500
    assert lost.sum() == 0
    expected, _ = relaxed_force(by_charges(), tip, x=X, y=Y, z=z, precision="direct")
    assert error(force, expected) < (1e-3 if precision == "single" else 1e-8)


@pytest.mark.parametrize("sample", [by_charges, by_plane])
def test_work_in_chunks_gives_the_same(sample):
    """One pixel at a time, or a row and a half."""
    here = {"x": X[:4], "y": Y[3:6], "z": Z[:3], "precision": "direct"}
    whole, _ = relaxed_force_on("cpu", sample(), TIP, **here)
    for pairs in (1, 6 * tensors.KNOTS):
        parts, _ = relaxed_force_on("cpu", sample(), TIP, **here, pairs=pairs)
        np.testing.assert_allclose(parts, whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sample", [by_charges, by_plane])
def test_no_more_pairs_are_worked_on_at_once_than_allowed(sample, monkeypatch):
    most, lanes, step = 40 * tensors.KNOTS, [], tensors.newton_step

    def counted(part, *rest):
        lanes.append(part.place.shape[1])
        return step(part, *rest)

    monkeypatch.setattr(tensors, "newton_step", counted)
    relaxed_force_on("cpu", sample(), TIP, x=X, y=Y, z=Z[-2:], precision="single", pairs=most)
    assert max(lanes) == 40


@pytest.mark.parametrize("precision", ["direct", "single"])
def test_a_charge_pushes_a_like_charge_away_by_coulombs_law(precision):
    sample = Sample(np.array([[60.0, 70.0, 0.0]]), np.zeros(1), np.zeros(1), 0.0, np.array([0.5]))
    tip = replace(TIP, charge=0.2, quadrupole=0.0, offset_x=0.0, offset_y=0.0, radial_stiffness=1e4)
    here = {"x": np.array([60.0]), "y": np.array([70.0]), "z": np.array([4.0, 5.0])}
    force, _ = relaxed_force_on("cpu", sample, tip, **here, precision=precision)
    np.testing.assert_allclose(force[:, 0, 0], COULOMB * 0.5 * 0.2 / here["z"] ** 2, rtol=1e-4)


def doubles(*values):
    """Numbers, or arrays of them, as tensors."""
    return tuple(torch.tensor(value, dtype=torch.float64) for value in values)


def pair_energies(place):
    sample, none = by_charges(), torch.zeros(2, dtype=torch.float64)
    (atoms,) = doubles(np.vstack([sample.positions.T, sample.c6, sample.c12]))
    charges, reach = doubles(COULOMB * sample.charges, sample.reach)
    probe = Probe(*doubles(0.03, 1.2, 3.5, 0.0, 0.0, 0.1, -0.04))
    around = tensors.Surroundings(atoms, charges, probe, None, reach, none[0], none)
    pixels = torch.stack([place[0].detach() - 0.1, place[1].detach() + 0.2, none, none])
    return tensors.pair_sums(*place, pixels, around)


def field_energies(place):
    coefficients = np.random.default_rng(0).normal(size=(6, 7, 8))
    plane = tensors.Knots(*doubles(coefficients, [[0.9, 0.4], [-0.3, 1.1]], 2.0, 2.5))
    return tensors.field(*place, place.detach()[:2], plane)


@pytest.mark.parametrize("energies", [pair_energies, field_energies])
def test_gradient_and_hessian_are_derivatives_of_the_energy(energies):
    """By automatic differentiation of the energy alone."""
    place = torch.tensor([[4.6, 5.2], [5.1, 4.3], [3.0, 3.4]], dtype=torch.float64, requires_grad=True)
    found = energies(place)
    (gradient,) = torch.autograd.grad(found[0].sum(), place, create_graph=True)
    rows = [torch.autograd.grad(row.sum(), place, retain_graph=True)[0] for row in gradient]
    second = [rows[i][j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    expected = torch.stack([*gradient.detach(), *second])
    np.testing.assert_allclose(torch.stack(found[1:]).detach(), expected, rtol=1e-9, atol=1e-12)


def test_a_hessian_is_raised_by_the_first_shift_that_makes_it_positive_definite():
    random = np.random.default_rng(0)
    hessians = random.normal(size=(60, 3, 3)) * 10.0 ** random.integers(-3, 4, (60, 1, 1))
    hessians += hessians.transpose(0, 2, 1)
    hessians[:10] = hessians[:10] @ hessians[:10] + np.eye(3)
    jet = doubles(*np.zeros((4, 60)), *(hessians[:, i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))))
    shifts, (slope,) = np.array(tensors.SHIFTS), doubles(random.normal(size=(3, 60)))
    factors, definite = tensors.raised_factors(jet, torch.from_numpy(shifts))
    found = torch.stack(tensors.solve(factors, *slope)).T
    lowest = np.linalg.eigvalsh(hessians)[:, 0]
    first = shifts[(lowest[:, None] + shifts > 0).argmax(axis=1)]
    assert definite.sum() >= 10
    np.testing.assert_array_equal(definite, lowest > 0)
    raised = hessians + first[:, None, None] * np.eye(3)
    np.testing.assert_allclose(found, np.linalg.solve(raised, slope.T.numpy()[:, :, None])[:, :, 0], rtol=1e-6)


@pytest.mark.parametrize("sample", [by_charges, by_plane])
def test_a_tip_that_is_no_number_comes_to_rest_nowhere(sample):
    here = {"x": X[:3], "y": Y[:2], "z": Z[:2], "precision": "single"}
    _, lost = relaxed_force_on("cpu", sample(), replace(TIP, charge=np.nan), **here)
    assert lost.tolist() == [6, 6]


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("gpu", "device: found 'gpu'; allowed are cpu and cuda"),
        ("mps", "device: found 'mps'; allowed are cpu and cuda"),
        ("cuda:99", r"device: 'cuda:99' was asked for, but PyTorch \S+ finds \d+ CUDA devices; take cpu"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, says):
    with pytest.raises(SettingsError, match=says):
        relaxed_force_on(device, by_charges(), TIP, x=X, y=Y, z=Z, precision="single")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("precision", "most"), [("direct", 1e-8), ("single", 1e-3)])
@pytest.mark.parametrize("sample", [by_charges, by_plane])
def test_a_gpu_agrees_as_well(sample, precision, most, expected):
    force, lost = relaxed_force_on("cuda", sample(), TIP, x=X, y=Y, z=Z, precision=precision)
    assert force.device.type == "cuda"
    assert lost.sum() == 0
    assert error(force, expected[sample]) < most


COMPILED = """
import sys
import numpy as np
from test_afm_tensors import TIP, X, Y, Z, by_charges, by_plane, relaxed_force_on

here = {"x": X, "y": Y, "z": Z, "precision": "single", "compile": True}
device, path = sys.argv[1:]
np.save(path, [relaxed_force_on(device, sample(), TIP, **here)[0].cpu() for sample in (by_charges, by_plane)])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")),
    ],
)
def test_compiled_steps_agree_as_well(device, expected, tmp_path):
    """In a process of its own: the compiler does not read functions whose shapes are checked."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", COMPILED, device, str(tmp_path / "forces.npy")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path}, timeout=300)
    for force, sample in zip(np.load(tmp_path / "forces.npy"), (by_charges, by_plane), strict=True):
        assert error(torch.from_numpy(force), expected[sample]) < 1e-3
