"""Stacks of Δf images by the probe-particle model."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from hydrafm.afm.frequency_shift import frequency_shift
from hydrafm.afm.kernel import Atoms, Probe, Spline, relax_rows
from hydrafm.afm.sample import Sample
from hydrafm.settings.afm import DrawnTip, Scan
from hydrafm.units import COULOMB, EV_PER_A2_IN_N_PER_M

NO_FIELD = Spline(np.zeros((0, 0, 0)), np.eye(2), np.zeros(2), 0.0, 1.0)


def render(sample: Sample, tip: DrawnTip, scan: Scan, *, threads: int = 1) -> xr.Dataset:
    """Render one stack of Δf images.

    Parameters
    ----------
    sample : Sample
        The surface, in the frame of the images.
    tip : DrawnTip
        The probe, its springs and the sensor.
    scan : Scan
        Pixels and heights.
    threads : int
        Rows of pixels handled at the same time.

    Returns
    -------
    Dataset
        ``frequency_shift`` (z, y, x), Hz, and ``unconverged`` (), the number of force values, of
        pixels × heights, whose probe did not come to rest. Height z is that of the unrelaxed probe
        (tip apex − R0) above ``sample.top`` at the lowest point of the swing.
    """
    x = pixel_centres(scan)
    z = force_heights(scan, tip.amplitude)
    force, unconverged = relaxed_force(sample, tip, x=x, y=x, z=z, threads=threads)
    shift = frequency_shift(force, z, amplitude=tip.amplitude, resonance=tip.resonance, stiffness=tip.stiffness)
    return xr.Dataset(
        {"frequency_shift": (("z", "y", "x"), shift), "unconverged": ((), int(unconverged.sum()))},
        coords={"z": z[: scan.heights], "y": x, "x": x},
    )


def pixel_centres(scan: Scan) -> Float[np.ndarray, " pixel"]:
    """Place the pixels of a scan along x or y, Å from the window's corner."""
    return (np.arange(scan.pixels) + 0.5) * (scan.size / scan.pixels)


def image_heights(scan: Scan) -> Float[np.ndarray, " z"]:
    """List the heights of the images of a scan, Å."""
    return scan.lowest + scan.spacing * np.arange(scan.heights)


def force_heights(scan: Scan, amplitude: float) -> Float[np.ndarray, " z"]:
    """List the heights at which the force is needed, Å: those of the images and a swing above."""
    swing = int(np.ceil(2 * amplitude / scan.spacing - 1e-6))
    return scan.lowest + scan.spacing * np.arange(scan.heights + swing)


def relaxed_force(
    sample: Sample,
    tip: DrawnTip,
    *,
    x: Float[np.ndarray, " x"],
    y: Float[np.ndarray, " y"],
    z: Float[np.ndarray, " z"],
    threads: int = 1,
) -> tuple[Float[np.ndarray, "z y x"], Int[np.ndarray, " y"]]:
    """Lower the tip at each point, relaxing the probe, and record the force of the sample on it.

    Parameters
    ----------
    sample : Sample
        The surface.
    tip : DrawnTip
        The probe and its springs.
    x, y : arrays, Å
        Where the tip goes down.
    z : (z,) array, Å
        Heights of the unrelaxed probe above ``sample.top``, increasing; gone through from the last.
    threads : int
        Rows handled at the same time.

    Returns
    -------
    force : (z, y, x) array, eV/Å
        Vertical force on the relaxed probe, which its springs hand to the tip; repulsion is positive.
    unconverged : (y,) array
        In each row, the number of probes that did not come to rest.

    References
    ----------
    Hapala et al., Phys. Rev. B 90, 085421 (2014).
    """
    charged = np.flatnonzero(sample.charges)
    atoms = Atoms(
        np.ascontiguousarray(np.column_stack([sample.positions, sample.c6, sample.c12]).T),
        np.ascontiguousarray(np.column_stack([sample.positions, COULOMB * sample.charges])[charged].T),
        sample.reach,
    )
    probe = Probe(
        lateral=tip.lateral_stiffness / EV_PER_A2_IN_N_PER_M,
        radial=tip.radial_stiffness / EV_PER_A2_IN_N_PER_M,
        length=tip.length,
        offset_x=tip.offset_x,
        offset_y=tip.offset_y,
        charge=tip.charge,
        moment=tip.moment,
    )
    spline = NO_FIELD
    if sample.potential is not None:
        low, high = sample.top + float(z[0]), sample.top + float(z[-1])
        spline = sample.potential.spline(charge=tip.charge, moment=tip.moment, low=low, high=high)
    apex = sample.top + z + tip.length
    force = np.empty((len(y), len(x), len(z)))

    def relax(row: int) -> int:
        return relax_rows(x, y[row : row + 1], apex, atoms, probe, spline, force[row : row + 1])

    with ThreadPoolExecutor(threads) as pool:
        unconverged = np.array(list(pool.map(relax, range(len(y)))))
    return np.moveaxis(force, 2, 0), unconverged
