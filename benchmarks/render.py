"""What a stack of forces costs: ours, and ppafm's from the same atoms, on the same core, in one run.

    ./run python benchmarks/render.py --wheel PYTHON --rebuilt PYTHON

The samples are those of inputs.py: an ice bilayer with two Na⁺, and the same on gold. A stack is the
vertical force on the relaxed probe at 100 × 100 pixels and 30 heights, with all atoms and charges; its
seconds run from the atoms to the forces. PYTHON is the interpreter of an environment that holds ppafm:
its wheel, or ppafm rebuilt for this machine; without one, what needs it is null. ppafm's force field has
0.1 Å, its default, and no more room than the probe needs. Ours and ppafm's stacks take turns on one
core; numbers are medians. Writes benchmarks/results/render.json.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import ase
import numba
import numpy as np
import torch
from against_ppafm import relative
from inputs import WINDOW, bilayer, bilayer_on_gold
from jaxtyping import Float
from ppafm_cases import EVERYTHING, SPECIES

from hydrafm.afm.frequency_shift import frequency_shift
from hydrafm.afm.gradients import OF_FORCE, differentiable_render
from hydrafm.afm.plane import PotentialPlane
from hydrafm.afm.relaxation import Relaxation
from hydrafm.afm.renderer import force_heights, pixel_centres, relaxed_force, render
from hydrafm.afm.sample import Sample
from hydrafm.planar import charge_plane
from hydrafm.settings.afm import DrawnTip, Scan
from hydrafm.store import write_whole
from hydrafm.structure import Window

ROOT = Path(__file__).parents[1]
SAMPLES = {"bilayer": bilayer, "slab": bilayer_on_gold}
BUILDS = {"wheel": "ppafm's wheel", "rebuilt": "ppafm rebuilt with -O3 -march=native -ffast-math"}

SCAN = Scan(size=WINDOW, pixels=100)
"""The study's heights: the lowest probe 2.9 Å above the topmost atom, 20 images and a swing above."""

TIP = DrawnTip(
    charge=0.0,
    quadrupole=-0.1 * 4 / (3 * 0.71**2),  # −0.1 e Å² on point charges
    width=0.71,
    length=3.0,
    lateral_stiffness=0.5,
    radial_stiffness=20.0,
    offset_x=0.0,
    offset_y=0.0,
    amplitude=0.5,
    resonance=30300.0,
    stiffness=1800.0,
)

GRID = 0.1
"""Å, of ppafm's force field."""

ROOM = 0.8
"""Å, by which ppafm's force field reaches below the lowest and above the highest unrelaxed probe; across
it ends with the window, beyond which ppafm goes on periodically."""

OURS_IN_A_TURN = 3
"""Stacks of ours for each of ppafm's, which take longer."""

PAIRS_OF_STACKS = 60
"""Stacks on one core and on two, in turn, that tell how they scale."""

PAIR, CHARGE = 43, 27
"""Operations of one atom with the probe, see `floor_operations`."""


def our_stack(atoms: ase.Atoms, cores: Sequence[int]) -> tuple[Float[np.ndarray, "z y x"], float]:
    """Render one stack with a thread on each core; its forces (eV/Å) and seconds."""
    os.sched_setaffinity(0, cores)
    x, z = pixel_centres(SCAN), force_heights(SCAN, TIP.amplitude)
    begin = time.perf_counter()
    sample = Sample.from_atoms(atoms, charges=atoms.get_initial_charges(), parameters=SPECIES, reach=EVERYTHING)
    force, _ = relaxed_force(sample, TIP, x=x, y=x, z=z, threads=len(cores))
    return force, time.perf_counter() - begin


def write_input(atoms: ase.Atoms, target: Path) -> None:
    """Write the same sample, tip and scan for ppafm_stack.py."""
    x, z = pixel_centres(SCAN), force_heights(SCAN, TIP.amplitude) + atoms.positions[:, 2].max()
    size = np.array([SCAN.size, SCAN.size, z[-1] - z[0] + 2 * ROOM])
    count = np.rint(size / GRID).astype(int)
    np.savez(
        target,
        positions=atoms.positions,
        charges=atoms.get_initial_charges(),
        species=np.array([SPECIES[symbol] for symbol in atoms.symbols]),
        probe=SPECIES["O"],
        quadrupole=TIP.moment,
        charge=TIP.charge,
        rest=(TIP.offset_x, TIP.offset_y, TIP.length),
        lateral_stiffness=TIP.lateral_stiffness,
        radial_stiffness=TIP.radial_stiffness,
        scan_first=(x[0], x[0], z[0] + TIP.length),
        scan_step=(x[1] - x[0], x[1] - x[0], SCAN.spacing),
        scan_count=(len(x), len(x), len(z)),
        grid_origin=(0.0, 0.0, z[0] - ROOM),
        grid_step=size / count,
        grid_count=count,
    )


def ppafm_stack(python: str, source: Path, core: int) -> tuple[Float[np.ndarray, "z y x"], dict[str, float], str]:
    """Let ppafm make one stack on one core; its forces (eV/Å), its seconds (of all, field, scan), its version."""
    target = source.with_name("output.npz")
    command = [python, str(ROOT / "benchmarks/ppafm_stack.py"), str(source), str(target), "--core", str(core)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode:
        last = (result.stderr.strip() or f"exit status {result.returncode}").splitlines()[-1]
        sys.exit(f"ppafm made no stack with {python}: {last}; name a Python whose environment holds ppafm")
    with np.load(target) as file:
        parts = {"": "seconds", "_field": "field_seconds", "_scan": "scan_seconds"}
        seconds = {part: float(file[key]) for part, key in parts.items()}
        return file["fz"].transpose(2, 1, 0), seconds, str(file["version"])


@dataclass(frozen=True)
class Measured:
    """Of one sample: median seconds by what was timed; by build, our difference from ppafm's forces, its version."""

    seconds: dict[str, float]
    differences: dict[str, float]
    versions: dict[str, str]


def measure_sample(name: str, pythons: dict[str, str], cores: list[int], repeats: int) -> Measured:
    """Take turns on one sample."""
    atoms = SAMPLES[name]()
    seconds: dict[str, list[float]] = defaultdict(list)
    differences, versions = {}, {}
    force, first = our_stack(atoms, cores[:1])
    seconds["ours_first_call"].append(first)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "input.npz"
        write_input(atoms, source)
        for turn in range(repeats):
            for _ in range(OURS_IN_A_TURN):
                seconds["ours"].append(our_stack(atoms, cores[:1])[1])
            for build, python in pythons.items():
                theirs, parts, versions[build] = ppafm_stack(python, source, cores[0])
                for part, value in parts.items():
                    seconds[build + part].append(value)
                differences[build] = relative(force, theirs)
            latest = ", ".join(f"{key} {values[-1]:.3g} s" for key, values in seconds.items())
            print(f"{name} {turn + 1}/{repeats}: {latest}", flush=True)
    return Measured({key: median(values) for key, values in seconds.items()}, differences, versions)


def measure_scaling(atoms: ase.Atoms, cores: list[int]) -> dict[str, float] | None:
    """Time stacks on one core and on two in turn: the ratio of the shortest times, and that of the medians.

    On a machine shared with others a neighbour slows one core or the other by half for seconds on end. That
    is felt twice as often by a stack that needs both; the shortest times are those of the cores alone.
    """
    if len(cores) < 2:
        return None
    one, two = ([], [])  # type: tuple[list[float], list[float]]
    for _ in range(PAIRS_OF_STACKS):
        one.append(our_stack(atoms, cores[:1])[1])
        two.append(our_stack(atoms, cores[:2])[1])
    return {"of_shortest": min(one) / min(two), "of_medians": median(one) / median(two)}


def measure_accuracy(atoms: ase.Atoms) -> dict[str, float]:
    """Compare Δf in single precision with every pair summed in double: relative RMS to its spread.

    Pixels where the probe snaps from one rest to another are left out, and counted; with them is given too.
    """
    x, z = pixel_centres(SCAN), force_heights(SCAN, TIP.amplitude)
    sample = Sample.from_atoms(atoms, charges=atoms.get_initial_charges(), parameters=SPECIES, reach=EVERYTHING)
    paths = [
        Relaxation.prepare(sample, TIP, x=x, y=x, z=z, precision=precision).run(threads=len(os.sched_getaffinity(0)))
        for precision in ("single", "direct")
    ]
    sensor = {"amplitude": TIP.amplitude, "resonance": TIP.resonance, "stiffness": TIP.stiffness}
    found, expected = (frequency_shift(np.moveaxis(path.force, 2, 0).astype(float), z, **sensor) for path in paths)
    smooth = (paths[1].leaps == 0) & (paths[1].lost == 0)
    difference = np.sqrt(np.mean((found - expected)[:, smooth] ** 2)) / expected.std()
    return {
        "df_rel_rms": float(difference),
        "df_rel_rms_with_bistable": relative(found, expected),
        "bistable_pixels": int((~smooth).sum()),
    }


def measure_gradient(atoms: ase.Atoms, repeats: int) -> dict[str, float]:
    """Time a stack and the derivatives of a loss of it by every atom, charge and property of the tip, on one core."""
    sample = Sample.from_atoms(atoms, charges=atoms.get_initial_charges(), parameters=SPECIES, reach=EVERYTHING)
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        render(sample, TIP, SCAN)
        seconds["forward"].append(time.perf_counter() - begin)
        positions, charges = (torch.tensor(what, requires_grad=True) for what in (sample.positions, sample.charges))
        tip = {name: torch.tensor(getattr(TIP, name), dtype=torch.float64, requires_grad=True) for name in OF_FORCE}
        begin = time.perf_counter()
        made = differentiable_render(sample, TIP, SCAN, positions=positions, charges=charges, tip_parameters=tip)
        seconds["forward_to_differentiate"].append(time.perf_counter() - begin)
        loss = made.frequency_shift.square().mean()
        begin = time.perf_counter()
        loss.backward()
        seconds["backward"].append(time.perf_counter() - begin)
    return {key: median(values[1:]) for key, values in seconds.items()}


def measure_hartree(atoms: ase.Atoms, repeats: int) -> dict[str, float]:
    """Time a stack in a potential on a grid: the plane above the atoms, made once, and each stack from it."""
    cell = np.diag([30.0, 30.0, 40.0])
    top = float(atoms.positions[:, 2].max())
    begin = time.perf_counter()
    values = charge_plane(atoms.positions, atoms.get_initial_charges(), cell, top + 2.0, (151, 151))
    first = time.perf_counter() - begin
    plane = PotentialPlane(values, cell[:2, :2], top + 2.0, Window(0.0, 0.0, 0.0, SCAN.size))
    sample = replace(Sample.from_atoms(atoms, parameters=SPECIES, reach=EVERYTHING), potential=plane)
    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        render(sample, TIP, SCAN)
        seconds.append(time.perf_counter() - begin)
    return {"hartree_plane": first, "hartree": median(seconds[1:])}


def floor_operations(atoms: ase.Atoms) -> float:
    """Count the floating-point operations that the sums over pairs of one stack need at the least.

    One evaluation at each pixel and height, for every atom: gradient and Hessian of its energy with the
    probe, which one Newton step needs; nothing for springs, energy or finding the way. Add, multiply,
    divide and square root count one each.

    Lennard-Jones, 43: displacement 3, r² 5, 1/r² 1, r⁻⁶ 2, both terms 3, first and second derivative by r² 7,
    gradient 6, Hessian 16. The quadrupole on a charged atom, 27 more: its powers of r 6, derivatives by r² 7
    and z 3, what they add to the shared prefactors 2, to the gradient 2 and to the Hessian 7.

    A renderer that sums far atoms otherwise than in pairs can take less than this floor's time.
    """
    charged = int(np.count_nonzero(atoms.get_initial_charges()))
    points = SCAN.pixels**2 * len(force_heights(SCAN, TIP.amplitude))
    return float(points * (PAIR * len(atoms) + CHARGE * charged))


@numba.njit(fastmath=True)
def _polynomials(x: Any, a: Any, b: Any, times: int) -> Any:
    """Sum 16 fused multiply-adds of each number, again and again."""
    total = x[0]
    for _ in range(times):
        for i in range(x.size):
            y = x[i]
            for _ in range(16):
                y = y * a + b
            total += y
    return total


def measure_rate(core: int) -> float:
    """Measure the most single-precision operations that a core does in a second: fused multiply-adds from its cache."""
    os.sched_setaffinity(0, {core})
    x = np.linspace(0, 1, 2048, dtype=np.float32)
    half, times = np.float32(0.5), 5000
    _polynomials(x, half, half, 1)
    seconds = []
    for _ in range(50):  # some of them, each of a few milliseconds, nobody interrupts
        begin = time.perf_counter()
        _polynomials(x, half, half, times)
        seconds.append(time.perf_counter() - begin)
    return 2 * 16 * x.size * times / min(seconds)


def machine() -> str:
    """Name the processor."""
    information = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.+)", information.read_text()) if information.is_file() else []
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores"


def main(pythons: dict[str, str], repeats: int, out: Path) -> None:
    """Measure both samples and write what was found."""
    cores, load = sorted(os.sched_getaffinity(0)), os.getloadavg()[0]
    measured = {name: measure_sample(name, pythons, cores, repeats) for name in SAMPLES}
    os.sched_setaffinity(0, cores)
    accuracy = {name: measure_accuracy(make()) for name, make in SAMPLES.items()}
    os.sched_setaffinity(0, cores[:1])
    torch.set_num_threads(1)
    gradient = measure_gradient(bilayer(), OURS_IN_A_TURN * repeats)
    hartree = measure_hartree(bilayer(), OURS_IN_A_TURN * repeats)
    rate = measure_rate(cores[0])
    seconds = {name: found.seconds for name, found in measured.items()}
    ratios = {
        f"{name}_vs_{build}": times[build] / times["ours"] if build in times else None
        for name, times in seconds.items()
        for build in BUILDS
    }
    scaling = {name: measure_scaling(make(), cores) for name, make in SAMPLES.items()}
    floor = {name: floor_operations(SAMPLES[name]()) / rate for name in SAMPLES}
    result = {
        **ratios,
        "two_core_scaling": min((found["of_shortest"] for found in scaling.values() if found), default=None),
        "scaling": scaling,
        "df_rel_rms_vs_float64": max(found["df_rel_rms"] for found in accuracy.values()),
        "backward_over_forward": gradient["backward"] / gradient["forward"],
        "hartree_seconds": hartree["hartree"],
        "accuracy": accuracy,
        "gradient_seconds": gradient,
        "hartree_plane_seconds": hartree["hartree_plane"],
        "stacks_per_second": {name: 1 / times["ours"] for name, times in seconds.items()},
        "floor_fraction": {name: floor[name] / times["ours"] for name, times in seconds.items()},
        "floor_seconds": floor,
        "operations_per_second": rate,
        "fz_rel_rms_vs_ppafm": {name: found.differences for name, found in measured.items()},
        "seconds": seconds,
        "repeats": repeats,
        "scan": SCAN.model_dump(),
        "tip": asdict(TIP),
        "ppafm_grid": GRID,
        "ppafm_version": next(iter(measured.values())).versions,
        "command": " ".join(
            ["./run python benchmarks/render.py", *(f"--{build} PYTHON" for build in pythons), f"--repeats {repeats}"]
        ),
        "machine": machine(),
        "load_before": load,
    }
    with write_whole(out) as part:
        part.write_text(json.dumps(result, indent=2) + "\n")
    for key, value in result.items():
        print(f"{key:24} {value}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for build, what in BUILDS.items():
        parser.add_argument(f"--{build}", metavar="PYTHON", help=f"interpreter of an environment with {what}")
    parser.add_argument("--repeats", type=int, default=3, help="turns, of which the medians are taken")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/render.json")
    arguments = parser.parse_args()
    pythons = {build: getattr(arguments, build) for build in BUILDS if getattr(arguments, build)}
    for build, python in pythons.items():
        if not shutil.which(python):
            parser.error(f"--{build}: there is no program {python}; name the Python of an environment with ppafm")
    if arguments.repeats < 1:
        parser.error(f"--repeats: found {arguments.repeats}; at least one turn is needed")
    main(pythons, arguments.repeats, arguments.out)
