"""The probe's relaxation on tensors: the pixels of a stack step together, on a GPU or, to check it, on the CPU.

Each pixel does what `kernel.relax_pixel` does. Every pair of probe and atom is summed: a GPU has arithmetic to spare,
and then nothing depends on where near ends and far begins.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hydrafm.afm import kernel
from hydrafm.afm.interactions import Jet, Probe, coulomb, lennard_jones, multipole, pair_jet, springs
from hydrafm.afm.kernel import (
    LARGEST_SHIFT,
    LEAP,
    LEAST_SHIFT,
    LONGEST_GUESS,
    LONGEST_STEP,
    MOST_STEPS,
    OVERSHOT,
    SOFTEST,
    STILL,
    TAPER,
)
from hydrafm.afm.relaxation import ACCURACY, Precision, Relaxation
from hydrafm.afm.sample import Sample
from hydrafm.errors import SettingsError
from hydrafm.settings.afm import DrawnTip

PAIRS = 2**22
"""Pairs of pixel and atom worked on at once, however large the scan: that many numbers are 16 MB in single precision,
and sums that are not compiled hold about 70 times as much."""

COMPILED_FROM = 2**32
"""Pairs times heights from which a single stack is worth the start of the compiler, some 10 s; an estimate."""

KNOTS = 64
"""That surround a point of a cubic spline: a pixel with a potential costs as much room as one with so many atoms."""

SHIFTS = [0.0, *(float(s) for s in LEAST_SHIFT * 4.0 ** np.arange(64) if s < LARGEST_SHIFT)]
"""eV/Å², raises of a Hessian, of which the first that makes it positive definite is taken."""

add: Callable[[Jet, Jet], Jet] = inspect.unwrap(kernel.add)
solve = inspect.unwrap(kernel.solve)


class Knots(NamedTuple):
    """A `kernel.Spline` on a device: numbers of knots per Å across and, last, upwards."""

    coefficients: Float[Tensor, "u v z"]
    to_index: Float[Tensor, "2 2"]
    lowest: Float[Tensor, ""]
    per_height: Float[Tensor, ""]


class Surroundings(NamedTuple):
    """What the pixels of a chunk share.

    `atoms` has rows x, y (Å from the chunk's centre), z (Å), C6 and C12; `charges` are eV Å/e, None where there are
    none; `reach` and `tolerance` are Å.
    """

    atoms: Float[Tensor, "5 atom"]
    charges: Float[Tensor, " atom"] | None
    probe: Probe
    plane: Knots | None
    reach: Float[Tensor, ""]
    tolerance: Float[Tensor, ""]
    shifts: Float[Tensor, " shift"]


class Lanes(NamedTuple):
    """How far the relaxation at one height has come in each pixel.

    `place` is Å from the tip's last atom, `step` (Å) the last that was taken, `lowest` (eV) the energy before it,
    `force` eV/Å and `response` −∂place/∂(tip height).
    """

    place: Float[Tensor, "3 lane"]
    step: Float[Tensor, "3 lane"]
    lowest: Float[Tensor, " lane"]
    force: Float[Tensor, " lane"]
    response: Float[Tensor, "3 lane"]
    rests: Bool[Tensor, " lane"]

    def pick(self, lanes: Int[Tensor, " _"]) -> "Lanes":
        """Take some of the lanes."""
        return Lanes(*(field[..., lanes] for field in self))

    def put(self, lanes: Int[Tensor, " _"], part: "Lanes") -> None:
        """Put them back."""
        for field, value in zip(self, part, strict=True):
            field[..., lanes] = value


Step = Callable[[Lanes, Tensor, Tensor, Surroundings], Lanes]


@torch.no_grad()
def relaxed_force_on(
    device: str,
    sample: Sample,
    tip: DrawnTip,
    *,
    x: Float[np.ndarray, " x"],
    y: Float[np.ndarray, " y"],
    z: Float[np.ndarray, " z"],
    precision: Precision,
    compile: bool | None = None,  # noqa: A002 -- PyTorch's word
    pairs: int = PAIRS,
) -> tuple[Float[Tensor, "z y x"], Int[Tensor, " y"]]:
    """Lower the tip at each point, relaxing the probe, and record the force of the sample on it.

    Parameters
    ----------
    device : str
        "cuda", "cuda:1", ... or "cpu".
    sample, tip : Sample, DrawnTip
        The surface; the probe and its springs.
    x, y : arrays, Å
        Where the tip goes down.
    z : (z,) array, Å
        Heights of the unrelaxed probe above ``sample.top``, increasing; gone through from the last.
    precision : {"single", "double", "direct"}
        Kind of the numbers and tightness of the rest; no precision interpolates atoms.
    compile : bool or None
        Fuse a Newton step into few kernels by `torch.compile`, which takes seconds at first use. None does so
        on CUDA for a stack of many pairs and heights; a batch of stacks asks for it.
    pairs : int
        Pairs of pixel and atom worked on at once, which bounds the memory.

    Returns
    -------
    force : (z, y, x) tensor, eV/Å
        Vertical force on the relaxed probe; repulsion is positive.
    unconverged : (y,) tensor
        In each row, the number of probes that did not come to rest.

    Raises
    ------
    SettingsError
        If PyTorch has no such device.
    """
    place = _device(device)
    accuracy = ACCURACY[precision]
    # Direct sums need nothing but the parameters: no far field is filled, no machine code made.
    prepared = Relaxation.prepare(sample, tip, x=x, y=y, z=z, precision="direct")

    def on_device(values: np.ndarray) -> Tensor:
        return torch.as_tensor(values.astype(accuracy.kind), device=place)

    spline, plane = prepared.plane, None
    if spline.coefficients.size:
        scales = (np.array(value) for value in (spline.lowest, 1 / spline.spacing))
        plane = Knots(*map(on_device, (spline.coefficients, spline.to_index, *scales)))
    atoms, charges = prepared.atoms[:5], prepared.atoms[5]
    around = Surroundings(
        atoms=on_device(atoms),
        charges=on_device(charges) if charges.any() else None,
        probe=Probe(*(on_device(np.array(value)) for value in prepared.probe)),
        plane=plane,
        reach=on_device(np.array(prepared.reach)),
        tolerance=on_device(np.array(accuracy.tolerance)),
        shifts=on_device(np.array(SHIFTS)),
    )
    points = np.stack(np.meshgrid(x, y)).reshape(2, -1)
    if compile is None:
        compile = place.type == "cuda" and points.shape[1] * atoms.shape[1] * len(z) >= COMPILED_FROM  # noqa: A001
    step = compiled_step() if compile else newton_step
    force = torch.empty((len(z), points.shape[1]), dtype=around.reach.dtype, device=place)
    lost = torch.empty(points.shape[1], dtype=torch.int64, device=place)
    lanes = max(pairs // max(atoms.shape[1], KNOTS), 1)
    for first in range(0, points.shape[1], lanes):
        part = slice(first, first + lanes)
        # Differences of places are taken in double precision as far as they do not change.
        centre = points[:, part].mean(axis=1, keepdims=True)
        knots = spline.to_index @ points[:, part] + spline.origin[:, None]
        if plane is not None:
            knots %= np.array(spline.coefficients.shape[:2])[:, None]
        force[:, part], lost[part] = _lower(
            on_device(np.concatenate([points[:, part] - centre, knots])),
            prepared.heights,
            around._replace(atoms=on_device(np.concatenate([atoms[:2] - centre, atoms[2:]]))),
            step,
        )
    return force.reshape(len(z), len(y), len(x)), lost.reshape(len(y), len(x)).sum(dim=1)


def _device(name: str) -> torch.device:
    """Find a device, or say why not."""
    try:
        found = torch.device(name)
    except RuntimeError:
        found = torch.device("meta")
    if found.type not in ("cpu", "cuda"):
        raise SettingsError(f"device: found '{name}'; allowed are cpu and cuda, or cuda:0, cuda:1, ... by number")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if found.type == "cuda" and (found.index or 0) >= count:
        raise SettingsError(
            f"device: '{name}' was asked for, but PyTorch {torch.__version__} finds {count} CUDA devices;"
            " take cpu, or a PyTorch with CUDA on a machine with a GPU"
        )
    return found


def _lower(
    pixels: Float[Tensor, "4 lane"], heights: Float[np.ndarray, " z"], around: Surroundings, step: Step
) -> tuple[Float[Tensor, "z lane"], Int[Tensor, " lane"]]:
    """Lower the tip at all pixels of a chunk; count the heights at which a probe did not come to rest.

    Pixels have rows x, y (Å from the chunk's centre) and their places u, v among the knots of the potential.
    """
    count, probe, top = pixels.shape[1], around.probe, len(heights) - 1
    sag = (probe.length**2 - probe.offset_x**2 - probe.offset_y**2).sqrt()
    place = torch.stack([probe.offset_x, probe.offset_y, -sag])[:, None].repeat(1, count)
    response = earlier = torch.zeros_like(place)
    last = place
    force = place.new_empty((len(heights), count))
    lost = torch.zeros(count, dtype=torch.int64, device=place.device)
    for level in range(top, -1, -1):
        lanes = _rest(place, response, pixels, torch.as_tensor(heights[level]).to(place), around, step)
        place, response, rests = lanes.place, lanes.response, lanes.rests
        force[level] = lanes.force
        lost += ~rests
        if level == top:
            earlier = response
        else:  # along a smooth path, the probe moves as its responses at both ends say
            drop = 0.5 * float(heights[level + 1] - heights[level])
            strays = torch.linalg.vector_norm(place - last - drop * (response + earlier), dim=0)
            earlier = torch.where(strays > LEAP, response, earlier)
        last = place
        if level > 0:  # two-step Adams-Bashforth
            drop = 0.5 * float(heights[level] - heights[level - 1])
            move = drop * (3 * response - earlier)
            small = torch.linalg.vector_norm(move, dim=0) < LONGEST_GUESS
            place = torch.where(rests & small, place + move, place)
            earlier = torch.where(rests, response, earlier)
    return force, lost


def _rest(
    place: Float[Tensor, "3 lane"],
    response: Float[Tensor, "3 lane"],
    pixels: Float[Tensor, "4 lane"],
    height: Float[Tensor, ""],
    around: Surroundings,
    step: Step,
) -> Lanes:
    """Step at one height until every probe rests, going on with those alone that do not."""
    none = torch.zeros_like(place[0])
    lanes = Lanes(place, torch.zeros_like(place), none + torch.inf, none, response, none > 0)
    lanes = Lanes(*(field.clone() for field in lanes))
    active, part = torch.arange(place.shape[1], device=place.device), lanes
    for _ in range(MOST_STEPS):
        part = step(part, pixels, height, around)
        lanes.put(active, part)
        moving = torch.nonzero(~part.rests)[:, 0]
        if not len(moving):
            break
        if len(moving) < len(active):
            # The compiler would make another version of a step for a single lane: so that one goes twice.
            moving = moving.repeat(2) if len(moving) == 1 else moving
            active, part, pixels = active[moving], part.pick(moving), pixels[:, moving]
    return lanes


@cache
def compiled_step() -> Step:
    """Compile a Newton step for any number of pixels and atoms."""
    step: Step = torch.compile(newton_step, dynamic=True)
    return step


def newton_step(
    lanes: Lanes, pixels: Float[Tensor, "4 lane"], height: Float[Tensor, ""], around: Surroundings
) -> Lanes:
    """Take one step in each lane, or take the last one back by half where it led up in energy."""
    x, y, z = lanes.place
    s = pair_sums(x + pixels[0], y + pixels[1], z + height, pixels, around)
    if around.plane is not None:
        s = add(s, field(x, y, z + height, pixels[2:], around.plane))
    t = add(s, springs(x, y, z, (x * x + y * y + z * z).sqrt(), around.probe))
    overshot = t[0] > lanes.lowest + OVERSHOT
    factors, definite = raised_factors(t, around.shifts)
    move = torch.stack(solve(factors, -t[1], -t[2], -t[3]))
    length = torch.linalg.vector_norm(move, dim=0)
    still = t[1] * t[1] + t[2] * t[2] + t[3] * t[3] < STILL * STILL
    rests = ((definite & (length < around.tolerance)) | still) & ~overshot
    step = torch.where(overshot, 0.5 * lanes.step, move * (LONGEST_STEP / length.clamp(min=1e-9)).clamp(max=1.0))
    # What the last step changes is known to first order, and it is small.
    change = s[8] * move[0] + s[9] * move[1] + s[6] * move[2]
    force = -(s[3] + torch.where(rests, change, torch.zeros_like(change)))
    return Lanes(
        place=lanes.place + torch.where(overshot, -step, step),
        step=step,
        lowest=torch.where(overshot, lanes.lowest, t[0]),
        force=torch.where(overshot, lanes.force, force),
        response=torch.where(rests, torch.stack(solve(factors, s[8], s[9], s[6])), lanes.response),
        rests=rests,
    )


def pair_sums(
    x: Float[Tensor, " lane"],
    y: Float[Tensor, " lane"],
    z: Float[Tensor, " lane"],
    pixels: Float[Tensor, "4 lane"],
    around: Surroundings,
) -> Jet:
    """Sum the energies of all atoms with probes at (x, y, z); Lennard-Jones fades with the distance from the pixel."""
    atoms, charges, probe = around.atoms, around.charges, around.probe
    across = torch.hypot(pixels[0, :, None] - atoms[0], pixels[1, :, None] - atoms[1])
    weight = 0.5 + 0.5 * torch.cos(torch.pi * ((across - around.reach) / TAPER + 1).clamp(0.0, 1.0))
    c6, c12 = weight * atoms[3], weight * atoms[4]
    dx, dy, dz = x[:, None] - atoms[0], y[:, None] - atoms[1], z[:, None] - atoms[2]
    inverse = 1 / (dx * dx + dy * dy + dz * dz)
    v = lennard_jones(inverse)
    a, a1, a2 = c12 * v[3] - c6 * v[0], c12 * v[4] - c6 * v[1], c12 * v[5] - c6 * v[2]
    if charges is None:
        jet = pair_jet(dx, dy, dz, (a, a1, a2, 0.0, 0.0, 0.0))
    else:
        m, m1, m2, b, b1, b2 = multipole(coulomb(inverse, inverse.sqrt()), probe.charge, probe.moment)
        q = charges
        jet = pair_jet(dx, dy, dz, (a + q * m, a1 + q * m1, a2 + q * m2, q * b, q * b1, q * b2))
    e, ex, ey, ez, exx, eyy, ezz, exy, exz, eyz = (part.sum(dim=1) for part in jet)
    return e, ex, ey, ez, exx, eyy, ezz, exy, exz, eyz


def field(
    x: Float[Tensor, " lane"],
    y: Float[Tensor, " lane"],
    z: Float[Tensor, " lane"],
    uv: Float[Tensor, "2 lane"],
    plane: Knots,
) -> Jet:
    """Evaluate a spline at points: x, y (Å) from pixels, whose own places among the knots are `uv`.

    Beyond the lowest and highest knots the last piece goes on.
    """
    t, h, c = plane.to_index, plane.per_height, plane.coefficients
    places = torch.stack([uv[0] + t[0, 0] * x + t[0, 1] * y, uv[1] + t[1, 0] * x + t[1, 1] * y, (z - plane.lowest) * h])
    second = places.floor().long()
    # Clamped as integers, so that a place that is no number reads a knot all the same.
    second = torch.cat([second[:2], second[2:].clamp(1, c.shape[2] - 3)])
    i, j, k = second[:, :, None] + torch.arange(-1, 3, device=x.device)
    i, j = i % c.shape[0], j % c.shape[1]
    d = c[i[:, :, None, None], j[:, None, :, None], k[:, None, None, :]]
    for weights in basis(places - second):  # what is summed comes back as an order, behind the axes that are left
        d = (d[:, :, :, :, None] * weights[:, :, None, None, :]).sum(dim=1)
    eu, ev, ew = d[:, 1, 0, 0], d[:, 0, 1, 0], d[:, 0, 0, 1]
    euu, evv, eww = d[:, 2, 0, 0], d[:, 0, 2, 0], d[:, 0, 0, 2]
    euv, euw, evw = d[:, 1, 1, 0], d[:, 1, 0, 1], d[:, 0, 1, 1]
    return (
        d[:, 0, 0, 0],
        t[0, 0] * eu + t[1, 0] * ev,
        t[0, 1] * eu + t[1, 1] * ev,
        h * ew,
        t[0, 0] * t[0, 0] * euu + 2 * t[0, 0] * t[1, 0] * euv + t[1, 0] * t[1, 0] * evv,
        t[0, 1] * t[0, 1] * euu + 2 * t[0, 1] * t[1, 1] * euv + t[1, 1] * t[1, 1] * evv,
        h * h * eww,
        t[0, 0] * t[0, 1] * euu + (t[0, 0] * t[1, 1] + t[0, 1] * t[1, 0]) * euv + t[1, 0] * t[1, 1] * evv,
        h * (t[0, 0] * euw + t[1, 0] * evw),
        h * (t[0, 1] * euw + t[1, 1] * evw),
    )


def basis(f: Float[Tensor, "axis lane"]) -> Float[Tensor, "axis lane 4 3"]:
    """Give the weights of the four knots around fractions f after the second, with first and second derivatives."""
    g = 1 - f
    values = g**3 / 6, (f / 2 - 1) * f**2 + 2 / 3, (g / 2 - 1) * g**2 + 2 / 3, f**3 / 6
    slopes = -(g**2) / 2, (1.5 * f - 2) * f, (2 - 1.5 * g) * g, f**2 / 2
    curvatures = g, 3 * f - 2, 3 * g - 2, f
    return torch.stack([torch.stack(order, dim=-1) for order in (values, slopes, curvatures)], dim=-1)


def raised_factors(t: Jet, shifts: Float[Tensor, " shift"]) -> tuple[tuple[Tensor, ...], Bool[Tensor, " lane"]]:
    """Factorise Hessians, raised until they are positive definite; tell which were so by themselves.

    All raises are tried at once, so that a GPU need not wait for an answer. `kernel.solve` takes the factors.
    """
    tried = _factors(tuple(part[:, None] for part in t), shifts)
    definite = (tried[0] > SOFTEST) & (tried[1] > SOFTEST) & (tried[2] > SOFTEST)
    shift = shifts[definite.to(torch.int8).argmax(dim=1)]
    return _factors(t, shift), definite[:, 0]


def _factors(t: tuple[Tensor, ...], shift: Tensor) -> tuple[Tensor, ...]:
    """Factorise H + shift = L D Lᵀ, whether or not that is positive definite."""
    d0 = t[4] + shift
    l10, l20 = t[7] / d0, t[8] / d0
    d1 = t[5] + shift - l10 * t[7]
    l21 = (t[9] - l20 * t[7]) / d1
    return d0, d1, t[6] + shift - l20 * t[8] - l21 * l21 * d1, l10, l20, l21
