"""Energies between the probe and what it meets, with their derivatives, as plain arithmetic.

The same lines run on numbers in compiled loops (`kernel`) and on tensors (`tensors`). Energies are eV,
lengths Å. A *jet* is the tuple (E, Ex, Ey, Ez, Exx, Eyy, Ezz, Exy, Exz, Eyz).

Pair energies are functions of s = r². Each is split at s₀: the near part is f(s) − T(s) below s₀ and nothing
above, where T is f's Taylor polynomial about s₀; the far part, T below s₀ and f above, is smooth, so that a
spline holds it (the softening of multilevel summation: Hardy et al., J. Chem. Theory Comput. 11, 766, 2015).
"""

from math import factorial
from typing import Any, NamedTuple

import numpy as np

from hydrafm.afm.compilation import real

Jet = tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any, Any]

DEGREES = (4, 4, 6)
"""Of the Taylor polynomials of r⁻⁶, of r⁻¹², which is small at s₀, and of 1/r, which the dz² moment differentiates
twice: so forces and Hessians are continuous at s₀."""


class Split(NamedTuple):
    """Where near ends: s₀ (Å²), and the Taylor coefficients about it of r⁻⁶, r⁻¹² and 1/r, in powers of s − s₀."""

    square: Any
    sixth: tuple[Any, Any, Any, Any, Any]
    twelfth: tuple[Any, Any, Any, Any, Any]
    root: tuple[Any, Any, Any, Any, Any, Any, Any]


class Probe(NamedTuple):
    """The probe's springs (eV/Å²), bond length and rest offset (Å), and multipole (e, e Å²)."""

    lateral: Any
    radial: Any
    length: Any
    offset_x: Any
    offset_y: Any
    charge: Any
    moment: Any


def split_at(distance: float, kind: type = np.float64) -> Split:
    """Expand the pair energies about a distance in Å."""
    square = distance**2

    def taylor(power: float, degree: int) -> tuple[Any, ...]:
        falling = np.cumprod([1.0, *(-power - m for m in range(degree))])
        return tuple(kind(c / factorial(m) * square ** (-power - m)) for m, c in enumerate(falling))

    return Split(kind(square), *(taylor(p, d) for p, d in zip((3.0, 6.0, 0.5), DEGREES, strict=True)))


def lennard_jones(inverse: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Give r⁻⁶ with two derivatives by s, and r⁻¹² with two; inverse = 1/s."""
    three, six, twelve, forty_two = real(3.0, inverse), real(6.0, inverse), real(12.0, inverse), real(42.0, inverse)
    square = inverse * inverse
    sixth = square * inverse
    twelfth = sixth * sixth
    return (
        sixth,
        -three * square * square,
        twelve * square * sixth,
        twelfth,
        -six * twelfth * inverse,
        forty_two * twelfth * square,
    )


def lennard_jones_taylor(t: Any, split: Split) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Give the Taylor polynomials of r⁻⁶ and r⁻¹² with two derivatives by s each, at t = s − s₀."""
    a0, a1, a2, a3, a4 = split.sixth
    b0, b1, b2, b3, b4 = split.twelfth
    c2, c3, c4, c6, c12 = real(2.0, t), real(3.0, t), real(4.0, t), real(6.0, t), real(12.0, t)
    return (
        a0 + t * (a1 + t * (a2 + t * (a3 + t * a4))),
        a1 + t * (c2 * a2 + t * (c3 * a3 + t * c4 * a4)),
        c2 * a2 + t * (c6 * a3 + t * c12 * a4),
        b0 + t * (b1 + t * (b2 + t * (b3 + t * b4))),
        b1 + t * (c2 * b2 + t * (c3 * b3 + t * c4 * b4)),
        c2 * b2 + t * (c6 * b3 + t * c12 * b4),
    )


def coulomb(inverse: Any, root: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Give 1/r and four derivatives by s; inverse = 1/s, root = 1/r."""
    r1 = real(-0.5, root) * root * inverse
    r2 = real(-1.5, root) * r1 * inverse
    r3 = real(-2.5, root) * r2 * inverse
    return root, r1, r2, r3, real(-3.5, root) * r3 * inverse


def coulomb_taylor(t: Any, split: Split) -> tuple[Any, Any, Any, Any, Any]:
    """Give the Taylor polynomial of 1/r and four derivatives by s, at t = s − s₀."""
    d0, d1, d2, d3, d4, d5, d6 = split.root
    c2, c3, c4, c5, c6 = real(2.0, t), real(3.0, t), real(4.0, t), real(5.0, t), real(6.0, t)
    c12, c20, c24, c30 = real(12.0, t), real(20.0, t), real(24.0, t), real(30.0, t)
    c60, c120, c360 = real(60.0, t), real(120.0, t), real(360.0, t)
    return (
        d0 + t * (d1 + t * (d2 + t * (d3 + t * (d4 + t * (d5 + t * d6))))),
        d1 + t * (c2 * d2 + t * (c3 * d3 + t * (c4 * d4 + t * (c5 * d5 + t * c6 * d6)))),
        c2 * d2 + t * (c6 * d3 + t * (c12 * d4 + t * (c20 * d5 + t * c30 * d6))),
        c6 * d3 + t * (c24 * d4 + t * (c60 * d5 + t * c120 * d6)),
        c24 * d4 + t * (c120 * d5 + t * c360 * d6),
    )


def multipole(v: tuple[Any, Any, Any, Any, Any], charge: Any, moment: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Turn a potential V(s) into qV + M ∂²V/∂z² = A(s) + z² B(s): A and B with two derivatives each."""
    two, four = real(2.0, charge), real(4.0, charge)
    twice, fourfold = two * moment, four * moment
    return (
        charge * v[0] + twice * v[1],
        charge * v[1] + twice * v[2],
        charge * v[2] + twice * v[3],
        fourfold * v[2],
        fourfold * v[3],
        fourfold * v[4],
    )


def pair_jet(dx: Any, dy: Any, dz: Any, terms: tuple[Any, Any, Any, Any, Any, Any]) -> Jet:
    """Give the jet of A(s) + z² B(s) at (dx, dy, dz) from the atom; terms are A, A′, A″, B, B′, B″."""
    a, a1, a2, b, b1, b2 = terms
    two, four, eight = real(2.0, a), real(4.0, a), real(8.0, a)
    zz = dz * dz
    first = two * (a1 + zz * b1)
    second = four * (a2 + zz * b2)
    cross = four * b1 * dz
    return (
        a + zz * b,
        first * dx,
        first * dy,
        (first + two * b) * dz,
        first + second * dx * dx,
        first + second * dy * dy,
        first + (second + eight * b1) * zz + two * b,
        second * dx * dy,
        (second * dz + cross) * dx,
        (second * dz + cross) * dy,
    )


def springs(dx: Any, dy: Any, dz: Any, distance: Any, probe: Probe) -> Jet:
    """Give the jet of the springs of a probe at (dx, dy, dz), `distance` away from the tip's last atom.

    As in ppafm: a radial spring of rest length `length` along the bond, a lateral one on (dx, dy)
    from the rest offset (Hapala et al., Phys. Rev. B 90, 085421, 2014).
    """
    half = real(0.5, distance)
    stretch = distance - probe.length
    x, y = dx - probe.offset_x, dy - probe.offset_y
    first = probe.radial * stretch / distance
    second = probe.radial * probe.length / (distance * distance * distance)
    return (
        half * probe.radial * stretch * stretch + half * probe.lateral * (x * x + y * y),
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
