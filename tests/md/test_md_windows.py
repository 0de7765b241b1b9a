"""Structures: order, windows, and what the later stages read."""

import numpy as np
import pytest
import typer.testing

from hydrafm.errors import SettingsError, StoreError, StructureError
from hydrafm.md.commands import app
from hydrafm.md.simulation import simulate
from hydrafm.md.windows import collect
from hydrafm.settings.md import Composition, MolecularDynamics, Substrate
from hydrafm.store import read_dataset, write_dataset
from hydrafm.structure import Window, labels, read_structures

SUBSTRATE = Substrate(repeats=(4, 3), layers=2)
DYNAMICS = MolecularDynamics(
    timestep=4, equilibration=0.1, interval=0.1, quench=0, electrostatics="ewald", cutoff=5.7, height=25
)
PLACE = {"window": 12.0, "seed": 5, "system": "test", "split": "train"}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    made = []
    for replica in (3, 4, 5):
        frames = simulate(
            SUBSTRATE,
            Composition(waters=(4, 8), ions={"Na": (1, 1)}),
            DYNAMICS,
            frames=2,
            seed=5,
            system="test",
            replica=replica,
        )
        made.append(folder / f"replica{replica}.zarr")
        write_dataset(frames, made[-1])
    return made


@pytest.fixture(scope="module")
def collected(stores):
    return collect(stores, SUBSTRATE, **PLACE)


def test_order_is_frame_major_and_needs_no_order_of_stores(stores, collected):
    order = [(made.info["frame"], made.info["replica"]) for made in collected.structures]
    assert order == [(0, 3), (0, 4), (0, 5), (1, 3), (1, 4), (1, 5)]
    assert [made.info["index"] for made in collected.structures] == list(range(6))
    shuffled = collect(stores[::-1], SUBSTRATE, **PLACE)
    for one, other in zip(collected.structures, shuffled.structures, strict=True):
        assert np.array_equal(one.positions, other.positions)
        assert one.info == other.info


def test_a_window_does_not_depend_on_the_other_replicas(stores, collected):
    alone = collect(stores[1:2], SUBSTRATE, **PLACE).structures[0]
    assert Window.from_info(alone.info) == Window.from_info(collected.structures[1].info)


def test_every_window_holds_water_or_an_ion(stores):
    """Also small ones, which mostly look at bare gold."""
    for made in collect(stores, SUBSTRATE, **PLACE | {"window": 3.0}).structures:
        numbers, _ = labels(made, Window.from_info(made.info))
        assert (numbers > 1).any()


def test_structures_are_frames_on_gold(stores, collected):
    frames = read_dataset(stores[1])
    made = collected.structures[1]
    water = made.get_tags() == 0
    assert np.allclose(made.positions[water], frames["position"].values[0])
    assert set(made.get_tags()) == {0, 1, 2}
    assert set(made.numbers[~water]) == {79}
    assert np.allclose(made.positions[made.get_tags() == 1, 2], 0)
    assert made.positions[water, 2].min() > 1.5
    assert made.info["temperature"] == frames.attrs["temperature"]


def run(*arguments):
    result = typer.testing.CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_commands_make_files_that_read_back(tmp_path, collected):
    """The commands give what the functions give, and tags, cell and boundary survive the file."""
    settings = ("--substrate", SUBSTRATE.model_dump_json(), "--seed", 5, "--system", "test")
    composition = Composition(waters=(4, 8), ions={"Na": (1, 1)}).model_dump_json()
    frames, out = tmp_path / "replica4" / "frames.zarr", tmp_path / "structures" / "train.extxyz"
    dynamics = ("--dynamics", DYNAMICS.model_dump_json())
    run("simulate", *settings, *dynamics, "--composition", composition, "--frames", 2, "--replica", 4, "--out", frames)
    run("collect", *settings, "--split", "train", "--window", 12, "--out", out, frames)
    made, expected = read_structures(out)[0], collected.structures[1]
    assert np.allclose(made.positions, expected.positions, atol=1e-6)
    assert np.array_equal(made.get_tags(), expected.get_tags())
    assert list(made.pbc) == [True, True, False]
    assert made.cell.lengths() == pytest.approx([*SUBSTRATE.sides, 25.0])
    assert made.info["split"] == "train"
    assert made.info["system"] == "test"
    assert (made.info["replica"], made.info["frame"]) == (4, 0)
    window, intended = Window.from_info(made.info), Window.from_info(expected.info)
    assert (window.x, window.y, window.angle) == pytest.approx((intended.x, intended.y, intended.angle))


def test_stores_that_do_not_belong_together_are_refused(stores, tmp_path):
    with pytest.raises(StoreError, match="frames of 'test', not of 'other'"):
        collect(stores, SUBSTRATE, **PLACE | {"system": "other"})
    with pytest.raises(StoreError, match="give each once"):
        collect([stores[0], stores[0]], SUBSTRATE, **PLACE)
    with pytest.raises(StoreError, match=r"not on \(4, 2\) of 4\.0782 Å"):
        collect(stores, Substrate(repeats=(4, 2)), **PLACE)
    shorter = tmp_path / "shorter.zarr"
    write_dataset(read_dataset(stores[0]).isel(frame=[0]).load(), shorter)
    with pytest.raises(StoreError, match=r"\[1, 2\] frames"):
        collect([shorter, stores[1]], SUBSTRATE, **PLACE)
    with pytest.raises(SettingsError, match="allowed: train, validation, test"):
        run("collect", "--system", "test", "--split", "exam", "--out", tmp_path / "none.extxyz", stores[0])


def test_frames_that_no_window_can_show_are_named(stores, monkeypatch):
    monkeypatch.setattr("hydrafm.md.windows.DRAWS", 0)
    with pytest.raises(StructureError, match=r"no window of 12 Å on 6 frames"):
        collect(stores, SUBSTRATE, **PLACE)
