import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hydrafm.errors import ConvergenceError, GridError, HydrafmError, StoreError
from hydrafm.learn.commands import app
from hydrafm.learn.data import TrainingBatches, read_stacks
from hydrafm.learn.evaluation import evaluate
from hydrafm.learn.prediction import predict
from hydrafm.learn.training import train
from hydrafm.learn.weights import read_weights
from hydrafm.settings.artefacts import Artefacts
from hydrafm.settings.learn import Network, Training

NETWORK = Network(slices=5, width=16, levels=2, cells=16)
TINY = Network(slices=5, width=8, levels=2, cells=16)
SOLVE = Training(steps=600, batch=8, learning_rate=8e-3, validations=3)
SHORT = Training(steps=7, batch=2, validations=3)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def accuracies(weights: Path, test: Path) -> dict[str, float]:
    trained, stacks = read_weights(weights), read_stacks([test])
    found = predict(trained.network, stacks, trained.boxes)
    result = evaluate(found, stacks, trained.boxes, trained.card.thresholds)
    return {row["species"]: row["accuracy"] for row in result["accuracy"] if row["radius"] == "1.0"}


def run(toy, out: Path, *, count: int = 4, settings: Training = SHORT, network: Network = TINY, **more):
    return train(
        read_stacks([toy(count, 1)]),
        read_stacks([toy(3, 2)]),
        network=network,
        artefacts=Artefacts(),
        training=settings,
        seed=more.pop("seed", 0),
        out=out,
        history=out.with_suffix(".csv"),
        **more,
    )


def losses(history: Path) -> list[dict[str, float]]:
    with history.open() as opened:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(opened)]


def test_a_short_training_solves_the_toy(toy, tmp_path):
    card = train(
        read_stacks([toy(128, 0)]),
        read_stacks([toy(16, 1)]),
        network=NETWORK,
        artefacts=Artefacts(),
        training=SOLVE,
        seed=0,
        out=tmp_path / "w.safetensors",
        history=tmp_path / "h.csv",
    )
    history = losses(tmp_path / "h.csv")
    assert [row["step"] for row in history] == [200, 400, 600]
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]
    assert card.n_train_used == 128
    assert card.systems == ("toy",)
    result = accuracies(tmp_path / "w.safetensors", toy(48, 2))
    assert np.mean(list(result.values())) >= 0.9, result
    assert min(result.values()) >= 0.85, result


def test_labels_of_other_images_teach_nothing(toy, tmp_path):
    """Without a link from image to label the score is what chance gives; a leak of the test set would show here."""
    train(
        read_stacks([toy(24, 0, shuffled=True)]),
        read_stacks([toy(8, 1, shuffled=True)]),
        network=TINY,
        artefacts=Artefacts(),
        training=SOLVE.model_copy(update={"steps": 100}),
        seed=0,
        out=tmp_path / "w.safetensors",
        history=tmp_path / "h.csv",
    )
    assert max(accuracies(tmp_path / "w.safetensors", toy(32, 2)).values()) < 0.1


def options(**values) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("last_step", [4, 6])
def test_a_killed_training_goes_on_to_the_same_weights_bit_for_bit(toy, tmp_path, monkeypatch, last_step):
    """Killed within the second and within the third part: it goes on from the checkpoint before."""
    run(toy, tmp_path / "whole.safetensors")
    batch_of, seen = TrainingBatches.__getitem__, []

    def dying(self, step):
        if step == last_step:
            raise KilledError
        return batch_of(self, step)

    def watched(self, step):
        seen.append(step)
        return batch_of(self, step)

    out = tmp_path / "killed.safetensors"
    monkeypatch.setattr(TrainingBatches, "__getitem__", dying)
    with pytest.raises(KilledError):
        run(toy, out)
    assert not out.exists()
    monkeypatch.setattr(TrainingBatches, "__getitem__", watched)
    run(toy, out)
    assert seen == list(range(3 * (last_step // 3), 7))
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert out.with_suffix(".csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert not out.with_name(f"{out.name}.resume").exists()


def test_a_broken_checkpoint_is_not_used(toy, tmp_path, monkeypatch):
    run(toy, tmp_path / "whole.safetensors")
    out = tmp_path / "w.safetensors"
    batch_of = TrainingBatches.__getitem__
    monkeypatch.setattr(TrainingBatches, "__getitem__", lambda self, step: batch_of(self, step) if step < 4 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(toy, out)
    (checkpoint,) = out.with_name(f"{out.name}.resume").glob("*.ckpt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    monkeypatch.setattr(TrainingBatches, "__getitem__", batch_of)
    run(toy, out)
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_a_folder_given_for_the_checkpoint_keeps_all_else_that_is_in_it(toy, tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    run(toy, tmp_path / "w.safetensors", resume=folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(toy, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(toy, tmp_path / f"{name}.safetensors", seed=seed)
    a, b, c = (read_weights(tmp_path / f"{name}.safetensors").network.state_dict() for name in "abc")
    assert all(a[name].equal(b[name]) for name in a)
    assert not all(a[name].equal(c[name]) for name in a)


def test_fine_tuning_starts_from_the_given_weights(toy, tmp_path):
    """Steps too small to move anything leave the weights as they were."""
    run(toy, tmp_path / "first.safetensors")
    still = SHORT.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    run(toy, tmp_path / "next.safetensors", settings=still, initial=tmp_path / "first.safetensors", seed=5)
    first, after = (read_weights(tmp_path / f"{name}.safetensors").network.state_dict() for name in ("first", "next"))
    assert all(torch.allclose(first[name], after[name], atol=1e-8) for name in first)


def test_unfitting_parts_are_refused_before_the_first_step(toy, tmp_path):
    with pytest.raises(GridError, match="no multiple of the network's 24 cells"):
        run(toy, tmp_path / "w.safetensors", network=TINY.model_copy(update={"cells": 24}))
    with pytest.raises(GridError, match="6"):
        run(toy, tmp_path / "w.safetensors", network=TINY.model_copy(update={"slices": 9}))
    run(toy, tmp_path / "w.safetensors")
    with pytest.raises(StoreError, match="belong to another network"):
        run(toy, tmp_path / "x.safetensors", network=NETWORK, initial=tmp_path / "w.safetensors")


def test_a_loss_that_is_no_number_stops_the_training(toy, tmp_path):
    stacks = read_stacks([toy(4, 1)])
    huge = replace(stacks, image=stacks.image * np.float32(1e30))
    out, history = tmp_path / "w.safetensors", tmp_path / "h.csv"
    with pytest.raises(ConvergenceError, match="not finite at step 3; lower learning_rate"):
        train(huge, huge, network=TINY, artefacts=Artefacts(), training=SHORT, seed=0, out=out, history=history)
    assert not out.exists()


def test_the_commands_run_from_stacks_to_metrics_and_predictions(toy, tmp_path):
    weights, history = tmp_path / "w.safetensors", tmp_path / "h.csv"
    settings = {"network": TINY.model_dump_json(), "training": SHORT.model_dump_json(), "artefacts": '{"white": 0.1}'}
    rest = options(**settings, n_train=100, seed=3, out=weights, history=history)
    done = CliRunner().invoke(
        app,
        ["train", "--stacks", str(toy(4, 1)), "--stacks", str(toy(3, 5)), "--validation", str(toy(3, 2)), *rest],
        catch_exceptions=False,
    )
    assert done.exit_code == 0
    assert read_weights(weights).card.n_train_used == 7
    assert losses(history)[-1]["step"] == 7
    metrics, predictions = tmp_path / "metrics.json", tmp_path / "predictions.npz"
    rest = options(system="toy", strategy="transfer", n_train=100, seed=3, out=metrics, predictions=predictions)
    done = CliRunner().invoke(
        app,
        ["evaluate", "--weights", str(weights), "--stacks", str(toy(5, 1)), *rest],
        catch_exceptions=False,
    )
    assert done.exit_code == 0
    record = json.loads(metrics.read_text())
    assert {key: record[key] for key in ("system", "strategy", "n_train", "n_train_used", "seed", "n_test")} == {
        "system": "toy",
        "strategy": "transfer",
        "n_train": 100,
        "n_train_used": 7,
        "seed": 3,
        "n_test": 5,
    }
    assert {(row["species"], row["radius"], row["radius_A"]) for row in record["accuracy"]} == {
        ("H", "strict", 0.528),
        ("O", "strict", 0.74),
        ("Na", "strict", 0.74),
        ("H", "1.0", 1.0),
        ("O", "1.0", 1.0),
        ("Na", "1.0", 1.0),
    }
    assert record["ece"].keys() == {"H", "O", "Na"}
    with np.load(predictions, allow_pickle=False) as arrays:
        assert set(arrays) == {"sample", "index", "number", "x", "y", "z", "confidence"}
        assert len({arrays[name].shape for name in arrays}) == 1


def test_errors_of_the_commands_are_of_the_kind_told_in_one_line(toy, tmp_path):
    arguments = ["--validation", str(toy(3, 2)), "--out", str(tmp_path / "w"), "--history", str(tmp_path / "h")]
    for more in (
        ["--stacks", str(tmp_path / "absent.zarr")],
        ["--stacks", str(toy(3, 2)), "--training", '{"step": 1}'],
    ):
        result = CliRunner().invoke(app, ["train", *more, *arguments])
        assert isinstance(result.exception, HydrafmError)
        assert "\n" not in str(result.exception)
