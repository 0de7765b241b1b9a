"""Short trajectories: geometry, reproducibility and the protocol."""

import json

import numpy as np
import openmm
import pytest

from hydrafm.errors import ConvergenceError, SettingsError
from hydrafm.md import simulation
from hydrafm.md.simulation import draw, simulate
from hydrafm.settings.md import Composition, MolecularDynamics, Substrate
from hydrafm.store import read_dataset, write_dataset

SMALL = Substrate(repeats=(4, 3))
HYDRATE = Composition(waters=(6, 8), ions={"Na": (1, 1)})
BRIEF = MolecularDynamics(
    timestep=4, equilibration=0.4, interval=0.2, quench=0.2, electrostatics="ewald", cutoff=5.7, height=25
)


def run(composition=HYDRATE, dynamics=BRIEF, **change):
    return simulate(SMALL, composition, dynamics, **{"frames": 3, "seed": 5, "system": "test", "replica": 0} | change)


@pytest.fixture(scope="module")
def hydrate():
    return run()


@pytest.fixture(scope="module")
def water():
    return run(Composition(waters=(14, 14)), platform="CPU", frames=2)


@pytest.mark.parametrize("which", ["hydrate", "water"])
def test_molecules_are_whole_and_rigid(which, request):
    """0.9572 Å and 104.52° without any use of the periodic boundary; O and ions inside the cell."""
    frames = request.getfixturevalue(which)
    ions = int((frames["number"] == 11).sum())
    assert frames["number"].values[ions:].tolist() == [8, 1, 1] * ((frames.sizes["atom"] - ions) // 3)
    molecules = frames["position"].values[:, ions:].reshape(frames.sizes["frame"], -1, 3, 3).astype(float)
    arms = molecules[:, :, 1:] - molecules[:, :, :1]
    assert np.linalg.norm(arms, axis=-1) == pytest.approx(0.9572, abs=2e-4)
    angle = np.degrees(np.arccos(np.einsum("fmk,fmk->fm", arms[:, :, 0], arms[:, :, 1]) / 0.9572**2))
    assert angle == pytest.approx(104.52, abs=0.05)
    heads = np.concatenate([frames["position"].values[:, :ions], molecules[:, :, 0]], axis=1)[..., :2]
    assert np.all(heads >= 0)
    assert np.all(heads <= np.array(SMALL.sides) + 1e-5)


@pytest.mark.parametrize("which", ["hydrate", "water"])
def test_nothing_overlaps_or_goes_through_the_surface(which, request):
    """Between molecules: H bonds end at 1.5 Å, O-O at 2.4 Å; H stays above 1.9 Å, O and Na above 2.3 Å."""
    frames = request.getfixturevalue(which)
    numbers = frames["number"].values
    sides = np.array(SMALL.sides)
    heavy = numbers > 1
    owner = np.cumsum(heavy)
    for atoms in frames["position"].values:
        apart = atoms[:, None] - atoms[None]
        apart[..., :2] -= sides * np.round(apart[..., :2] / sides)
        distance = np.linalg.norm(apart, axis=-1) + 99 * (owner[:, None] == owner)
        assert distance.min() > 1.4
        assert distance[np.ix_(heavy, heavy)].min() > 2.1
        assert atoms[~heavy, 2].min() > 1.9
        assert atoms[heavy, 2].min() > 2.3


def test_sodium_lies_on_the_surface_in_a_shell_of_water(hydrate):
    """z 2.3-3.0 Å, at least 3 O within 3 Å, the first at 2.2-2.5 Å."""
    for atoms in hydrate["position"].values.astype(float):
        apart = atoms[1::3] - atoms[0]
        apart[:, :2] -= np.array(SMALL.sides) * np.round(apart[:, :2] / np.array(SMALL.sides))
        distance = np.linalg.norm(apart, axis=1)
        assert 2.3 < atoms[0, 2] < 3.0
        assert 2.2 < distance.min() < 2.5
        assert (distance < 3).sum() >= 3


@pytest.mark.parametrize("platform", ["CPU", "Reference"])
def test_a_seed_repeats_bit_for_bit(platform):
    once, again = (run(platform=platform, frames=2) for _ in range(2))
    assert np.array_equal(once["position"].values, again["position"].values)
    assert np.array_equal(once["energy"].values, again["energy"].values)


def test_a_frame_does_not_depend_on_how_many_follow(hydrate):
    assert np.array_equal(run(frames=1)["position"].values[0], hydrate["position"].values[0])


@pytest.mark.parametrize("change", [{"seed": 6}, {"replica": 1}, {"system": "other"}])
def test_seed_replica_and_system_each_change_the_start(change, hydrate):
    other = run(frames=1, **change)
    same_size = other.sizes["atom"] == hydrate.sizes["atom"]
    assert not same_size or not np.allclose(other["position"].values[0], hydrate["position"].values[0])


def test_draws_reach_both_ends_of_their_ranges():
    drawn = [draw(HYDRATE, BRIEF, np.random.default_rng(seed)) for seed in range(60)]
    assert {content.waters for content in drawn} == {6, 7, 8}
    assert all(content.ions == ("Na",) for content in drawn)
    temperatures = [content.temperature for content in drawn]
    assert 260 <= min(temperatures) < 268
    assert 312 < max(temperatures) <= 320


def test_quenched_frames_lie_below_warm_ones():
    """Cooling takes about 3 kT a rigid molecule out of the potential energy."""
    cold = run(frames=2)["energy"].values
    warm = run(frames=2, dynamics=BRIEF.model_copy(update={"quench": 0.0}))["energy"].values
    assert cold.mean() < warm.mean() - 0.2


def test_the_warm_trajectory_has_the_temperature_it_is_given():
    """6 degrees of freedom a rigid molecule and 3 an ion: the mean kinetic temperature is that of the bath."""
    content = simulation.Draw(("Na",), 7, 300.0)
    platform, properties = simulation._platform("Reference", 1, 29)
    dynamics = BRIEF.model_copy(update={"friction": 10.0})  # forgets faster, so that 20 ps are enough
    replica = simulation._Replica(content, SMALL, dynamics, 3, platform, properties)
    replica.run(simulation.pack(content.ions, 7, sides=SMALL.sides, bilayer=16.0, random=np.random.default_rng(3)), 1)
    kinetic = []
    for _ in range(200):
        replica._step(0.1)
        kinetic.append(replica.context.getState(energy=True).getKineticEnergy()._value)
    measured = 2 * np.mean(kinetic) / (8.314462618e-3 * (7 * 6 + 3))
    assert measured == pytest.approx(300, rel=0.07)


def test_the_store_explains_itself(hydrate, tmp_path):
    write_dataset(hydrate, tmp_path / "frames.zarr")
    back = read_dataset(tmp_path / "frames.zarr")
    assert back["position"].dtype == np.float32
    assert {name: back[name].attrs["units"] for name in back} == {"position": "Å", "number": "1", "energy": "eV"}
    assert back.attrs["cell"] == pytest.approx([*SMALL.sides, 25.0])
    assert back.attrs["openmm_version"].startswith("8.")
    assert MolecularDynamics.parse(json.loads(back.attrs["settings"])["dynamics"]) == BRIEF
    assert back.attrs["attempts"] == 1
    assert 260 <= back.attrs["temperature"] <= 320


def test_a_start_that_flies_apart_is_tried_again(monkeypatch, hydrate):
    """The second attempt starts elsewhere, and the store says that it was the second."""
    original, calls = simulation._Replica.run, []

    def fail_once(self, start, frames):
        calls.append(start)
        if len(calls) == 1:
            raise openmm.OpenMMException("Particle coordinate is NaN")
        return original(self, start, frames)

    monkeypatch.setattr(simulation._Replica, "run", fail_once)
    again = run(frames=1)
    assert again.attrs["attempts"] == 2
    assert not np.array_equal(calls[0], calls[1])
    assert again.sizes["atom"] == hydrate.sizes["atom"]


def test_a_replica_that_never_holds_is_given_up(monkeypatch):
    def fail(*_):
        raise FloatingPointError

    monkeypatch.setattr(simulation._Replica, "run", fail)
    with pytest.raises(ConvergenceError, match=r"5 starts of 1 ions and \d waters flew apart at 4 fs"):
        run()


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(SettingsError, match="cut-off of 10 Å"):
        run(dynamics=MolecularDynamics())
    with pytest.raises(SettingsError, match="no platform 'abacus'"):
        run(platform="abacus")
