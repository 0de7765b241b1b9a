import csv
import json

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from hydrafm.errors import ConvergenceError, SettingsError, StructureError
from hydrafm.potential import gpaw_slab
from hydrafm.potential.commands import app
from hydrafm.potential.point_charges import point_charge_plane
from hydrafm.potential.shard import solve_shard
from hydrafm.settings.potential import PointCharges, Potential
from hydrafm.store import read_dataset
from hydrafm.structure import write_structures

HEADER = ["index", "replica", "frame", "error", "seconds"]


@pytest.fixture
def structures(make_structure):
    """Five waters, each 0.1 Å higher than the one before."""
    listed = [make_structure(layers=2, index=index) for index in range(5)]
    for index, atoms in enumerate(listed):
        atoms.positions[atoms.get_tags() == 0, 2] += 0.1 * index
    return listed


def run(structures, folder, *, first, count, settings):
    """Call the command; give the store and the rows of failures."""
    source, out, failed = folder / "train.extxyz", folder / f"shard-{first}.zarr", folder / f"shard-{first}.failed.csv"
    write_structures(structures, source)
    arguments = ["solve", "--structures", source, "--out", out, "--failed", failed]
    arguments += ["--first", first, "--count", count, "--settings", json.dumps(settings)]
    CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    with failed.open() as stream:
        return read_dataset(out), list(csv.reader(stream))


def test_shards_together_hold_each_structure_once_and_unchanged(structures, tmp_path):
    """The last shard is clipped; each result is that of the structure alone."""
    stores = [run(structures, tmp_path, first=first, count=2, settings={}) for first in (0, 2, 4)]
    assert all(failures == [HEADER] for _, failures in stores)
    joined = xr.concat([read_dataset(tmp_path / f"shard-{first}.zarr") for first in (0, 2, 4)], "sample")
    assert joined["potential"].dims == ("sample", "u", "v")
    assert joined["potential"].dtype == np.float32
    assert joined["index"].to_numpy().tolist() == [0, 1, 2, 3, 4]
    model = PointCharges()
    for number, atoms in enumerate(structures):
        height = atoms.positions[:, 2].max() + 2.0
        assert float(joined["plane_height"][number]) == pytest.approx(height, abs=1e-6)
        alone = point_charge_plane(
            atoms, height, joined["potential"].shape[1:], charges=model.charges, image_plane=model.image_plane
        )
        assert np.allclose(joined["potential"][number], alone, atol=1e-6)
        assert abs(float(joined["potential"][number].mean())) < 1e-6


def test_a_store_explains_itself(structures, tmp_path):
    dataset, _ = run(structures, tmp_path, first=1, count=1, settings={"plane_spacing": 0.4})
    assert np.allclose(dataset.attrs["cell"], structures[0].cell.array)
    assert json.loads(dataset.attrs["settings"])["plane_spacing"] == 0.4
    assert (dataset.attrs["method"], dataset.attrs["system"], dataset.attrs["split"]) == (
        "point_charges",
        "water_au111",
        "train",
    )
    assert {name: variable.attrs["units"] for name, variable in dataset.data_vars.items()} == {
        "potential": "V",
        "plane_height": "Å",
        "index": "1",
        "seconds": "s",
        "iterations": "1",
        "attempt": "1",
    }


def test_what_does_not_converge_is_listed_and_leaves_the_rest_intact(structures, tmp_path, monkeypatch):
    """The third structure fails always, the fourth at the first attempt."""
    attempts = []

    def converge(slab, parameters):
        assert parameters["mode"] == "lcao"
        height = round(float(np.ptp(slab.positions[:, 2])), 2)
        attempts.append(height)
        third, fourth = (round(float(np.ptp(structures[index].positions[:, 2])), 2) for index in (2, 3))
        if height == third or (height == fourth and attempts.count(fourth) == 1):
            raise ConvergenceError("too few steps")
        z = np.arange(40) * slab.cell[2, 2] / 40
        return np.cos(2 * np.pi * np.arange(24) / 24)[:, None, None] * np.ones((1, 20, 1)) * np.exp(-z), 11

    monkeypatch.setattr(gpaw_slab, "converge", converge)
    dataset, failures = run(structures, tmp_path, first=1, count=9, settings={"method": "gpaw"})
    assert dataset["index"].to_numpy().tolist() == [1, 3, 4]
    assert dataset["attempt"].to_numpy().tolist() == [0, 1, 0]
    assert dataset["iterations"].to_numpy().tolist() == [11, 11, 11]
    assert failures[0] == HEADER
    assert [row[:3] for row in failures[1:]] == [["2", "7", "2"]]
    assert "did not converge in 3 attempts: too few steps" in failures[1][3]


def test_a_shard_without_any_result_is_still_readable(structures, tmp_path):
    """GPAW itself, with a single step allowed."""
    settings = {"method": "gpaw", "gpaw": {"basis": "sz(dzp)", "grid_spacing": 0.4, "layers": 1, "max_iterations": 1}}
    dataset, failures = run(structures, tmp_path, first=4, count=1, settings=settings)
    assert dataset.sizes["sample"] == 0
    assert dataset["potential"].dims == ("sample", "u", "v")
    assert [row[0] for row in failures] == ["index", "4"]
    run(structures, tmp_path, first=0, count=2, settings={})
    joined = xr.concat([read_dataset(tmp_path / f"shard-{first}.zarr") for first in (0, 4)], "sample")
    assert joined["index"].to_numpy().tolist() == [0, 1]


def test_structures_of_another_cell_are_refused(structures):
    structures[1].cell[0, 0] += 0.5
    with pytest.raises(StructureError, match="share one cell"):
        solve_shard(structures, first=0, count=2, settings=Potential())


def test_numbers_beyond_the_file_are_refused(structures):
    with pytest.raises(StructureError, match=r"structures 5 to 9 were asked for, there are 5"):
        solve_shard(structures, first=5, count=5, settings=Potential())


def test_a_charge_that_is_missing_stops_the_shard(structures):
    settings = Potential.parse({"point_charges": {"charges": {"O": -0.8476}}})
    with pytest.raises(SettingsError, match=r"point_charges\.charges: no charge for H"):
        solve_shard(structures, first=0, count=2, settings=settings)
