"""Our forces beside those of ppafm, for every case of a folder (see ppafm_cases.py).

    ./run python benchmarks/against_ppafm.py ../shared/reference/ppafm

Prints for each case the root mean square of the difference, relative to the standard deviation of
ppafm's result. Exits with 1 where that of Fz exceeds its bound, the error that ppafm makes by
interpolating on its force grid: 1.2e-2 for 0.1 Å, 5e-3 for 0.05 Å, and a + b × grid² through these two
for others. Δf stands beside it: ppafm integrates over the swing in its own way.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from ppafm_cases import EVERYTHING, SPECIES, Reference, read_references

from hydrafm.afm.frequency_shift import frequency_shift
from hydrafm.afm.renderer import relaxed_force
from hydrafm.afm.sample import Sample
from hydrafm.errors import HydrafmError

COARSE, FINE = (0.1, 1.2e-2), (0.05, 5e-3)
"""ppafm's grid (Å) and what its forces err by there, relative."""


@dataclass(frozen=True)
class Difference:
    """Of our result from ppafm's, relative, and the number of our probes that did not come to rest."""

    force: float
    shift: float | None
    unconverged: int


def compare(reference: Reference) -> Difference:
    """Render one case and compare."""
    case = reference.case
    charges = reference.atoms.get_initial_charges()
    sample = Sample.from_atoms(reference.atoms, charges=charges, parameters=SPECIES, reach=EVERYTHING)
    z = case.z - sample.top
    force, unconverged = relaxed_force(sample, case.tip, x=case.x, y=case.y, z=z)
    shift = None
    if reference.shift is not None:
        ours = frequency_shift(force, z, amplitude=case.tip.amplitude, resonance=case.f0, stiffness=case.k0)
        both = min(len(ours), len(reference.shift))
        shift = relative(ours[:both], reference.shift[:both])
    return Difference(relative(force, reference.force), shift, int(unconverged.sum()))


def relative(found: Float[np.ndarray, "z y x"], expected: Float[np.ndarray, "z y x"]) -> float:
    """Root mean square of the difference, to the standard deviation of what is expected."""
    return float(np.sqrt(np.mean((found - expected) ** 2)) / expected.std())


def bound(grid: float) -> float:
    """Relative error of forces that ppafm interpolates on a grid (Å)."""
    slope = (COARSE[1] - FINE[1]) / (COARSE[0] ** 2 - FINE[0] ** 2)
    return FINE[1] + slope * (grid**2 - FINE[0] ** 2)


def main(folder: Path) -> int:
    """Compare every case of a folder and print the differences; 1 if one is too large."""
    references = read_references(folder)
    print(f"{'case':24} {'atoms':>6} {'grid Å':>7} {'Fz':>8} {'bound':>8} {'Δf':>8} {'not at rest':>12}")
    failed = []
    for name, reference in references.items():
        grid, found = reference.case.ppafm_grid_A, compare(reference)
        most = bound(grid)
        shift = "" if found.shift is None else f"{found.shift:.2e}"
        print(
            f"{name:24} {len(reference.atoms):6} {grid:7g} {found.force:8.2e} {most:8.2e} {shift:>8}"
            f" {found.unconverged:12}",
            flush=True,
        )
        if not found.force <= most:
            failed.append(name)
    if failed:
        print(f"Fz differs by more than ppafm errs: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the cases, with params.json")
    try:
        sys.exit(main(parser.parse_args().folder))
    except HydrafmError as error:
        sys.exit(f"against_ppafm: {error}")
