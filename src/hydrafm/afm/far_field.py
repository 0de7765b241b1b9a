"""The far part of the energy: smooth, so it is known on a grid and held by a cubic spline."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from hydrafm.afm.compilation import compiled, inlined, real
from hydrafm.afm.interactions import Probe, Split
from hydrafm.afm.kernel import (
    LANES,
    TAPER,
    Spline,
    coulomb,
    coulomb_taylor,
    fading,
    lennard_jones,
    lennard_jones_taylor,
)

ASIDE = 1.5
"""Å, by which the grid reaches beyond the pixels: a soft CO bends less."""

ABOVE, BELOW = 1.0, 0.3
"""Å, by which it reaches beyond the unrelaxed probe's heights: repulsion lifts the probe, attraction lowers it less."""

ENDS = 2
"""Knots beyond, so that the spline's ends, which err more, are not used."""


@dataclass(frozen=True)
class FarGrid:
    """The grid over a scan: knots along x and y (Å) and heights z (Å), all `spacing` Å apart."""

    x: Float[np.ndarray, " x"]
    y: Float[np.ndarray, " y"]
    z: Float[np.ndarray, " z"]
    spacing: float

    @classmethod
    def over(
        cls, x: Float[np.ndarray, " _"], y: Float[np.ndarray, " _"], z: Float[np.ndarray, " _"], spacing: float
    ) -> "FarGrid":
        """Cover pixels x, y and heights z of the unrelaxed probe, Å."""
        return cls(
            _knots(float(x.min()) - ASIDE, float(x.max()) + ASIDE, spacing, LANES),
            _knots(float(y.min()) - ASIDE, float(y.max()) + ASIDE, spacing),
            _knots(float(z.min()) - BELOW, float(z.max()) + ABOVE, spacing),
            spacing,
        )

    def spline(self, values: Float[np.ndarray, "z y x"]) -> Spline:
        """Interpolate values on the grid."""
        c = self._along_axes(values, lambda matrix: matrix)
        kind = values.dtype.type
        step = 1 / self.spacing
        return Spline(
            np.ascontiguousarray(np.moveaxis(c, 0, 2)),
            np.array([[0.0, step], [step, 0.0]], dtype=kind),
            np.array([1 - self.y[0] * step, 1 - self.x[0] * step]),
            kind(self.z[0] - self.spacing),
            kind(self.spacing),
        )

    def adjoint(self, slopes: Float[np.ndarray, "u v w"]) -> Float[np.ndarray, "z y x"]:
        """Turn derivatives by the spline's coefficients into derivatives by the values on the grid."""
        return self._along_axes(np.moveaxis(slopes, 2, 0), np.transpose)

    def _along_axes(
        self, values: Float[np.ndarray, "z y x"], of: Callable[[np.ndarray], np.ndarray]
    ) -> Float[np.ndarray, "z_out y_out x_out"]:
        """Multiply along each axis by (what is made of) the matrix of its knots."""
        for knots in (self.z, self.y, self.x):
            matrix = np.ascontiguousarray(of(_prefilter(len(knots))), dtype=values.dtype)
            first = np.ascontiguousarray(values).reshape(len(values), -1)
            product = np.zeros((len(matrix), first.shape[1]), dtype=values.dtype)
            _multiply(matrix, first, product)
            values = np.moveaxis(product.reshape(len(matrix), *values.shape[1:]), 0, 2)
        return np.ascontiguousarray(values)


def _knots(low: float, high: float, spacing: float, multiple: int = 1) -> Float[np.ndarray, " knot"]:
    count = int(np.ceil((high - low) / spacing)) + 2 * ENDS + 1
    return low + spacing * (np.arange(count + -count % multiple) - ENDS)


@compiled
def _multiply(matrix: Any, values: Any, product: Any) -> None:
    """Add matrix @ values to the product; a BLAS would start threads for it."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            for k in range(values.shape[1]):
                product[i, k] += matrix[i, j] * values[j, k]


def _prefilter(count: int) -> Float[np.ndarray, "coefficient value"]:
    """Give the matrix from values to the coefficients of the cubic B-spline through them, one more at either end.

    The ends are not knots: the third derivative goes on there.
    """
    matrix = np.zeros((count + 2, count + 2))
    for row in range(count):
        matrix[row + 1, row : row + 3] = 1 / 6, 4 / 6, 1 / 6
    matrix[0, :5] = matrix[-1, -5:] = 1, -4, 6, -4, 1
    inverse: np.ndarray = np.linalg.inv(matrix)[:, 1:-1]
    return inverse


@inlined
def _lennard_jones(s: Any, c6: Any, c12: Any, split: Split) -> tuple[Any, Any]:
    """Give the far part of Lennard-Jones and its derivative by s."""
    a, b = split.sixth, split.twelfth
    v = lennard_jones(real(1.0, s) / max(s, split.square))
    w = lennard_jones_taylor(min(s, split.square) - split.square, split)
    return (
        c12 * (v[3] + (w[3] - b[0])) - c6 * (v[0] + (w[0] - a[0])),
        c12 * (v[4] + (w[4] - b[1])) - c6 * (v[1] + (w[1] - a[1])),
    )


@inlined
def _coulomb(s: Any, split: Split) -> Any:
    """Give the far part of 1/r and three derivatives by s."""
    t = min(s, split.square) - split.square
    inverse = real(1.0, s) / max(s, split.square)
    v, w, w0 = coulomb(inverse, np.sqrt(inverse)), coulomb_taylor(t, split), coulomb_taylor(t - t, split)
    return v[0] + (w[0] - w0[0]), v[1] + (w[1] - w0[1]), v[2] + (w[2] - w0[2]), v[3] + (w[3] - w0[3])


@compiled
def fill_far(
    x: Any, y: Any, z: Any, atoms: Any, reach: Any, probe: Probe, split: Split, values: Any, across: Any
) -> None:
    """Add up the far energies of atoms (rows x, y, z, C6, C12, charge) on a grid, (z, y, x).

    `across`, (2, x), is room to work in.
    """
    two, four = real(2.0, reach), real(4.0, reach)
    whole = max(reach - real(TAPER, reach), real(0.0, reach))
    for a in range(atoms.shape[1]):
        c6, c12, charge = atoms[3, a], atoms[4, a], atoms[5, a]
        widest = max(abs(x[0] - atoms[0, a]), abs(x[x.size - 1] - atoms[0, a]))
        for j in range(y.size):
            dy = y[j] - atoms[1, a]
            if abs(dy) < reach:
                for i in range(x.size):
                    dx = x[i] - atoms[0, a]
                    across[0, i] = dx * dx + dy * dy
                    across[1, i] = real(1.0, reach)
                if widest * widest + dy * dy > whole * whole:
                    for i in range(x.size):
                        across[1, i] = fading(np.sqrt(across[0, i]), reach)[0]
                for k in range(z.size):
                    zz = (z[k] - atoms[2, a]) * (z[k] - atoms[2, a])
                    if zz > split.square:  # deep below: nothing is near
                        for i in range(x.size):
                            v = lennard_jones(real(1.0, reach) / (across[0, i] + zz))
                            values[k, j, i] += across[1, i] * (c12 * v[3] - c6 * v[0])
                    else:
                        for i in range(x.size):
                            values[k, j, i] += across[1, i] * _lennard_jones(across[0, i] + zz, c6, c12, split)[0]
            if charge != 0:
                for k in range(z.size):
                    zz = (z[k] - atoms[2, a]) * (z[k] - atoms[2, a])
                    for i in range(x.size):
                        dx = x[i] - atoms[0, a]
                        v = _coulomb(dx * dx + dy * dy + zz, split)
                        values[k, j, i] += charge * (
                            probe.charge * v[0] + probe.moment * (two * v[1] + four * zz * v[2])
                        )


@compiled
def far_slopes(
    x: Any, y: Any, z: Any, atoms: Any, reach: Any, probe: Probe, split: Split, slopes: Any, of_atoms: Any
) -> tuple[float, float]:
    """Turn derivatives of a loss by the energies on the grid, (z, y, x), into those by atoms, added to `of_atoms`.

    Its rows are x, y, z and charge. Returns the derivatives by the probe's charge and moment.
    """
    two, four, eight = real(2.0, reach), real(4.0, reach), real(8.0, reach)
    zero = real(0.0, reach)
    of_charge = of_moment = 0.0
    for a in range(atoms.shape[1]):
        c6, c12, charge = atoms[3, a], atoms[4, a], atoms[5, a]
        gx = gy = gz = gq = gm = zero
        for j in range(y.size):
            dy = y[j] - atoms[1, a]
            for k in range(z.size):
                dz = z[k] - atoms[2, a]
                zz, yz = dz * dz, dy * dy + dz * dz
                if charge != 0:
                    for i in range(x.size):
                        dx, g = x[i] - atoms[0, a], slopes[k, j, i]
                        v = _coulomb(dx * dx + yz, split)
                        gq += g * v[0]
                        gm += g * (two * v[1] + four * zz * v[2])
                        first = g * two * (probe.charge * v[1] + probe.moment * (two * v[2] + four * zz * v[3]))
                        gx -= charge * first * dx
                        gy -= charge * first * dy
                        gz -= charge * (first + g * eight * probe.moment * v[2]) * dz
                if abs(dy) < reach:
                    for i in range(x.size):
                        dx, g = x[i] - atoms[0, a], slopes[k, j, i]
                        lateral = dx * dx + dy * dy
                        w, w1 = fading(np.sqrt(lateral), reach)
                        e, e1 = _lennard_jones(lateral + zz, c6, c12, split)
                        across = g * (w * two * e1 + (w1 * e / np.sqrt(lateral) if w1 != 0 else zero))
                        gx -= across * dx
                        gy -= across * dy
                        gz -= g * w * two * e1 * dz
        of_charge += charge * gq
        of_moment += charge * gm
        of_atoms[0, a] += gx
        of_atoms[1, a] += gy
        of_atoms[2, a] += gz
        of_atoms[3, a] += probe.charge * gq + probe.moment * gm
    return of_charge, of_moment
