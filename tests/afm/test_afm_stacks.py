"""The command, from structures and their potentials to a store of stacks."""

import json

import numpy as np
import pytest
import xarray as xr
from ase import Atoms
from typer.testing import CliRunner

from hydrafm.afm.commands import app
from hydrafm.afm.stacks import render_stacks
from hydrafm.afm.structure_file import render_structures
from hydrafm.errors import GridError, StoreError, StructureError
from hydrafm.settings.afm import Scan, Tip
from hydrafm.store import read_dataset, write_dataset
from hydrafm.structure import Window, write_structures

SCAN = Scan(size=10.0, pixels=16, spacing=0.2, heights=3)
CELL = np.diag([12.0, 14.0])


def slab(index):
    """Two water molecules and a sodium ion on six gold atoms, seen through a window of their own."""
    water = Atoms(
        "OHHOHHNa",
        positions=[
            (2, 2, 3), (2.7, 2.5, 3.2), (1.4, 2.5, 3.4), (7, 8, 3), (7.7, 8.5, 3.2), (6.4, 8.5, 3.4), (5, 5, 2.6),
        ],
    )  # fmt: skip
    water.translate((0.37 * index, 0.61 * index, 0.0))
    gold = Atoms("Au6", positions=[(3 * i, 6 * j, 0) for i in range(3) for j in range(2)], tags=[1] * 6)
    atoms = water + gold
    atoms.set_cell([12.0, 14.0, 30.0])
    atoms.pbc = (True, True, False)
    window = Window(1.0 + index, 2.0, 0.3 * index, 10.0).to_info()
    origin = {"system": "na", "split": "test", "replica": 2, "frame": index // 2, "index": index, "temperature": 300.0}
    atoms.info |= {**window, **origin}
    return atoms


def potentials(indices, height=5.4):
    """A smooth potential for each structure, in the store's layout."""
    u, v = np.meshgrid(np.arange(40) / 40, np.arange(48) / 48, indexing="ij")
    plane = 0.1 * np.cos(2 * np.pi * (u + v)) + 0.05 * np.sin(2 * np.pi * (2 * u - v))
    return xr.Dataset(
        {
            "potential": (("sample", "u", "v"), np.stack([plane] * len(indices)) if indices else np.zeros((0, 40, 48))),
            "plane_height": (("sample",), np.full(len(indices), height)),
            "index": (("sample",), np.array(indices, dtype=np.int64)),
        },
        attrs={"cell": CELL.tolist(), "method": "point_charges"},
    )


@pytest.fixture(scope="module")
def stacks():
    return render_stacks([slab(0), slab(1), slab(2)], potentials([2, 0, 1]), Tip(), SCAN, seed=5)


def test_a_stack_is_the_same_in_whatever_shard_it_is_made(stacks):
    alone = render_stacks([slab(1)], potentials([1]), Tip(), SCAN, seed=5)
    np.testing.assert_array_equal(alone["frequency_shift"][0], stacks["frequency_shift"][2])
    assert float(alone["tip_charge"][0]) == float(stacks["tip_charge"][2])


def test_every_structure_has_a_tip_of_its_own_and_the_seed_draws_another(stacks):
    assert len(set(stacks["tip_amplitude"].to_numpy())) == 3
    other = render_stacks([slab(1)], potentials([1]), Tip(), SCAN, seed=6)
    assert float(other["tip_charge"][0]) != float(stacks["tip_charge"][2])


def test_labels_lie_in_the_window_at_and_below_the_topmost_atom(stacks):
    position, number = stacks["atom_position"].to_numpy(), stacks["atom_number"].to_numpy()
    for sample in range(3):
        seen = position[sample][number[sample] > 0]
        assert seen[:, :2].min() >= 0
        assert seen[:, :2].max() <= 10
        assert seen[:, 2].max() == pytest.approx(0.0, abs=1e-6)
        assert not np.any(number[sample] == 79)
        assert not position[sample][number[sample] == 0].any()


def test_every_number_says_its_unit_and_its_name(stacks):
    for name, variable in stacks.variables.items():
        assert variable.attrs["units"], name
        assert variable.attrs["long_name"], name
    assert stacks["frequency_shift"].dtype == np.float32
    assert np.isfinite(stacks["frequency_shift"]).all()
    assert not stacks["unconverged"].any()


def test_structures_from_anywhere_make_a_store_of_the_same_layout(stacks):
    """So that networks and figures read both."""
    own = render_structures([slab(0), slab(1)], Tip(), SCAN, charges="none")
    assert set(own.variables) == set(stacks.variables)
    for name in stacks.variables:
        assert own[name].dims == stacks[name].dims, name
        assert own[name].dtype == stacks[name].dtype, name
        assert own[name].attrs == stacks[name].attrs, name
        assert own[name].shape[1:] == stacks[name].shape[1:] or "atom" in own[name].dims, name
    for axis in ("z", "y", "x"):
        np.testing.assert_array_equal(own[axis], stacks[axis])
    assert set(own.attrs) - {"lennard_jones", "windows"} == set(stacks.attrs) - {"system", "split"}


def run(tmp_path, shard, structures):
    write_structures(structures, tmp_path / "structures.extxyz")
    write_dataset(shard, tmp_path / "potential.zarr")
    arguments = ["stacks", "--structures", tmp_path / "structures.extxyz", "--potential", tmp_path / "potential.zarr"]
    arguments += ["--scan", SCAN.model_dump_json(), "--seed", 5, "--out", tmp_path / "stacks.zarr"]
    arguments += ["--tip", json.dumps({"amplitude": 0.5}), "--quick-look", tmp_path / "look.png"]
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_command_writes_a_store_and_a_picture(tmp_path):
    assert run(tmp_path, potentials([1, 0]), [slab(0), slab(1)]).exit_code == 0
    written = read_dataset(tmp_path / "stacks.zarr")
    assert written["frequency_shift"].dims == ("sample", "z", "y", "x")
    assert written["index"].to_numpy().tolist() == [1, 0]
    assert written["z"].to_numpy() == pytest.approx([2.9, 3.1, 3.3])
    assert written["x"].to_numpy()[[0, -1]] == pytest.approx([0.3125, 9.6875])
    assert json.loads(written.attrs["tip"])["amplitude"] == [0.5, 0.5]
    assert written.attrs["system"] == "na"
    assert (tmp_path / "look.png").read_bytes().startswith(b"\x89PNG")


def test_an_empty_shard_gives_an_empty_store(tmp_path):
    assert run(tmp_path, potentials([]), [slab(0)]).exit_code == 0
    written = read_dataset(tmp_path / "stacks.zarr")
    assert written["frequency_shift"].shape == (0, 3, 16, 16)
    assert written["atom_number"].shape[0] == 0


def test_a_structure_whose_potential_begins_too_high_for_its_window_is_left_out_and_named():
    """A molecule outside the window towers above all inside and lifts the plane."""
    tall = slab(1)
    tower = Window.from_info(tall.info).to_cell(np.array([[-0.5, -0.5]]))[0]
    tall += Atoms("O", positions=[(*tower, 6.5)])
    shard = potentials([0, 1])
    shard["plane_height"][1] = 8.5
    made = render_stacks([slab(0), tall], shard, Tip(), SCAN, seed=5)
    assert made["index"].to_numpy().tolist() == [0]
    assert made.attrs["left_out"] == [1]
    with pytest.raises(GridError, match="below the plane"):
        render_stacks([slab(0)], potentials([0], height=8.5), Tip(), SCAN, seed=5)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(StoreError, match="names structure 3"):
        render_stacks([slab(0)], potentials([3]), Tip(), SCAN, seed=5)
    with pytest.raises(StoreError, match="another cell"):
        render_stacks([slab(0)], potentials([0]).assign_attrs(cell=[[9, 0], [0, 9]]), Tip(), SCAN, seed=5)
    with pytest.raises(StoreError, match="lacks plane_height"):
        render_stacks([slab(0)], potentials([0]).drop_vars("plane_height"), Tip(), SCAN, seed=5)
    with pytest.raises(StructureError, match=r"scan\.size is 11 Å, but the window of structure 0 is 10 Å"):
        render_stacks([slab(0)], potentials([0]), Tip(), SCAN.model_copy(update={"size": 11.0}), seed=5)
    broken = slab(0)
    broken.positions[1, 2] = np.nan
    with pytest.raises(StructureError, match="not finite"):
        render_stacks([broken], potentials([0]), Tip(), SCAN, seed=5)
    unnamed = slab(0)
    del unnamed.info["split"]
    with pytest.raises(StructureError, match="does not name its split"):
        render_stacks([unnamed], potentials([0]), Tip(), SCAN, seed=5)
