"""What a dry run plans, and what it refuses, without starting a job."""

import shutil
from pathlib import Path

import pytest
import yaml
from checkouts import Checkout

PAPER = "config/config.yaml"


def test_the_paper_plans_one_training_for_each_n_strategy_and_seed(checkout: Checkout) -> None:
    plan = checkout.plan(config=None)
    assert plan["train"] == plan["evaluate"] == 7 * 2 * 3
    assert plan["pretrain"] == plan["evaluate_pretrained"] == 3
    assert plan["simulate_replica"] == (500 + 25 + 25) + (500 + 25 + 50)
    assert plan["collect_structures"] == 2 * 3
    assert plan["solve_potential"] == plan["render_stacks"] == (100 + 5 + 5) + (200 + 4 + 10)


def test_one_point_needs_its_own_structures_alone(checkout: Checkout) -> None:
    plan = checkout.plan("results/learn/scratch/n100/seed2/metrics.json", config=None)
    assert plan["train"] == plan["evaluate"] == 1
    assert "pretrain" not in plan
    assert plan["render_stacks"] == 100 // 50 + 4 + 10


def test_transfer_brings_its_pretraining(checkout: Checkout) -> None:
    plan = checkout.plan("results/learn/transfer/n700/seed1/metrics.json", config=None)
    assert plan["train"] == plan["pretrain"] == 1


def test_more_than_there_is_is_refused(checkout: Checkout) -> None:
    result = checkout.snakemake("-n", "results/learn/scratch/n10001/seed0/metrics.json", config=None)
    assert result.returncode != 0
    assert "N = 10001" in result.stdout
    assert "up to 10000" in result.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scann": {"pixels": 64}}, ["scann: unknown key", "systems, tip, scan, learn"]),
        ({"scan": {"size": -3}}, ["scan.size: found -3 Å", "greater than or equal to 5"]),
        ({"learn": {"sweep": {"n_train": [100, 20000]}}}, ["learn.sweep.n_train: found 20000", "up to 10000"]),
        ({"learn": {"sweep": {"target": "ice"}}}, ["learn.sweep.target", "'ice'", "water_au111, na_hydrate_au111"]),
    ],
)
def test_a_bad_config_is_refused_in_one_line(checkout: Checkout, change: dict[str, object], words: list[str]) -> None:
    (checkout.folder / "bad.yaml").write_text(yaml.safe_dump(change))
    result = checkout.snakemake(config="bad.yaml")
    assert result.returncode == 1
    lines = [line for line in result.stdout.splitlines() if words[0] in line]
    assert len(lines) == 1, result.stdout
    for word in words:
        assert word in lines[0]
    assert not (checkout.folder / "results").exists()


NEEDS_CONDA = pytest.mark.skipif(shutil.which("conda") is None, reason="no conda command here")


@pytest.mark.parametrize("profile", ["slurm", pytest.param("profiles/conda", marks=NEEDS_CONDA)])
def test_the_profiles_plan_the_same_study(checkout: Checkout, profile: str) -> None:
    assert checkout.plan("--profile", profile, config="config/demo.yaml")["train"] == 12


def test_every_rule_names_its_environment_log_and_resources() -> None:
    for path in (Path(__file__).parents[2] / "workflow/rules").glob("*.smk"):
        for rule in path.read_text().split("\nrule ")[1:]:
            body = rule.split("\n\n\n")[0]
            if "shell:" in body:
                for part in ("log:", "conda:", "threads:", "mem_mb=", "runtime=", "gpu=", "code=code_of"):
                    assert part in body, f"{path.name}: {body.splitlines()[0]} lacks {part}"
