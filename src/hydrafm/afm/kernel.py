"""The probe's relaxation, compiled: energy, gradient and Hessian at one point, Newton, one pixel after another.

Energies are eV, lengths Å. A *jet* is the tuple (E, Ex, Ey, Ez, Exx, Eyy, Ezz, Exy, Exz, Eyz).
Machine code is kept on disk beside this file (or in NUMBA_CACHE_DIR), so it is compiled once.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from jaxtyping import Float

Function = TypeVar("Function", bound=Callable[..., Any])
Jet = tuple[float, float, float, float, float, float, float, float, float, float]

TOLERANCE = 1e-6
"""eV/Å, residual force on a relaxed probe."""
LONGEST_STEP = 0.15
"""Å, of one Newton step, so that the probe cannot leap into another basin."""
LONGEST_GUESS = 0.05
"""Å, up to which the probe's last move is taken to go on, as a start at the next height."""
SOFTEST = 1e-5
"""eV/Å², least pivot of a Hessian taken as positive definite; a free CO bends with 0.01 or more."""
LEAST_SHIFT = 2e-3
"""eV/Å², first raise of a Hessian that is not."""
LARGEST_SHIFT = 1e30
"""eV/Å², where raising ends, so that a tip or a field that is no number cannot go on forever."""
MOST_STEPS = 200
"""Newton steps at one height; 2 or 3 are usual."""
TAPER = 2.0
"""Å, width over which the Lennard-Jones reach fades out."""


class Atoms(NamedTuple):
    """Lennard-Jones atoms (x, y, z, C6, C12 as rows) and point charges (x, y, z, charge in eV Å/e as rows)."""

    lennard_jones: Float[np.ndarray, "5 atom"]
    charges: Float[np.ndarray, "4 charge"]
    reach: float


class Probe(NamedTuple):
    """The probe's springs (eV/Å²), bond length and rest offset (Å), and multipole (e, e Å²)."""

    lateral: float
    radial: float
    length: float
    offset_x: float
    offset_y: float
    charge: float
    moment: float


class Spline(NamedTuple):
    """Cubic B-spline coefficients of an energy, periodic along u and v.

    Knot (i, j, l) lies where ``to_index @ (x, y) + origin`` is (i, j), at height ``lowest + l·spacing``;
    no knots at all means no field.
    """

    coefficients: Float[np.ndarray, "u v z"]
    to_index: Float[np.ndarray, "2 2"]
    origin: Float[np.ndarray, " 2"]
    lowest: float
    spacing: float


def compiled(function: Function) -> Function:
    """Compile a function; type checkers wrapped around it are taken off first."""
    # fastmath lets the sums over atoms run on vector units; nothing here relies on infinities.
    return cast(
        Function, numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(inspect.unwrap(function))
    )


@compiled
def lennard_jones(x: float, y: float, z: float, atoms: Any, count: int) -> Jet:
    """Sum Lennard-Jones over the first `count` atoms, rows x, y, z, C6, C12."""
    e = ex = ey = ez = exx = eyy = ezz = exy = exz = eyz = 0.0
    for a in range(count):
        dx = x - atoms[0, a]
        dy = y - atoms[1, a]
        dz = z - atoms[2, a]
        s = 1.0 / (dx * dx + dy * dy + dz * dz)
        s3 = s * s * s
        attraction = atoms[3, a] * s3
        repulsion = atoms[4, a] * s3 * s3
        first = 2.0 * s * (3.0 * attraction - 6.0 * repulsion)
        second = 4.0 * s * s * (42.0 * repulsion - 12.0 * attraction)
        e += repulsion - attraction
        ex += first * dx
        ey += first * dy
        ez += first * dz
        exx += first + second * dx * dx
        eyy += first + second * dy * dy
        ezz += first + second * dz * dz
        exy += second * dx * dy
        exz += second * dx * dz
        eyz += second * dy * dz
    return e, ex, ey, ez, exx, eyy, ezz, exy, exz, eyz


@compiled
def coulomb(x: float, y: float, z: float, charges: Any, charge: float, moment: float) -> Jet:
    """Sum qV + M ∂²V/∂z² over point charges, rows x, y, z, charge.

    One charge gives A + B z² with A = q/r − M/r³ and B = 3M/r⁵; A1, A2, B1, B2 are derivatives by r².
    """
    e = ex = ey = ez = exx = eyy = ezz = exy = exz = eyz = 0.0
    for a in range(charges.shape[1]):
        dx = x - charges[0, a]
        dy = y - charges[1, a]
        dz = z - charges[2, a]
        s = 1.0 / (dx * dx + dy * dy + dz * dz)
        r1 = charges[3, a] * np.sqrt(s)
        q1, m3 = charge * r1, moment * r1 * s
        m5 = m3 * s
        zz = dz * dz
        b = 3.0 * m5
        b1 = -7.5 * m5 * s
        first = 2.0 * (-0.5 * q1 * s + 1.5 * m5 + b1 * zz)
        second = 4.0 * (0.75 * q1 * s * s - 3.75 * m5 * s + 26.25 * m5 * s * s * zz)
        cross = 4.0 * b1 * dz
        e += q1 - m3 + b * zz
        ex += first * dx
        ey += first * dy
        ez += (first + 2.0 * b) * dz
        exx += first + second * dx * dx
        eyy += first + second * dy * dy
        ezz += first + second * zz + 2.0 * cross * dz + 2.0 * b
        exy += second * dx * dy
        exz += second * dx * dz + cross * dx
        eyz += second * dy * dz + cross * dy
    return e, ex, ey, ez, exx, eyy, ezz, exy, exz, eyz


@compiled
def _weights(f: float, w: Any) -> None:
    """Fill the weights of four knots (rows: value, first, second derivative) at fraction f after the second."""
    g = 1.0 - f
    w[0, 0], w[0, 3] = g * g * g / 6.0, f * f * f / 6.0
    w[0, 1], w[0, 2] = (3.0 * f - 6.0) * f * f / 6.0 + 2.0 / 3.0, (3.0 * g - 6.0) * g * g / 6.0 + 2.0 / 3.0
    w[1, 0], w[1, 3] = -0.5 * g * g, 0.5 * f * f
    w[1, 1], w[1, 2] = (1.5 * f - 2.0) * f, (2.0 - 1.5 * g) * g
    w[2, 0], w[2, 1], w[2, 2], w[2, 3] = g, 3.0 * f - 2.0, 3.0 * g - 2.0, f


@compiled
def field(x: float, y: float, z: float, spline: Spline, work: Any) -> Jet:
    """Evaluate a spline; beyond its lowest and highest knots the last piece goes on."""
    c, t = spline.coefficients, spline.to_index
    u = t[0, 0] * x + t[0, 1] * y + spline.origin[0]
    v = t[1, 0] * x + t[1, 1] * y + spline.origin[1]
    w = (z - spline.lowest) / spline.spacing
    i0, j0 = int(np.floor(u)), int(np.floor(v))
    k0 = min(max(int(np.floor(w)), 1), c.shape[2] - 3)
    _weights(u - i0, work[0])
    _weights(v - j0, work[1])
    _weights(w - k0, work[2])
    e = eu = ev = ew = euu = evv = eww = euv = euw = evw = 0.0
    for i in range(4):
        row = c[(i0 - 1 + i) % c.shape[0]]
        a0, a1, a2 = work[0, 0, i], work[0, 1, i], work[0, 2, i]
        for j in range(4):
            line = row[(j0 - 1 + j) % c.shape[1]]
            b0, b1, b2 = work[1, 0, j], work[1, 1, j], work[1, 2, j]
            p0 = p1 = p2 = 0.0
            for k in range(4):
                value = line[k0 - 1 + k]
                p0 += work[2, 0, k] * value
                p1 += work[2, 1, k] * value
                p2 += work[2, 2, k] * value
            e += a0 * b0 * p0
            eu += a1 * b0 * p0
            ev += a0 * b1 * p0
            ew += a0 * b0 * p1
            euu += a2 * b0 * p0
            evv += a0 * b2 * p0
            eww += a0 * b0 * p2
            euv += a1 * b1 * p0
            euw += a1 * b0 * p1
            evw += a0 * b1 * p1
    h = 1.0 / spline.spacing
    return (
        e,
        t[0, 0] * eu + t[1, 0] * ev,
        t[0, 1] * eu + t[1, 1] * ev,
        h * ew,
        t[0, 0] * t[0, 0] * euu + 2.0 * t[0, 0] * t[1, 0] * euv + t[1, 0] * t[1, 0] * evv,
        t[0, 1] * t[0, 1] * euu + 2.0 * t[0, 1] * t[1, 1] * euv + t[1, 1] * t[1, 1] * evv,
        h * h * eww,
        t[0, 0] * t[0, 1] * euu + (t[0, 0] * t[1, 1] + t[0, 1] * t[1, 0]) * euv + t[1, 0] * t[1, 1] * evv,
        h * (t[0, 0] * euw + t[1, 0] * evw),
        h * (t[0, 1] * euw + t[1, 1] * evw),
    )


@compiled
def springs(dx: float, dy: float, dz: float, probe: Probe) -> Jet:
    """Give the energy in the springs of a probe at (dx, dy, dz) from the tip's last atom.

    As in ppafm: a radial spring of rest length `length` along the bond, a lateral one on (dx, dy)
    from the rest offset (Hapala et al., Phys. Rev. B 90, 085421, 2014).
    """
    r = np.sqrt(dx * dx + dy * dy + dz * dz)
    stretch = r - probe.length
    x, y = dx - probe.offset_x, dy - probe.offset_y
    first = probe.radial * stretch / r
    second = probe.radial * probe.length / (r * r * r)
    return (
        0.5 * probe.radial * stretch * stretch + 0.5 * probe.lateral * (x * x + y * y),
        first * dx + probe.lateral * x,
        first * dy + probe.lateral * y,
        first * dz,
        first + second * dx * dx + probe.lateral,
        first + second * dy * dy + probe.lateral,
        first + second * dz * dz,
        second * dx * dy,
        second * dx * dz,
        second * dy * dz,
    )


@compiled
def interaction(
    x: float, y: float, z: float, atoms: Any, count: int, charges: Any, probe: Probe, spline: Spline, work: Any
) -> Jet:
    """Give the energy of the probe in the field of the sample."""
    e, ex, ey, ez, exx, eyy, ezz, exy, exz, eyz = lennard_jones(x, y, z, atoms, count)
    if charges.shape[1] > 0:
        q = coulomb(x, y, z, charges, probe.charge, probe.moment)
        e, ex, ey, ez = e + q[0], ex + q[1], ey + q[2], ez + q[3]
        exx, eyy, ezz, exy, exz, eyz = exx + q[4], eyy + q[5], ezz + q[6], exy + q[7], exz + q[8], eyz + q[9]
    if spline.coefficients.size > 0:
        f = field(x, y, z, spline, work)
        e, ex, ey, ez = e + f[0], ex + f[1], ey + f[2], ez + f[3]
        exx, eyy, ezz, exy, exz, eyz = exx + f[4], eyy + f[5], ezz + f[6], exy + f[7], exz + f[8], eyz + f[9]
    return e, ex, ey, ez, exx, eyy, ezz, exy, exz, eyz


@compiled
def newton_step(
    gx: float, gy: float, gz: float, hxx: float, hyy: float, hzz: float, hxy: float, hxz: float, hyz: float
) -> tuple[float, float, float]:
    """Solve H·step = −g by Cholesky factors, with H raised until it is positive definite, and cap the step."""
    shift = 0.0
    d0 = d1 = d2 = 1.0
    l10 = l20 = l21 = 0.0
    while shift < LARGEST_SHIFT:
        d0 = hxx + shift
        if d0 > SOFTEST:
            l10, l20 = hxy / d0, hxz / d0
            d1 = hyy + shift - l10 * hxy
            if d1 > SOFTEST:
                l21 = (hyz - l20 * hxy) / d1
                d2 = hzz + shift - l20 * hxz - l21 * l21 * d1
                if d2 > SOFTEST:
                    break
        shift = LEAST_SHIFT if shift == 0.0 else 4.0 * shift
    a = -gx
    b = -gy - l10 * a
    c = -gz - l20 * a - l21 * b
    sz = c / d2
    sy = b / d1 - l21 * sz
    sx = a / d0 - l10 * sy - l20 * sz
    length = np.sqrt(sx * sx + sy * sy + sz * sz)
    scale = LONGEST_STEP / length if length > LONGEST_STEP else 1.0
    return sx * scale, sy * scale, sz * scale


@compiled
def gather(x: float, y: float, atoms: Any, reach: float, near: Any) -> int:
    """Collect the atoms around a pixel into `near`, their coefficients faded out towards the reach.

    The fading depends on the pixel, not on the probe, so the force stays that of an energy.
    """
    count = 0
    for a in range(atoms.shape[1]):
        distance = np.sqrt((x - atoms[0, a]) ** 2 + (y - atoms[1, a]) ** 2)
        if distance < reach:
            fraction = max(0.0, (distance - reach + TAPER) / TAPER)
            weight = 0.5 + 0.5 * np.cos(np.pi * fraction)
            for row in range(3):
                near[row, count] = atoms[row, a]
            near[3, count] = weight * atoms[3, a]
            near[4, count] = weight * atoms[4, a]
            count += 1
    return count


@compiled
def relax_pixel(
    x: float,
    y: float,
    apex: Any,
    near: Any,
    count: int,
    charges: Any,
    probe: Probe,
    spline: Spline,
    work: Any,
    force: Any,
) -> int:
    """Lower the tip at one pixel, relax the probe at each height from where it was, and fill the force.

    Returns the number of heights at which the probe did not come to rest.
    """
    unconverged = 0
    ox, oy = probe.offset_x, probe.offset_y
    oz = -np.sqrt(probe.length**2 - ox * ox - oy * oy)
    px, py, pz = ox, oy, oz
    for level in range(apex.size - 1, -1, -1):
        lowest, sx, sy, sz = 1e300, 0.0, 0.0, 0.0
        converged = False
        fz = 0.0
        for _ in range(MOST_STEPS):
            s = interaction(x + ox, y + oy, apex[level] + oz, near, count, charges, probe, spline, work)
            t = springs(ox, oy, oz, probe)
            e, gx, gy, gz = s[0] + t[0], s[1] + t[1], s[2] + t[2], s[3] + t[3]
            fz = -s[3]
            converged = gx * gx + gy * gy + gz * gz < TOLERANCE * TOLERANCE
            if converged:
                break
            if e > lowest + 1e-10:  # overshot: go back half of the way
                sx, sy, sz = 0.5 * sx, 0.5 * sy, 0.5 * sz
                ox, oy, oz = ox - sx, oy - sy, oz - sz
                continue
            lowest = e
            sx, sy, sz = newton_step(
                gx, gy, gz, s[4] + t[4], s[5] + t[5], s[6] + t[6], s[7] + t[7], s[8] + t[8], s[9] + t[9]
            )
            ox, oy, oz = ox + sx, oy + sy, oz + sz
        force[level] = fz
        unconverged += not converged
        mx, my, mz = ox - px, oy - py, oz - pz
        px, py, pz = ox, oy, oz
        if mx * mx + my * my + mz * mz < LONGEST_GUESS * LONGEST_GUESS:
            ox, oy, oz = ox + mx, oy + my, oz + mz
    return unconverged


@compiled
def relax_rows(x: Any, y: Any, apex: Any, atoms: Atoms, probe: Probe, spline: Spline, force: Any) -> int:
    """Fill the vertical force of the sample on the relaxed probe, (y, x, z), for tip apexes over x, y.

    Returns the number of probes that did not come to rest.
    """
    near = np.empty((5, atoms.lennard_jones.shape[1]))
    work = np.empty((3, 3, 4))
    unconverged = 0
    for j in range(y.size):
        for i in range(x.size):
            count = gather(x[i], y[j], atoms.lennard_jones, atoms.reach, near)
            unconverged += relax_pixel(x[i], y[j], apex, near, count, atoms.charges, probe, spline, work, force[j, i])
    return unconverged
