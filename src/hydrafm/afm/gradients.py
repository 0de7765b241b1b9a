"""Δf images as differentiable functions of atoms, charges and the tip."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from hydrafm.afm.frequency_shift import shift_weights
from hydrafm.afm.kernel import Slopes
from hydrafm.afm.relaxation import Precision, Relaxation
from hydrafm.afm.renderer import force_heights, pixel_centres
from hydrafm.afm.sample import Sample
from hydrafm.errors import SettingsError
from hydrafm.settings.afm import DrawnTip, Scan
from hydrafm.units import COULOMB, EV_PER_A2_IN_N_PER_M

OF_FORCE = (
    "charge",
    "quadrupole",
    "width",
    "length",
    "lateral_stiffness",
    "radial_stiffness",
    "offset_x",
    "offset_y",
)
"""Properties of the tip that the force on it depends on."""


@dataclass(frozen=True)
class DifferentiableStack:
    """A stack of images that knows how it depends on what it was made from.

    Attributes
    ----------
    frequency_shift : (z, y, x) tensor, Hz
        Its backward pass costs about as much as the images.
    masked : (y, x) tensor
        Pixels whose probe snapped from one rest to another on its way down, or found none: there the force
        jumps as anything changes, and no gradient flows.
    """

    frequency_shift: Float[Tensor, "z y x"]
    masked: Bool[Tensor, "y x"]


def differentiable_render(
    sample: Sample,
    tip: DrawnTip,
    scan: Scan,
    *,
    positions: Float[Tensor, "atom 3"] | None = None,
    charges: Float[Tensor, " atom"] | None = None,
    tip_parameters: Mapping[str, Float[Tensor, ""]] | None = None,
    precision: Precision = "single",
    threads: int = 1,
) -> DifferentiableStack:
    """Render a stack that PyTorch can differentiate.

    The condition of rest is differentiated (implicit function theorem), not the way to it. ``sample.top`` and
    a potential above the sample are held fixed when atoms move.

    Parameters
    ----------
    sample, tip, scan : Sample, DrawnTip, Scan
        As for `render`; what follows replaces parts of them.
    positions : (atom, 3) tensor, Å
        Of the sample's atoms.
    charges : (atom,) tensor, e
        On them.
    tip_parameters : mapping
        By name of a `DrawnTip`'s field, in its unit: charge, quadrupole, width, length, lateral_stiffness,
        radial_stiffness, offset_x, offset_y or amplitude. A change of amplitude must not add a height to the
        swing for the images to be continuous in it.
    precision : str
        "single" or "double".
    threads : int
        CPU cores used.

    Raises
    ------
    SettingsError
        If a parameter is not one of these, or the precision is "direct".
    """
    if precision == "direct":
        raise SettingsError("gradients are made in single or double precision; direct sums are for checks of images")
    parameters = dict(tip_parameters or {})
    unknown = sorted(set(parameters) - {*OF_FORCE, "amplitude"})
    if unknown:
        raise SettingsError(
            f"tip_parameters: no derivative by {', '.join(unknown)}; there are {', '.join(OF_FORCE)}, amplitude"
        )
    drawn = replace(tip, **{name: float(value.detach()) for name, value in parameters.items()})
    kind = torch.float32 if precision == "single" else torch.float64
    z = force_heights(scan, drawn.amplitude)
    force, masked = _Force.apply(  # type: ignore[no-untyped-call]
        torch.from_numpy(sample.positions) if positions is None else positions,
        torch.from_numpy(sample.charges) if charges is None else charges,
        torch.stack([parameters.get(name, torch.tensor(getattr(tip, name))).double() for name in OF_FORCE]),
        _Case(sample, drawn, pixel_centres(scan), z, precision, threads),
    )

    def of_force(*, by_amplitude: bool) -> Tensor:
        return torch.from_numpy(
            shift_weights(
                z,
                amplitude=drawn.amplitude,
                resonance=drawn.resonance,
                stiffness=drawn.stiffness,
                by_amplitude=by_amplitude,
            )
        ).to(kind)

    weights = of_force(by_amplitude=False)
    if "amplitude" in parameters:  # of no worth, but with a slope
        more = parameters["amplitude"].to(kind) - drawn.amplitude
        weights = weights + more * of_force(by_amplitude=True)
    return DifferentiableStack(torch.tensordot(weights[: scan.heights], force, dims=1), masked)


@dataclass(frozen=True)
class _Case:
    """What a rendering needs beside tensors."""

    sample: Sample
    tip: DrawnTip
    x: Float[np.ndarray, " x"]
    z: Float[np.ndarray, " z"]
    precision: Precision
    threads: int


class _Force(torch.autograd.Function):
    """The force on the relaxed probe, (z, y, x), and the pixels where it has no derivative."""

    @staticmethod
    def forward(ctx: Any, positions: Tensor, charges: Tensor, tip: Tensor, case: _Case) -> tuple[Tensor, Tensor]:
        places = positions.detach().cpu().double().numpy()
        sample = replace(case.sample, positions=places, charges=charges.detach().cpu().double().numpy())
        relaxation = Relaxation.prepare(
            sample, case.tip, x=case.x, y=case.x, z=case.z, precision=case.precision, threads=case.threads
        )
        path = relaxation.run(threads=case.threads, keep=True)
        masked = torch.from_numpy((path.leaps > 0) | (path.lost > 0))
        ctx.kept = relaxation, path, masked, case
        ctx.inputs = positions, charges, tip
        ctx.mark_non_differentiable(masked)
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(path.force, 2, 0))), masked

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        relaxation, path, masked, case = ctx.kept
        positions, charges, tip = ctx.inputs
        by_force = torch.where(masked[:, :, None], 0.0, upstream.movedim(0, 2)).numpy()
        slopes = relaxation.slopes(path, by_force, threads=case.threads)
        of_tip = _of_tip(slopes, case) if ctx.needs_input_grad[2] else None
        return (
            torch.from_numpy(slopes.atoms[:3].T.copy()).to(positions),
            torch.from_numpy(COULOMB * slopes.atoms[3]).to(charges),
            None if of_tip is None else of_tip.to(tip),
            None,
        )


def _of_tip(slopes: Slopes, case: _Case) -> Tensor:
    """Bring derivatives by the kernel's parameters to those of the tip, in the order of `OF_FORCE`."""
    lateral, radial, length, offset_x, offset_y, charge, moment, apex = slopes.tip
    tip, sample = case.tip, case.sample
    if sample.potential is not None:  # the field is linear in charge and moment
        low, high = sample.top + float(case.z[0]), sample.top + float(case.z[-1])
        one = sample.potential.spline(charge=1.0, moment=0.0, low=low, high=high).coefficients
        two = sample.potential.spline(charge=0.0, moment=1.0, low=low, high=high).coefficients
        charge += np.vdot(slopes.plane, one)
        moment += np.vdot(slopes.plane, two)
    by_name = {
        "charge": charge,
        "quadrupole": moment * 0.75 * tip.width**2,
        "width": moment * 1.5 * tip.quadrupole * tip.width,
        "length": length + apex,
        "lateral_stiffness": lateral / EV_PER_A2_IN_N_PER_M,
        "radial_stiffness": radial / EV_PER_A2_IN_N_PER_M,
        "offset_x": offset_x,
        "offset_y": offset_y,
    }
    return torch.tensor([by_name[name] for name in OF_FORCE], dtype=torch.float64)
