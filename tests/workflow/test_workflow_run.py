"""The tiny study, run for real: what it leaves, what reruns, what survives a kill."""

import csv
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from checkouts import Checkout

ALL_AFTER_STACKS = {
    "all",
    "render_stacks",
    "pretrain",
    "train",
    "evaluate",
    "evaluate_pretrained",
    "draw_accuracy",
    "draw_examples",
    "draw_learning_curves",
    "tabulate_study",
}


def test_the_figure_has_its_numbers(finished: Checkout) -> None:
    figures = finished.folder / "results/figures"
    with (figures / "accuracy_vs_n.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 1 * 3 * 2  # N, strategies, seeds, species, radii
    assert {row["radius"] for row in rows} == {"strict", "1.0"}
    assert {row["species"] for row in rows} == {"H", "O", "Na"}
    assert all(0 <= float(row["accuracy"]) <= 1 for row in rows)
    assert {row["n_test"] for row in rows} == {"1"}
    for name in ("accuracy_vs_n.svg", "examples_transfer.svg", "learning_curves.svg", "structures_water_au111.svg"):
        assert "<svg" in (figures / name).read_text()


def test_the_account_counts_structures_and_jobs(finished: Checkout) -> None:
    with (finished.folder / "results/figures/counts.csv").open() as file:
        counts = {(row["system"], row["split"]): row for row in csv.DictReader(file)}
    for system, structures in (("water_au111", 4), ("na_hydrate_au111", 2)):
        row = counts[system, "train"]
        assert int(row["potential_solved"]) + int(row["potential_failed"]) == structures
        assert int(row["stacks_rendered"]) + int(row["stacks_left_out"]) == int(row["potential_solved"])
    with (finished.folder / "results/figures/cost.csv").open() as file:
        jobs = {row["rule"]: int(row["jobs"]) for row in csv.DictReader(file)}
    assert jobs["simulate_replica"] == 8
    assert jobs["train"] == 4


def test_a_second_run_has_nothing_to_do(finished: Checkout) -> None:
    result = finished.snakemake()
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout


def test_a_docstring_reruns_nothing_and_a_constant_exactly_what_follows(finished: Checkout) -> None:
    renderer = finished.folder / "src/hydrafm/afm/sample.py"
    before = renderer.read_text()
    try:
        renderer.write_text(before.replace('"""', '"""Edited: ', 1) + "\n# A comment.\n")
        assert finished.plan() == {}
        finished.edit("src/hydrafm/afm/sample.py", "REACH = 10.0", "REACH = 10.5")
        assert set(finished.plan()) == ALL_AFTER_STACKS
    finally:
        renderer.write_text(before)
    assert finished.plan() == {}


def test_a_setting_of_training_reruns_no_image(finished: Checkout) -> None:
    tiny = finished.folder / "tests/workflow/tiny.yaml"
    before = tiny.read_text()
    try:
        tiny.write_text(before.replace("finetune: {steps: 4", "finetune: {steps: 5"))
        plan = finished.plan()
    finally:
        tiny.write_text(before)
    assert plan["train"] == 4
    assert not {"render_stacks", "pretrain", "solve_potential"} & set(plan)


def modified(folder: Path) -> dict[str, int]:
    """Note when each result was last written."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.parametrize(
    ("rule", "target"),
    [
        ("solve_potential", "results/afm/na_hydrate_au111/test/shard-0.zarr"),
        pytest.param("simulate_replica", "results/md/water_au111/structures/train.extxyz", marks=pytest.mark.slow),
        pytest.param("render_stacks", "results/afm/water_au111/train/shard-0.zarr", marks=pytest.mark.slow),
        pytest.param("train", "results/learn/transfer/n2/seed0/metrics.json", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_goes_on_where_it_was(checkout: Checkout, rule: str, target: str) -> None:
    """Kill the whole process group with SIGKILL while a job of the rule is at work."""
    run = subprocess.Popen(
        checkout.command(target),
        cwd=checkout.folder,
        env=checkout.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    while not any((checkout.folder / "logs").glob(f"*/{rule}/**/*.log")):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    unfinished = sum(checkout.snakemake("--unlock").returncode == 0 and checkout.plan(target).values())
    before = modified(checkout.folder / "results")
    result = checkout.snakemake(target)
    assert result.returncode == 0, result.stdout[-4000:]
    assert f"{unfinished} of {unfinished} steps (100%) done" in result.stdout
    after = modified(checkout.folder / "results")
    assert {path: after[path] for path in before if path in after} == before
    assert (checkout.folder / target).exists()
