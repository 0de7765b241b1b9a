"""The probe's relaxation, compiled: Newton at one height after another, one pixel after another.

Every function takes single or double precision, all of one kind.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from hydrafm.afm import interactions
from hydrafm.afm.compilation import compiled, inlined, real
from hydrafm.afm.interactions import Jet, Probe, Split

LONGEST_STEP = 0.15
"""Å, of one Newton step, so that the probe cannot leap into another basin."""
LONGEST_GUESS = 0.05
"""Å, up to which the probe's last moves are taken to go on, as a start at the next height."""
SOFTEST = 1e-5
"""eV/Å², least pivot of a Hessian taken as positive definite; a free CO bends with 0.01 or more."""
LEAST_SHIFT = 2e-3
"""eV/Å², first raise of a Hessian that is not."""
LARGEST_SHIFT = 1e30
"""eV/Å², where raising ends, so that a tip or a field that is no number cannot go on forever."""
MOST_STEPS = 200
"""Newton steps at one height; 1 or 2 are usual."""
OVERSHOT = 1e-5
"""eV, rise of the energy from which a step is taken back by half; single precision errs by 1e-6."""
STILL = 1e-6
"""eV/Å, force on a probe that stays where it is."""
LEAP = 0.1
"""Å, by which the probe comes to rest away from where its responses at two heights lead: it snapped to another rest."""
TAPER = 2.0
"""Å, width over which the reach of the Lennard-Jones energy fades out."""
ASTRAY = 0.8
"""Å, how far a probe may stray from its rest towards an atom before that counts as near: energies of atoms that are
just so vanish with a high power."""
STEEPEST = 3.0
"""Å of the probe for an Å of the tip, above which a snap is so near that derivatives mean nothing."""
TERMS = 16
"""Of such an expansion: ten, filled up to whole registers."""
LANES = 8
"""Numbers of a vector register: sums run over whole ones, what is too many being atoms that are not near."""
NOWHERE = 1e4
"""Å, place of the atoms that fill up the last one."""


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


class Column(NamedTuple):
    """A spline about one vertical line: at each knot along z, terms 1, u, v, u², uv, v², u³, u²v, uv², v³ (in knots).

    `centre` (Å from the pixel) tells where the line is and `radius` (Å) how far around it the terms are used; the
    rest is room to work in.
    """

    radius: float

    terms: Float[np.ndarray, "z 16"]
    centre: Float[np.ndarray, " 2"]
    weights: Float[np.ndarray, "2 4 4"]
    products: Float[np.ndarray, " 16"]
    sums: Float[np.ndarray, "3 16"]


class Workspace(NamedTuple):
    """Room for one thread to work in."""

    near: Float[np.ndarray, "7 _"]
    of_near: Float[np.ndarray, "4 _"]
    counts: Int[np.ndarray, " height"]
    order: Int[np.ndarray, " atom"]
    level: Int[np.ndarray, " atom"]
    row: Int[np.ndarray, " atom"]
    far_pixel: Float[np.ndarray, " 2"]
    plane_pixel: Float[np.ndarray, " 2"]
    far_column: Column
    plane_column: Column


class Path(NamedTuple):
    """What the probe did at each pixel and height.

    `force` (eV/Å) is the sample's on the probe, `lost` counts the heights of a pixel at which the probe did
    not come to rest, and `leaps` those at which it snapped to another rest or was about to. `place` (Å) is
    the probe's from the tip's last atom, and `response` −∂place/∂(tip height); they have no rows where
    nobody wants them.
    """

    force: Float[np.ndarray, "y x height"]
    lost: Int[np.ndarray, "y x"]
    leaps: Int[np.ndarray, "y x"]
    place: Float[np.ndarray, "_ x height 3"]
    response: Float[np.ndarray, "_ x height 3"]


class Slopes(NamedTuple):
    """Sums that a backward pass fills: derivatives of a loss by what the force depends on.

    `atoms` has rows x, y, z (Å) and charge (eV Å/e); `tip` the entries of `Probe` and, last, the height of
    the tip's last atom; `far` and `plane` are shaped as the splines' coefficients.
    """

    atoms: Float[np.ndarray, "4 atom"]
    tip: Float[np.ndarray, " 8"]
    far: Float[np.ndarray, "u v z"]
    plane: Float[np.ndarray, "p q r"]


lennard_jones = inlined(interactions.lennard_jones)
lennard_jones_taylor = inlined(interactions.lennard_jones_taylor)
coulomb = inlined(interactions.coulomb)
coulomb_taylor = inlined(interactions.coulomb_taylor)
multipole = inlined(interactions.multipole)
pair_jet = inlined(interactions.pair_jet)
springs = inlined(interactions.springs)


@inlined
def near_lennard_jones(inverse: Any, t: Any, c6: Any, c12: Any, split: Split) -> tuple[Any, Any, Any]:
    """Give the near part of C₁₂/r¹² − C₆/r⁶ and two derivatives by s; inverse = 1/s, t = s − s₀ ≤ 0."""
    v, w = lennard_jones(inverse), lennard_jones_taylor(t, split)
    return (
        c12 * (v[3] - w[3]) - c6 * (v[0] - w[0]),
        c12 * (v[4] - w[4]) - c6 * (v[1] - w[1]),
        c12 * (v[5] - w[5]) - c6 * (v[2] - w[2]),
    )


@inlined
def near_coulomb(inverse: Any, t: Any, split: Split) -> Any:
    """Give the near part of 1/r and four derivatives by s."""
    v, w = coulomb(inverse, np.sqrt(inverse)), coulomb_taylor(t, split)
    return v[0] - w[0], v[1] - w[1], v[2] - w[2], v[3] - w[3], v[4] - w[4]


@inlined
def pairs(x: Any, y: Any, z: Any, near: Any, count: int, probe: Probe, split: Split, charged: bool) -> Jet:
    """Sum the near energies of the first `count` atoms: rows x, y, z, C6, C12, charge (eV Å/e)."""
    e = ex = ey = ez = exx = eyy = ezz = exy = exz = eyz = real(0.0, x)
    one, two, four = real(1.0, x), real(2.0, x), real(4.0, x)
    if charged:
        for a in range(count):
            dx, dy, dz = x - near[0, a], y - near[1, a], z - near[2, a]
            t = min(dx * dx + dy * dy + dz * dz, split.square) - split.square
            inverse = one / (t + split.square)
            a0, a1, a2 = near_lennard_jones(inverse, t, near[3, a], near[4, a], split)
            m0, m1, m2, b0, b1, b2 = multipole(near_coulomb(inverse, t, split), probe.charge, probe.moment)
            q = near[5, a]
            j = pair_jet(dx, dy, dz, (a0 + q * m0, a1 + q * m1, a2 + q * m2, q * b0, q * b1, q * b2))
            e += j[0]
            ex += j[1]
            ey += j[2]
            ez += j[3]
            exx += j[4]
            eyy += j[5]
            ezz += j[6]
            exy += j[7]
            exz += j[8]
            eyz += j[9]
    else:
        for a in range(count):
            dx, dy, dz = x - near[0, a], y - near[1, a], z - near[2, a]
            t = min(dx * dx + dy * dy + dz * dz, split.square) - split.square
            a0, a1, a2 = near_lennard_jones(one / (t + split.square), t, near[3, a], near[4, a], split)
            first, second = two * a1, four * a2
            e += a0
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


@inlined
def _weights(f: Any, w: Any) -> None:
    """Fill the weights of four knots (rows) at fraction f after the second: Taylor coefficients along the axis."""
    one, two, three, four, sixth = real(1.0, f), real(2.0, f), real(3.0, f), real(4.0, f), real(1 / 6, f)
    half, g = real(0.5, f), one - f
    w[0, 0], w[3, 0] = g * g * g * sixth, f * f * f * sixth
    w[1, 0], w[2, 0] = (
        ((three * f - two * three) * f * f + four) * sixth,
        ((three * g - two * three) * g * g + four) * sixth,
    )
    w[0, 1], w[3, 1] = -half * g * g, half * f * f
    w[1, 1], w[2, 1] = (three * half * f - two) * f, (two - three * half * g) * g
    w[0, 2], w[1, 2], w[2, 2], w[3, 2] = half * g, half * (three * f - two), half * (three * g - two), half * f
    w[0, 3], w[1, 3], w[2, 3], w[3, 3] = -sixth, half, -half, sixth


@inlined
def _terms(across: Any, along: Any, w: Any) -> None:
    """Fill products of Taylor coefficients along u and v in the order of a column's terms."""
    w[0] = across[0] * along[0]
    w[1], w[2] = across[1] * along[0], across[0] * along[1]
    w[3], w[4], w[5] = across[2] * along[0], across[1] * along[1], across[0] * along[2]
    w[6], w[7] = across[3] * along[0], across[2] * along[1]
    w[8], w[9] = across[1] * along[2], across[0] * along[3]


@inlined
def _knots(x: Any, y: Any, pixel: Any, spline: Spline, weights: Any) -> tuple[int, int]:
    """Find the first of the knots around a point (Å from the pixel) along u and v, and fill their weights."""
    t, shape = spline.to_index, spline.coefficients.shape
    u = pixel[0] + t[0, 0] * x + t[0, 1] * y
    v = pixel[1] + t[1, 0] * x + t[1, 1] * y
    i, j = int(np.floor(u)), int(np.floor(v))
    _weights(u - real(i, u), weights[0])
    _weights(v - real(j, v), weights[1])
    return (i - 1) % shape[0], (j - 1) % shape[1]


@inlined
def _centre(x: Any, y: Any, pixel: Any, spline: Spline, column: Column) -> None:
    """Expand a spline about a vertical line through (x, y), Å from the pixel."""
    c, w, terms = spline.coefficients, column.products, column.terms
    i, j0 = _knots(x, y, pixel, spline, column.weights)
    terms[:] = 0
    for a in range(4):
        j = j0
        for b in range(4):
            _terms(column.weights[0, a], column.weights[1, b], w)
            for k in range(c.shape[2]):
                value = c[i, j, k]
                for m in range(w.size):
                    terms[k, m] += w[m] * value
            j = j + 1 if j + 1 < c.shape[1] else 0
        i = i + 1 if i + 1 < c.shape[0] else 0
    column.centre[0], column.centre[1] = x, y


@inlined
def field(x: Any, y: Any, z: Any, pixel: Any, spline: Spline, column: Column) -> Jet:
    """Evaluate a spline at a point: x, y (Å) from the pixel, whose own place among the knots is `pixel`.

    Across, the spline is expanded to third order about a line nearby, which is renewed when the point leaves its
    surroundings. Beyond the lowest and highest knots the last piece goes on.
    """
    t, d, s = spline.to_index, column.terms, column.sums
    ax, ay = x - column.centre[0], y - column.centre[1]
    if ax * ax + ay * ay > column.radius * column.radius:
        _centre(x, y, pixel, spline, column)
        ax = ay = real(0.0, x)
    u, v = t[0, 0] * ax + t[0, 1] * ay, t[1, 0] * ax + t[1, 1] * ay
    w = (z - spline.lowest) / spline.spacing
    k = min(max(int(np.floor(w)), 1), d.shape[0] - 3)
    f = w - real(k, w)
    one, half, sixth, two, three = real(1.0, f), real(0.5, f), real(1 / 6, f), real(2.0, f), real(3.0, f)
    six, g = real(6.0, f), one - f
    e0, e3 = g * g * g * sixth, f * f * f * sixth
    e1 = (half * f - one) * f * f + real(2 / 3, f)
    e2 = one - e0 - e1 - e3
    f0, f1, f2, f3 = -half * g * g, (three * half * f - two) * f, (two - three * half * g) * g, half * f * f
    g1, g2 = three * f - two, three * g - two
    # Unsigned, so that indexing need not ask whether a number counts from the end.
    n, next_knot = np.uintp(k - 1), np.uintp(1)
    n1 = n + next_knot
    n2 = n1 + next_knot
    n3 = n2 + next_knot
    for m in range(s.shape[1]):  # not TERMS: the compiler would unroll it, and not use vectors
        s[0, m] = e0 * d[n, m] + e1 * d[n1, m] + e2 * d[n2, m] + e3 * d[n3, m]
        s[1, m] = f0 * d[n, m] + f1 * d[n1, m] + f2 * d[n2, m] + f3 * d[n3, m]
        s[2, m] = g * d[n, m] + g1 * d[n1, m] + g2 * d[n2, m] + f * d[n3, m]
    h = one / spline.spacing
    e, eu, ev = _cubic(u, v, s, 0)
    ew, euw, evw = _cubic(u, v, s, 1)
    eww, _, _ = _cubic(u, v, s, 2)
    euu = two * s[0, 3] + six * s[0, 6] * u + two * s[0, 7] * v
    evv = two * s[0, 5] + six * s[0, 9] * v + two * s[0, 8] * u
    euv = s[0, 4] + two * s[0, 7] * u + two * s[0, 8] * v
    return (
        e,
        t[0, 0] * eu + t[1, 0] * ev,
        t[0, 1] * eu + t[1, 1] * ev,
        h * ew,
        t[0, 0] * t[0, 0] * euu + two * t[0, 0] * t[1, 0] * euv + t[1, 0] * t[1, 0] * evv,
        t[0, 1] * t[0, 1] * euu + two * t[0, 1] * t[1, 1] * euv + t[1, 1] * t[1, 1] * evv,
        h * h * eww,
        t[0, 0] * t[0, 1] * euu + (t[0, 0] * t[1, 1] + t[0, 1] * t[1, 0]) * euv + t[1, 0] * t[1, 1] * evv,
        h * (t[0, 0] * euw + t[1, 0] * evw),
        h * (t[0, 1] * euw + t[1, 1] * evw),
    )


@inlined
def _cubic(u: Any, v: Any, s: Any, row: int) -> tuple[Any, Any, Any]:
    """Sum a row of a column's terms, and its derivatives by u and v."""
    two, three = real(2.0, u), real(3.0, u)
    uu, uv, vv = u * u, u * v, v * v
    c1, c2, c3, c4, c5 = s[row, 1], s[row, 2], s[row, 3], s[row, 4], s[row, 5]
    c6, c7, c8, c9 = s[row, 6], s[row, 7], s[row, 8], s[row, 9]
    return (
        s[row, 0] + u * (c1 + c3 * u + c4 * v + c6 * uu) + v * (c2 + c5 * v + c7 * uu + c8 * uv + c9 * vv),
        c1 + two * (c3 * u + c7 * uv) + c4 * v + three * c6 * uu + c8 * vv,
        c2 + two * (c5 * v + c8 * uv) + c4 * u + three * c9 * vv + c7 * uu,
    )


@inlined
def add(one: Jet, other: Jet) -> Jet:
    """Add two jets."""
    return (
        one[0] + other[0],
        one[1] + other[1],
        one[2] + other[2],
        one[3] + other[3],
        one[4] + other[4],
        one[5] + other[5],
        one[6] + other[6],
        one[7] + other[7],
        one[8] + other[8],
        one[9] + other[9],
    )


@inlined
def factorise(t: Jet, shift: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Factorise a raised Hessian, H + shift = L D Lᵀ: the three pivots of D, then xy, xz and yz of L.

    After a pivot that is not positive, those that follow repeat it.
    """
    soft, zero = real(SOFTEST, shift), real(0.0, shift)
    d0 = t[4] + shift
    if d0 <= soft:
        return d0, d0, d0, zero, zero, zero
    l10, l20 = t[7] / d0, t[8] / d0
    d1 = t[5] + shift - l10 * t[7]
    if d1 <= soft:
        return d0, d1, d1, l10, l20, zero
    l21 = (t[9] - l20 * t[7]) / d1
    return d0, d1, t[6] + shift - l20 * t[8] - l21 * l21 * d1, l10, l20, l21


@inlined
def solve(factors: Any, a: Any, b: Any, c: Any) -> tuple[Any, Any, Any]:
    """Solve L D Lᵀ r = (a, b, c)."""
    d0, d1, d2, l10, l20, l21 = factors
    b = b - l10 * a
    c = c - l20 * a - l21 * b
    z = c / d2
    y = b / d1 - l21 * z
    return a / d0 - l10 * y - l20 * z, y, z


@inlined
def raised_factors(t: Jet) -> tuple[Any, bool]:
    """Factorise a Hessian, raised until it is positive definite; tell whether it was so by itself."""
    shift = real(0.0, t[0])
    factors = factorise(t, shift)
    soft, four = real(SOFTEST, shift), real(4.0, shift)
    definite = factors[2] > soft
    shift = real(LEAST_SHIFT, shift)
    while not factors[2] > soft and shift < real(LARGEST_SHIFT, shift):
        factors = factorise(t, shift)
        shift = four * shift
    return factors, definite


@inlined
def fading(distance: Any, reach: Any) -> tuple[Any, Any]:
    """Give the weight of Lennard-Jones at a distance across the surface, and its slope."""
    one, half, width, zero = real(1.0, distance), real(0.5, distance), real(TAPER, distance), real(0.0, distance)
    pi = real(np.pi, distance)
    f = min(max((distance - reach + width) / width, zero), one)
    return half + half * np.cos(pi * f), -half * pi / width * np.sin(pi * f)


@inlined
def gather(
    x: Any, y: Any, heights: Any, length: Any, atoms: Any, listed: int, reach: Any, split: Split, work: Workspace
) -> None:
    """Collect the atoms that come near a pixel's probe into `near`, places from the pixel, first those near at the top.

    `row` lists the candidates. `counts` tells how many are near at each height, rounded up to whole registers.
    Lennard-Jones fades out towards the reach.
    """
    near, counts, order, level, row = work.near, work.counts, work.order, work.level, work.row
    widened = (np.sqrt(split.square) + real(ASTRAY, split.square)) ** 2
    counts[:] = 0
    found = 0
    for n in range(listed):
        index = row[n]
        dx, dy = atoms[0, index] - x, atoms[1, index] - y
        lateral = widened - dx * dx - dy * dy
        if lateral > 0:
            highest = atoms[2, index] + np.sqrt(lateral) + length
            if highest > heights[0]:
                height = np.searchsorted(heights, highest) - 1
                order[found], level[found] = index, height
                counts[height] += 1
                found += 1
    total = 0
    for height in range(heights.size - 1, -1, -1):  # from here, counts tells where the atoms of a height begin
        here = counts[height]
        counts[height] = total
        total += here
    for n in range(found):
        place = counts[level[n]]
        counts[level[n]] += 1
        near[0, place] = atoms[0, order[n]] - x
        near[1, place] = atoms[1, order[n]] - y
        for k in range(2, 6):
            near[k, place] = atoms[k, order[n]]
        distance = np.sqrt(near[0, place] ** 2 + near[1, place] ** 2)
        if distance > reach - TAPER:
            weight = fading(distance, reach)[0]
            near[3, place] *= weight
            near[4, place] *= weight
        near[6, place] = order[n]
    for place in range(found, found + LANES):
        near[0, place] = NOWHERE
        for k in range(1, 7):
            near[k, place] = 0
    for height in range(heights.size):
        counts[height] = (counts[height] + LANES - 1) // LANES * LANES


@inlined
def relax_pixel(
    heights: Any,
    near: Any,
    counts: Any,
    probe: Probe,
    split: Split,
    charged: bool,
    far: Spline,
    far_pixel: Any,
    far_column: Column,
    plane: Spline,
    plane_pixel: Any,
    plane_column: Column,
    tolerance: Any,
    force: Any,
    place: Any,
    response: Any,
) -> tuple[int, int]:
    """Lower the tip at one pixel, relax the probe at each height from where it was, and fill what it did.

    Returns the number of heights at which the probe did not come to rest, and of its leaps.
    """
    lost = leaps = 0
    zero, half = real(0.0, tolerance), real(0.5, tolerance)
    ox, oy = probe.offset_x, probe.offset_y
    oz = -np.sqrt(probe.length * probe.length - ox * ox - oy * oy)
    lx = ly = lz = kx = ky = kz = px = py = pz = zero
    for level in range(heights.size - 1, -1, -1):
        lowest, sx, sy, sz = real(1e30, tolerance), zero, zero, zero
        converged = definite = False
        fz = zero
        for _ in range(MOST_STEPS):
            z = heights[level] + oz
            s = pairs(ox, oy, z, near, counts[level], probe, split, charged)
            if far.coefficients.size > 0:
                s = add(s, field(ox, oy, z, far_pixel, far, far_column))
            if plane.coefficients.size > 0:
                s = add(s, field(ox, oy, z, plane_pixel, plane, plane_column))
            t = add(s, springs(ox, oy, oz, np.sqrt(ox * ox + oy * oy + oz * oz), probe))
            if t[0] > lowest + real(OVERSHOT, tolerance):  # overshot: go back half of the way
                sx, sy, sz = half * sx, half * sy, half * sz
                ox, oy, oz = ox - sx, oy - sy, oz - sz
                continue
            lowest = t[0]
            factors, definite = raised_factors(t)
            sx, sy, sz = solve(factors, -t[1], -t[2], -t[3])
            length = np.sqrt(sx * sx + sy * sy + sz * sz)
            still = t[1] * t[1] + t[2] * t[2] + t[3] * t[3] < real(STILL * STILL, tolerance)
            converged = (definite and length < tolerance) or still  # still: on a pass between two rests, by symmetry
            if converged:
                # What the last step changes is known to first order, and it is small.
                fz = -(s[3] + s[8] * sx + s[9] * sy + s[6] * sz)
                lx, ly, lz = solve(factors, s[8], s[9], s[6])
            elif length > real(LONGEST_STEP, tolerance):
                scale = real(LONGEST_STEP, tolerance) / length
                sx, sy, sz = sx * scale, sy * scale, sz * scale
            ox, oy, oz = ox + sx, oy + sy, oz + sz
            if converged:
                break
            fz = -s[3]
        force[level] = fz
        lost += not converged
        leapt = not definite or lx * lx + ly * ly + lz * lz > real(STEEPEST * STEEPEST, tolerance)
        if level == heights.size - 1:
            kx, ky, kz = lx, ly, lz
        else:  # along a smooth path, the probe moves as its responses at both ends say
            drop = half * (heights[level + 1] - heights[level])
            dx = ox - px - drop * (lx + kx)
            dy = oy - py - drop * (ly + ky)
            dz = oz - pz - drop * (lz + kz)
            if dx * dx + dy * dy + dz * dz > real(LEAP * LEAP, tolerance):
                leapt = True
                kx, ky, kz = lx, ly, lz
        leaps += leapt
        px, py, pz = ox, oy, oz
        if place.size > 0:
            place[0, level, 0], place[0, level, 1], place[0, level, 2] = ox, oy, oz
            response[0, level, 0], response[0, level, 1], response[0, level, 2] = lx, ly, lz
        if level > 0 and converged:
            drop = half * (heights[level] - heights[level - 1])  # two-step Adams-Bashforth
            three = real(3.0, tolerance)
            mx, my, mz = drop * (three * lx - kx), drop * (three * ly - ky), drop * (three * lz - kz)
            if mx * mx + my * my + mz * mz < real(LONGEST_GUESS * LONGEST_GUESS, tolerance):
                ox, oy, oz = ox + mx, oy + my, oz + mz
            kx, ky, kz = lx, ly, lz
    return lost, leaps


@inlined
def candidates(y: float, lowest: Any, atoms: Any, split: Split, row: Any) -> int:
    """List the atoms that can come near a probe, at rest no lower than `lowest`, somewhere along a row."""
    found = 0
    reach = np.sqrt(split.square) + ASTRAY
    for index in range(atoms.shape[1]):
        if abs(atoms[1, index] - y) < reach and atoms[2, index] + reach > lowest:
            row[found] = index
            found += 1
    return found


@inlined
def pixel_of(x: float, y: float, spline: Spline, like: Any, pixel: Any) -> None:
    """Find a pixel's own place among the knots, in double precision, and keep what is left after whole periods."""
    for axis in range(2):
        place = spline.to_index[axis, 0] * x + spline.to_index[axis, 1] * y + spline.origin[axis]
        if spline.coefficients.size > 0:
            place -= np.floor(place / spline.coefficients.shape[axis]) * spline.coefficients.shape[axis]
        pixel[axis] = real(place, like)


@compiled
def relax_rows(
    x: Any,
    y: Any,
    heights: Any,
    atoms: Any,
    reach: Any,
    charged: bool,
    probe: Probe,
    split: Split,
    far: Spline,
    plane: Spline,
    tolerance: Any,
    path: Path,
    work: Workspace,
) -> None:
    """Fill what the probe does under tip apexes over x, y (double precision) at heights of the tip's last atom.

    Atoms are rows x, y, z, C6, C12 and charge (eV Å/e), in double precision as the pixels are.
    """
    near, counts, row = work.near, work.counts, work.row
    far_pixel, plane_pixel = work.far_pixel, work.plane_pixel
    far_column, plane_column = work.far_column, work.plane_column
    for j in range(y.size):
        listed = candidates(y[j], heights[0] - probe.length, atoms, split, row)
        kept = j if path.place.shape[0] else 0
        for i in range(x.size):
            gather(x[i], y[j], heights, probe.length, atoms, listed, reach, split, work)
            pixel_of(x[i], y[j], far, tolerance, far_pixel)
            pixel_of(x[i], y[j], plane, tolerance, plane_pixel)
            far_column.centre[:] = NOWHERE
            plane_column.centre[:] = NOWHERE
            place, response = path.place[kept : kept + 1, i], path.response[kept : kept + 1, i]
            path.lost[j, i], path.leaps[j, i] = relax_pixel(
                heights,
                near,
                counts,
                probe,
                split,
                charged,
                far,
                far_pixel,
                far_column,
                plane,
                plane_pixel,
                plane_column,
                tolerance,
                path.force[j, i],
                place,
                response,
            )


@inlined
def add_spline_slopes(
    x: Any, y: Any, z: Any, vx: Any, vy: Any, vz: Any, pixel: Any, spline: Spline, column: Column, to: Any
) -> None:
    """Add to `to` how the slope of a spline along v depends on its coefficients; what `column` holds is added later."""
    t, d, s = spline.to_index, column.terms, column.sums
    ax, ay = x - column.centre[0], y - column.centre[1]
    if ax * ax + ay * ay > column.radius * column.radius:
        hand_over(pixel, spline, column, to)
        column.centre[0], column.centre[1] = x, y
        ax = ay = real(0.0, x)
    u, v = t[0, 0] * ax + t[0, 1] * ay, t[1, 0] * ax + t[1, 1] * ay
    au, av, aw = t[0, 0] * vx + t[0, 1] * vy, t[1, 0] * vx + t[1, 1] * vy, vz / spline.spacing
    w = (z - spline.lowest) / spline.spacing
    k = min(max(int(np.floor(w)), 1), d.shape[0] - 3)
    two, three = real(2.0, u), real(3.0, u)
    uu, uv, vv = u * u, u * v, v * v
    p, q = s[0], s[1]
    p[0], p[1], p[2], p[3], p[4] = real(1.0, u), u, v, uu, uv
    p[5], p[6], p[7], p[8], p[9] = vv, uu * u, uu * v, vv * u, vv * v
    q[0], q[1], q[2], q[3], q[4], q[5] = real(0.0, u), au, av, two * u * au, u * av + v * au, two * v * av
    q[6], q[7] = three * uu * au, two * uv * au + uu * av
    q[8], q[9] = two * uv * av + vv * au, three * vv * av
    _weights(w - real(k, w), column.weights[0])
    for knot in range(4):
        across, rise = column.weights[0, knot, 0], aw * column.weights[0, knot, 1]
        for m in range(s.shape[1]):
            d[k - 1 + knot, m] += across * q[m] + rise * p[m]


@inlined
def hand_over(pixel: Any, spline: Spline, column: Column, to: Any) -> None:
    """Add what a column has gathered to what depends on the spline's coefficients, and empty it."""
    w = column.products
    i, j0 = _knots(column.centre[0], column.centre[1], pixel, spline, column.weights)
    for a in range(4):
        j = j0
        for b in range(4):
            _terms(column.weights[0, a], column.weights[1, b], w)
            for k in range(to.shape[2]):
                total = real(0.0, w[0])
                for m in range(w.size):
                    total += w[m] * column.terms[k, m]
                to[i, j, k] += total
            j = j + 1 if j + 1 < to.shape[1] else 0
        i = i + 1 if i + 1 < to.shape[0] else 0
    column.terms[:] = 0


@inlined
def add_pair_slopes(
    x: Any, y: Any, z: Any, vx: Any, vy: Any, vz: Any, near: Any, count: int, probe: Probe, split: Split, to: Any
) -> tuple[Any, Any]:
    """Add to `to` (rows x, y, z, charge) how the slope of the near energy along v depends on each atom.

    Returns how it depends on the probe's charge and moment.
    """
    of_charge = of_moment = real(0.0, x)
    one, two, four, eight = real(1.0, x), real(2.0, x), real(4.0, x), real(8.0, x)
    for a in range(count):
        dx, dy, dz = x - near[0, a], y - near[1, a], z - near[2, a]
        t = min(dx * dx + dy * dy + dz * dz, split.square) - split.square
        inverse = one / (t + split.square)
        _, a1, a2 = near_lennard_jones(inverse, t, near[3, a], near[4, a], split)
        v = near_coulomb(inverse, t, split)
        _, m1, m2, b0, b1, b2 = multipole(v, probe.charge, probe.moment)
        q, zz = near[5, a], dz * dz
        along = vx * dx + vy * dy + vz * dz
        # The Hessian of A(s) + z² B(s) times v.
        first = two * (a1 + q * (m1 + zz * b1))
        second = four * ((a2 + q * (m2 + zz * b2)) * along + q * b1 * dz * vz)
        up = two * q * (b0 * vz + two * b1 * dz * along)
        to[0, a] -= first * vx + second * dx
        to[1, a] -= first * vy + second * dy
        to[2, a] -= first * vz + second * dz + up
        to[3, a] += two * (m1 + zz * b1) * along + two * b0 * dz * vz
        of_charge += q * two * v[1] * along
        of_moment += q * (four * (v[2] + two * zz * v[3]) * along + eight * v[2] * dz * vz)
    return of_charge, of_moment


@compiled
def slope_rows(
    x: Any,
    y: Any,
    heights: Any,
    atoms: Any,
    reach: Any,
    probe: Probe,
    split: Split,
    far: Spline,
    plane: Spline,
    path: Path,
    upstream: Any,
    slopes: Slopes,
    work: Workspace,
) -> None:
    """Add to `slopes` how a loss depends on atoms, tip and fields, given how it depends on the force, (y, x, height).

    The rest condition, not the way to it, is differentiated: with E the sample's energy, H the whole Hessian
    at rest and λ = H⁻¹ ∇∂E/∂z the response, the force changes with any parameter p as
    dF/dp = ∂/∂p [(λ − e_z)·∇E + λ·∇(springs)].
    """
    near, of_near, counts, row = work.near, work.of_near, work.counts, work.row
    far_pixel, plane_pixel = work.far_pixel, work.plane_pixel
    far_column, plane_column = work.far_column, work.plane_column
    one = real(1.0, heights[0])
    for j in range(y.size):
        listed = candidates(y[j], heights[0] - probe.length, atoms, split, row)
        for i in range(x.size):
            gather(x[i], y[j], heights, probe.length, atoms, listed, reach, split, work)
            pixel_of(x[i], y[j], far, one, far_pixel)
            pixel_of(x[i], y[j], plane, one, plane_pixel)
            most = 0
            far_column.centre[:] = 0
            plane_column.centre[:] = 0
            for level in range(heights.size):
                g = upstream[j, i, level]
                if g == 0:
                    continue
                o, response = path.place[j, i, level], path.response[j, i, level]
                ox, oy, oz = o[0], o[1], o[2]
                lx, ly, lz = response[0], response[1], response[2]
                vx, vy, vz, z = g * lx, g * ly, g * (lz - one), heights[level] + oz
                q, m = add_pair_slopes(ox, oy, z, vx, vy, vz, near, counts[level], probe, split, of_near)
                slopes.tip[5] += q
                slopes.tip[6] += m
                most = max(most, counts[level], 1)
                if far.coefficients.size > 0:
                    add_spline_slopes(ox, oy, z, vx, vy, vz, far_pixel, far, far_column, slopes.far)
                if plane.coefficients.size > 0:
                    add_spline_slopes(ox, oy, z, vx, vy, vz, plane_pixel, plane, plane_column, slopes.plane)
                r = np.sqrt(ox * ox + oy * oy + oz * oz)
                along = g * (lx * ox + ly * oy + lz * oz) / r
                slopes.tip[0] += g * (lx * (ox - probe.offset_x) + ly * (oy - probe.offset_y))
                slopes.tip[1] += along * (r - probe.length)
                slopes.tip[2] -= along * probe.radial
                slopes.tip[3] -= g * lx * probe.lateral
                slopes.tip[4] -= g * ly * probe.lateral
                t = springs(ox, oy, oz, r, probe)
                slopes.tip[7] -= g * (t[8] * lx + t[9] * ly + t[6] * lz)
            if most > 0:
                if far.coefficients.size > 0:
                    hand_over(far_pixel, far, far_column, slopes.far)
                if plane.coefficients.size > 0:
                    hand_over(plane_pixel, plane, plane_column, slopes.plane)
            for a in range(most):
                for k in range(4):
                    slopes.atoms[k, int(near[6, a])] += of_near[k, a]
                    of_near[k, a] = 0
