"""One stack of forces by ppafm, timed; run by the Python of an environment that holds ppafm, not by ours.

    PYTHON_WITH_PPAFM benchmarks/ppafm_stack.py INPUT.npz OUTPUT.npz [--core 0]

ppafm's own way on a CPU: its Lennard-Jones and point-charge force fields on a grid, then its relaxed
scan, all in its C++ library, every atom in both fields as its own commands have it. Reads from INPUT (Å, eV, e, N/m):

    positions (atom, 3), charges (atom,), species (atom, 2)  R and ε of each atom
    probe (2,)                                               R and ε of the probe
    quadrupole, charge                                       point dz² (e Å², ppafm's Q) and monopole of the tip
    rest (3,)                                                rest offset of the probe in x and y, and R0
    lateral_stiffness, radial_stiffness
    scan_first, scan_step, scan_count (3,)                   of the tip apex along x, y, z
    grid_origin, grid_step, grid_count (3,)                  of the force field; ppafm goes on periodically beyond it

and writes to OUTPUT: fz (x, y, z ascending), eV/Å; seconds, of the whole after imports and reading;
field_seconds and scan_seconds, its two parts; version, ppafm's.
"""

import argparse
import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before the libraries are loaded

import numpy as np

MONOPOLE, DZ2 = 0, 2
"""ppafm's kinds of tip for point charges."""

STRONGEST = 10.0
"""eV/Å, where ppafm clips each of its force fields unless told otherwise."""


def main(source, target):
    """Read one input, make the stack, write it."""
    import ppafm
    from ppafm import common, core, io
    from ppafm.HighLevel import perform_relaxation, setFF

    with np.load(source) as file:
        given = {name: file[name] for name in file.files}
    first, step, count = given["scan_first"], given["scan_step"], given["scan_count"]
    size = given["grid_step"] * given["grid_count"]
    cell = np.vstack([given["grid_origin"], np.diag(size)])
    parameters = common.PpafmParameters(
        PBC=False,
        gridN=given["grid_count"].tolist(),
        gridA=cell[1].tolist(),
        gridB=cell[2].tolist(),
        gridC=cell[3].tolist(),
        charge=1.0,  # the charges are multiplied into the field below, where there may be two kinds
        r0Probe=given["rest"].tolist(),
        klat=float(given["lateral_stiffness"]),
        krad=float(given["radial_stiffness"]),
        stiffness=[float(given[k]) for k in ("lateral_stiffness", "lateral_stiffness", "radial_stiffness")],
        scanMin=first.tolist(),
        scanStep=step.tolist(),
        scanMax=(first + step * (count - 1)).tolist(),
    )
    begin = time.perf_counter()
    positions = given["positions"] - given["grid_origin"]
    rows = np.vstack([given["probe"], given["species"]])
    van_der_waals, _ = setFF(None, lvec=cell, parameters=parameters)
    core.getLennardJonesFF(positions, common.getAtomsLJ(1, np.arange(2, len(rows) + 1), rows))
    io.limit_vec_field(van_der_waals, Fmax=STRONGEST)
    electrostatic = None
    for name, kind in (("quadrupole", DZ2), ("charge", MONOPOLE)):
        if given[name]:
            field, _ = setFF(None, lvec=cell, parameters=parameters)
            core.getCoulombFF(positions, given["charges"] * common.CoulombConst, kind=kind)
            io.limit_vec_field(field, Fmax=STRONGEST)
            field *= given[name]
            electrostatic = field if electrostatic is None else electrostatic + field
    filled = time.perf_counter()
    fz, *_ = perform_relaxation(cell, van_der_waals, FFel=electrostatic, parameters=parameters)
    end = time.perf_counter()
    seconds = {"seconds": end - begin, "field_seconds": filled - begin, "scan_seconds": end - filled}
    np.savez(target, fz=fz, version=ppafm.__version__, **seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="the sample, the tip and the scan, .npz")
    parser.add_argument("output", help="the forces and the seconds, .npz")
    parser.add_argument("--core", type=int, help="the one core to run on")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    sys.exit(main(arguments.input, arguments.output))
