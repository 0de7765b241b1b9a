"""Stacks of Δf images by the probe-particle model."""

from collections.abc import Iterable, Iterator

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from hydrafm.afm.frequency_shift import frequency_shift
from hydrafm.afm.relaxation import Precision, Relaxation
from hydrafm.afm.sample import Sample
from hydrafm.settings.afm import DrawnTip, Scan


def render(
    sample: Sample,
    tip: DrawnTip,
    scan: Scan,
    *,
    threads: int = 1,
    precision: Precision = "single",
    device: str = "cpu",
) -> xr.Dataset:
    """Render one stack of Δf images.

    Parameters
    ----------
    sample : Sample
        The surface, in the frame of the images.
    tip : DrawnTip
        The probe, its springs and the sensor.
    scan : Scan
        Pixels and heights.
    threads, precision, device
        As for `relaxed_force`.

    Returns
    -------
    Dataset
        ``frequency_shift`` (z, y, x), Hz, and ``unconverged`` (), the number of force values, of
        pixels × heights, whose probe did not come to rest. Height z is that of the unrelaxed probe
        (tip apex − R0) above ``sample.top`` at the lowest point of the swing.
    """
    return _render(sample, tip, scan, threads=threads, precision=precision, device=device, fuse=None)


def _render(
    sample: Sample,
    tip: DrawnTip,
    scan: Scan,
    *,
    threads: int,
    precision: Precision,
    device: str,
    fuse: bool | None,
) -> xr.Dataset:
    x = pixel_centres(scan)
    z = force_heights(scan, tip.amplitude)
    force, unconverged = relaxed_force(
        sample, tip, x=x, y=x, z=z, threads=threads, precision=precision, device=device, fuse=fuse
    )
    shift = frequency_shift(force, z, amplitude=tip.amplitude, resonance=tip.resonance, stiffness=tip.stiffness)
    return xr.Dataset(
        {"frequency_shift": (("z", "y", "x"), shift), "unconverged": ((), int(unconverged.sum()))},
        coords={"z": z[: scan.heights], "y": x, "x": x},
    )


def render_batch(
    cases: Iterable[tuple[Sample, DrawnTip]],
    scan: Scan,
    *,
    threads: int = 1,
    precision: Precision = "single",
    device: str = "cpu",
) -> Iterator[xr.Dataset]:
    """Render a stack for each of any number of samples and tips; only one at a time is in memory.

    Parameters
    ----------
    cases : iterable of (Sample, DrawnTip)
        Such as ``itertools.product(samples, tips)``.
    scan, threads, precision, device
        As for `render`.

    Yields
    ------
    Dataset
        As `render` returns.
    """
    for sample, tip in cases:
        yield _render(sample, tip, scan, threads=threads, precision=precision, device=device, fuse=device != "cpu")


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
    precision: Precision = "single",
    device: str = "cpu",
    fuse: bool | None = None,
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
        CPU cores used; the numbers do not depend on it.
    precision : {"single", "double", "direct"}
        Single precision, with distant atoms on a grid: Δf errs by 0.1 % of its spread. Double precision, with
        a finer grid and a tighter rest: 0.01 %. Direct: double precision, every pair of atoms summed, to check
        the others by. Times of the three are about 1 : 10 : 20.
    device : str
        "cpu", or a device of PyTorch such as "cuda", where every pair is summed in the precision's numbers.
    fuse : bool, optional
        Let PyTorch compile the work on that device, which takes seconds at first and pays for many stacks. If
        not given, for a very large one alone; a batch does so.

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
    if device != "cpu":
        from hydrafm.afm.tensors import relaxed_force_on

        on_device, lost = relaxed_force_on(device, sample, tip, x=x, y=y, z=z, precision=precision, compile=fuse)
        return on_device.cpu().numpy(), lost.cpu().numpy()
    path = Relaxation.prepare(sample, tip, x=x, y=y, z=z, precision=precision, threads=threads).run(threads=threads)
    return np.moveaxis(path.force, 2, 0), path.lost.sum(axis=1)
