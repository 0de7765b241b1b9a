"""The numbers behind the figures are those of the files they come from."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hydrafm.errors import StoreError
from hydrafm.figures import account, accuracy, curves, examples
from hydrafm.figures.style import save
from hydrafm.store import write_dataset


def write_metrics(folder: Path, strategy: str, n_train: int, seed: int, value: float) -> Path:
    path = folder / strategy / f"n{n_train}" / f"seed{seed}" / "metrics.json"
    path.parent.mkdir(parents=True)
    point = {"system": "film", "strategy": strategy, "n_train": n_train, "n_train_used": n_train, "seed": seed}
    entries = [
        {"species": name, "radius": radius, "accuracy": value} for name in ("O", "H") for radius in ("strict", "1.0")
    ]
    path.write_text(json.dumps({**point, "n_test": 5, "accuracy": entries, "ece": {"O": 0.1, "H": 0.2}}))
    return path


def test_the_table_has_a_row_for_each_point_species_and_radius(tmp_path: Path) -> None:
    files = [write_metrics(tmp_path, "transfer", n, seed, 0.1 * seed) for n in (8, 16) for seed in (0, 1, 2)]
    table = accuracy.tabulate(files)
    assert list(table.columns[:7]) == ["system", "strategy", "n_train", "seed", "species", "radius", "accuracy"]
    assert len(table) == 2 * 3 * 2 * 2
    assert table.groupby("n_train")["accuracy"].mean().tolist() == pytest.approx([0.1, 0.1])


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    table = accuracy.tabulate([write_metrics(tmp_path, s, 8, 0, 0.5) for s in ("transfer", "scratch")])
    for name in ("a.svg", "b.svg"):
        save(accuracy.draw(table), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_the_drawn_points_are_means_over_seeds(tmp_path: Path) -> None:
    table = accuracy.tabulate(
        [write_metrics(tmp_path, "scratch", 8, seed, value) for seed, value in enumerate((0.2, 0.6))]
    )
    panel = accuracy.draw(table).axes[0]
    heights = [line.get_ydata()[0] for line in panel.lines if len(line.get_xdata()) == 1 and line.get_marker() == "o"]
    assert heights == pytest.approx([0.4, 0.4])


def test_what_is_no_metrics_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(StoreError, match=r"metrics\.json is no metrics file"):
        accuracy.tabulate([tmp_path / "metrics.json"])


def test_histories_are_named_by_their_folders(tmp_path: Path) -> None:
    path = tmp_path / "results/learn/transfer/n8/seed1/history.csv"
    path.parent.mkdir(parents=True)
    path.write_text("step,train_loss,validation_loss\n1,2.0,\n2,1.0,1.5\n")
    table = curves.tabulate([path])
    assert set(table["training"]) == {"transfer/n8/seed1"}
    assert curves.draw(table).axes[0].get_title() == "transfer"


def test_examples_list_true_and_predicted_atoms_of_a_stack() -> None:
    stacks = xr.Dataset(
        {
            "frequency_shift": (("sample", "z", "y", "x"), np.zeros((2, 3, 4, 4), dtype=np.float32)),
            "atom_number": (("sample", "atom"), np.array([[8, 1, 0], [11, 0, 0]])),
            "atom_position": (("sample", "atom", "axis"), np.zeros((2, 3, 3), dtype=np.float32)),
            "index": (("sample",), np.array([0, 2])),
        },
        coords={name: (np.arange(4) + 0.5 if name != "z" else np.arange(3.0)) for name in ("z", "y", "x")},
    )
    predictions = {
        "index": np.array([2, 2]),
        "number": np.array([11, 8]),
        **{name: np.array([1.0, 2.0]) for name in ("x", "y", "z", "confidence")},
    }
    table = examples.tabulate(stacks, predictions, count=5)
    assert table.groupby(["index", "kind"]).size().to_dict() == {(0, "true"): 2, (2, "true"): 1, (2, "predicted"): 2}
    panels = examples.draw(stacks, table).axes
    assert {panel.get_xlim() for panel in panels} == {(0.0, 4.0)}
    assert len(panels[3].patches) == 2
    titles = [panel.get_title() for panel in panels]
    assert "true: 1 H, 1 O" in titles
    assert "predicted: 1 Na, 1 O" in titles
    assert "predicted: nothing" in titles


def test_structures_left_out_are_counted_beside_the_others(tmp_path: Path) -> None:
    potentials, stacks = tmp_path / "potential/film/gpaw/test", tmp_path / "afm/film/test"
    for shard, solved, lost in ((0, 3, 1), (1, 0, 2)):
        indices = (("sample",), np.arange(solved))
        write_dataset(xr.Dataset({"index": indices}), potentials / f"shard-{shard}.zarr")
        (potentials / f"shard-{shard}.failed.csv").write_text("index,error\n" + "5,x\n" * lost)
        rendered = (("sample",), np.arange(solved)[1:])
        write_dataset(
            xr.Dataset({"index": rendered}, attrs={"left_out": [0] if solved else []}), stacks / f"shard-{shard}.zarr"
        )
    counts = account.count_structures(sorted(potentials.glob("*.csv")), sorted(stacks.glob("*.zarr")))
    expected = {"potential_solved": 3, "potential_failed": 3, "stacks_rendered": 2, "stacks_left_out": 1}
    assert counts.to_dict("records") == [{"system": "film", "split": "test", **expected}]


def test_costs_are_summed_for_each_rule(tmp_path: Path) -> None:
    for job, seconds in enumerate((1.5, 2.5)):
        path = tmp_path / f"render_stacks/film/{job}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\tmax_rss\n{seconds}\t{100 * job}\n")
    cost = account.sum_cost(tmp_path)
    assert cost.to_dict("records") == [{"rule": "render_stacks", "jobs": 2, "wall_s": 4.0, "peak_MB": 100.0}]
    assert account.sum_cost(tmp_path / "nothing").empty
    assert isinstance(cost, pd.DataFrame)
