"""What a study costs: a few real jobs at its own settings, measured and multiplied by its plan.

    ./run python benchmarks/study_cost.py laptop        # or: demo, paper

For each system one replica is simulated, structures are cut, potentials solved, stacks rendered, and
a network trained for some steps, with the very commands of the workflow. CPU seconds of the whole
process (its start counted apart) are multiplied by the number of structures, replicas and steps in
the plan; memory is the largest of one process; disk counts the stores that stay. Writes
benchmarks/results/study_cost_{size}.json. The products are estimates: only the samples are measured.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hydrafm.settings.md import SPLITS
from hydrafm.settings.merge import read_study
from hydrafm.settings.study import Study, System

ROOT = Path(__file__).parents[1]
FRAMES = 3
STRUCTURES = 2
STEPS = (10, 60)


@dataclass(frozen=True)
class Cost:
    """CPU seconds, wall seconds and peak memory (MB) of one process."""

    cpu: float
    wall: float
    memory: float


def measure(folder: Path, *command: str) -> Cost:
    """Run a command of hydrafm with one thread and account for it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    begin = os.times().elapsed
    process = subprocess.Popen(["hydrafm", *command], cwd=folder, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"hydrafm {' '.join(command[:2])} failed")
    return Cost(usage.ru_utime + usage.ru_stime, os.times().elapsed - begin, usage.ru_maxrss / 1024)


def disk(path: Path) -> float:
    """Size of a store, MB."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def sample_system(folder: Path, study: Study, name: str, system: System) -> dict[str, dict[str, float]]:
    """Measure the stages up to the images for one system."""
    substrate = system.substrate.model_dump_json()
    common = ("--system", name, "--seed", str(study.seed))
    simulated = []
    for frames in (1, FRAMES):
        options = ("--frames", str(frames), "--substrate", substrate)
        settings = ("--composition", system.composition.model_dump_json(), "--dynamics", system.md.model_dump_json())
        simulated.append(measure(folder, "md", "simulate", *common, *options, *settings, "--out", f"{name}.zarr"))
    collect = ("--split", "test", "--window", str(study.scan.size), "--substrate", substrate)
    measure(folder, "md", "collect", *common, *collect, "--out", f"{name}.extxyz", f"{name}.zarr")
    solved, rendered = [], []
    for count in (1, 1 + STRUCTURES):
        limits = ("--structures", f"{name}.extxyz", "--first", "0", "--count", str(count))
        settings = ("--settings", system.potential.model_dump_json(), "--failed", f"{name}.csv")
        solved.append(measure(folder, "potential", "solve", *limits, *settings, "--out", f"{name}-v.zarr"))
        scan = ("--scan", study.scan.model_dump_json(), "--tip", study.tip.model_dump_json(), "--seed", str(study.seed))
        sources = ("--structures", f"{name}.extxyz", "--potential", f"{name}-v.zarr")
        rendered.append(measure(folder, "afm", "render", *sources, *scan, "--out", f"{name}-s.zarr"))
    return {
        "simulate_replica": linear(simulated, 1, FRAMES) | {"MB": disk(folder / f"{name}.zarr") / FRAMES},
        "solve_potential": linear(solved, 1, 1 + STRUCTURES)
        | {"MB": disk(folder / f"{name}-v.zarr") / (1 + STRUCTURES)},
        "render_stacks": linear(rendered, 1, 1 + STRUCTURES)
        | {"MB": disk(folder / f"{name}-s.zarr") / (1 + STRUCTURES)},
    }


def sample_training(folder: Path, study: Study, name: str) -> dict[str, float]:
    """Measure a step of training on the stacks of a system."""
    costs = []
    for steps in STEPS:
        training = study.learn.finetune.model_copy(update={"steps": steps, "validations": 1})
        settings = ("--network", study.learn.network.model_dump_json(), "--training", training.model_dump_json())
        data = ("--stacks", f"{name}-s.zarr", "--validation", f"{name}-s.zarr", "--seed", "0")
        costs.append(
            measure(folder, "learn", "train", *data, *settings, "--out", "w.safetensors", "--history", "h.csv")
        )
    return linear(costs, *STEPS)


def linear(costs: list[Cost], few: int, many: int) -> dict[str, float]:
    """Split two measurements into a start and a cost for each further unit."""
    each = max(costs[1].cpu - costs[0].cpu, 0.0) / (many - few)  # below the noise of a start: nothing
    start = costs[0].cpu - few * each
    return {"start_cpu_s": start, "each_cpu_s": each, "peak_MB": max(cost.memory for cost in costs)}


def plan(
    study: Study, samples: dict[str, dict[str, dict[str, float]]], step: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Multiply the samples by the study's plan."""
    totals: dict[str, dict[str, float]] = {}
    for name, system in study.systems.items():
        structures = sum(getattr(system.splits, split).structures for split in SPLITS)
        jobs = {
            "simulate_replica": sum(getattr(system.splits, split).replicas for split in SPLITS),
            "solve_potential": sum(len(system.shards(split)) for split in SPLITS),
            "render_stacks": sum(len(system.shards(split)) for split in SPLITS),
        }
        for rule, count in jobs.items():
            cost = samples[name][rule]
            hours = (count * cost["start_cpu_s"] + structures * cost["each_cpu_s"]) / 3600
            totals[f"{rule} {name}"] = {
                "cpu_h": hours,
                "peak_MB": cost["peak_MB"],
                "disk_GB": structures * cost["MB"] / 1e3,
            }
    sweep = study.learn.sweep
    points = len(sweep.n_train) * len(sweep.strategies) * sweep.seeds
    for rule, trainings, steps in (
        ("pretrain", sweep.seeds, study.learn.pretrain.steps),
        ("train", points, study.learn.finetune.steps),
    ):
        hours = trainings * (step["start_cpu_s"] + steps * step["each_cpu_s"]) / 3600
        totals[rule] = {"cpu_h": hours, "peak_MB": step["peak_MB"], "disk_GB": 0.0}
    return totals


def main(size: str) -> None:
    """Measure one size of the study and write what it costs."""
    files = [ROOT / "config/config.yaml", *([] if size == "paper" else [ROOT / f"config/{size}.yaml"])]
    study = read_study(files)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        samples = {name: sample_system(folder, study, name, system) for name, system in study.systems.items()}
        step = sample_training(folder, study, study.learn.sweep.target)
    totals = plan(study, samples, step)
    result = {
        "command": f"./run python benchmarks/study_cost.py {size}",
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one used",
        "total_cpu_h": sum(total["cpu_h"] for total in totals.values()),
        "total_disk_GB": sum(total["disk_GB"] for total in totals.values()),
        "peak_MB": max(total["peak_MB"] for total in totals.values()),
        "rules": totals,
        "samples": {**samples, "train": step},
    }
    target = ROOT / f"benchmarks/results/study_cost_{size}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=2) + "\n")
    for name, total in totals.items():
        print(f"{name:40} {total['cpu_h']:9.3f} CPU h {total['peak_MB']:7.0f} MB {total['disk_GB']:8.3f} GB")
    print(
        f"{'all':40} {result['total_cpu_h']:9.3f} CPU h {result['peak_MB']:7.0f} MB {result['total_disk_GB']:8.3f} GB"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
