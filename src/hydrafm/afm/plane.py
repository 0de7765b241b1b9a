"""The electrostatic potential above a sample, known in one plane and harmonic above it."""

from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float

from hydrafm.afm.kernel import Spline
from hydrafm.errors import GridError, StructureError
from hydrafm.structure import Window

SPACING = 0.2
"""Å, of the splines' knots along every axis: forces err by less than 1 part in 1000 (tests/afm)."""

MARGIN = 0.5
"""Å, by which the field reaches below and above the unrelaxed probe."""

DEEPEST = 1.0
"""Å, how far below its plane a potential is continued; that is still above the charges, which lie 1.5 Å lower."""

FINEST = 5.0
"""1/Å, largest wave number kept: finer waves fall below 1e-4 within 1.9 Å, and noise in them must not be continued."""


@dataclass(frozen=True)
class PotentialPlane:
    """A periodic electrostatic potential in one horizontal plane.

    Attributes
    ----------
    values : (u, v) array, V
        Potential seen by a positive unit charge; point [i, j] lies at i/u of the first and j/v of
        the second cell vector. Its lateral mean does not matter.
    cell : (2, 2) array, Å
        Cell vectors, one a row.
    height : float, Å
        Height of the plane, in the frame of the sample's atoms.
    window : Window
        The field of view on that cell.
    """

    values: Float[np.ndarray, "u v"]
    cell: Float[np.ndarray, "2 2"]
    height: float
    window: Window

    def __post_init__(self) -> None:
        if not np.isfinite(self.values).all():
            raise StructureError("the potential has values that are not finite numbers; solve it again")

    @property
    def floor(self) -> float:
        """Lowest height of the unrelaxed probe, Å."""
        return self.height - DEEPEST

    def spline(self, *, charge: float, moment: float, low: float, high: float) -> Spline:
        r"""Make the energy of a multipole above the plane, ready for the kernel.

        No charge lies above the plane (nor close below), so V is harmonic and each plane wave continues as

        .. math:: V_k(z) = V_k e^{-k (z - z_0)}, \qquad
                  E_k(z) = (q + M k^2) V_k(z).

        A multipole smeared by a Gaussian acts in a harmonic potential exactly as the point multipole
        of the same moment (mean value property), so the tip's width enters through M alone. The
        coefficients of the cubic B-spline through these values are exact in k-space: sampling a
        plane wave multiplies it by (4 + 2 cos kh)/6 along x and y, by (4 + 2 cosh kh)/6 along z.

        Parameters
        ----------
        charge : float, e
            Monopole q.
        moment : float, e Å²
            What multiplies ∂²V/∂z², M.
        low, high : float, Å
            Range of heights of the unrelaxed probe, in the frame of the sample's atoms.

        Raises
        ------
        GridError
            If the probe would go deeper below the plane than the potential can be continued.
        """
        if low < self.floor:
            raise GridError(
                f"the probe goes down to z = {low:.2f} Å, more than {DEEPEST:g} Å below the plane of the potential"
                f" at {self.height:.2f} Å; raise scan.lowest or lower plane_height of the potential"
            )
        counts = [scipy.fft.next_fast_len(max(int(np.ceil(side / SPACING)), n), real=True)
                  for side, n in zip(np.linalg.norm(self.cell, axis=1), self.values.shape, strict=True)]  # fmt: skip
        waves = _padded(self.values, counts[0], counts[1])
        u = scipy.fft.fftfreq(counts[0])[:, None]
        v = scipy.fft.rfftfreq(counts[1])[None, :]
        inverse = np.linalg.inv(self.cell)
        k = 2 * np.pi * np.hypot(*(row[0] * u * counts[0] + row[1] * v * counts[1] for row in inverse))
        sampling = (2 + np.cos(2 * np.pi * u)) * (2 + np.cos(2 * np.pi * v)) * (2 + np.cosh(k * SPACING)) / 27
        waves *= np.where(k < FINEST, charge + moment * k**2, 0.0) / sampling
        z = np.arange(low - MARGIN - SPACING, high + MARGIN + 2 * SPACING, SPACING)
        layers = waves[None] * np.exp(-k[None] * (z - self.height)[:, None, None])
        coefficients = scipy.fft.irfft2(layers, s=tuple(counts))
        scale = inverse * np.array(counts)
        return Spline(
            coefficients=np.ascontiguousarray(np.moveaxis(coefficients, 0, 2)),
            to_index=np.ascontiguousarray((self.window.axes @ scale).T),
            origin=np.array([self.window.x, self.window.y]) @ scale,
            lowest=float(z[0]),
            spacing=SPACING,
        )


def _padded(values: Float[np.ndarray, "u v"], rows: int, columns: int) -> np.ndarray:
    """Give the plane waves of a periodic plane for a finer grid of the same cell.

    The mean and the waves at the Nyquist frequency, whose direction is not known, are left out.
    """
    waves = scipy.fft.rfft2(values) * (rows * columns / values.size)
    positive, across = (values.shape[0] - 1) // 2, (values.shape[1] - 1) // 2
    padded = np.zeros((rows, columns // 2 + 1), dtype=complex)
    padded[: positive + 1, : across + 1] = waves[: positive + 1, : across + 1]
    if positive:
        padded[-positive:, : across + 1] = waves[-positive:, : across + 1]
    padded[0, 0] = 0
    return padded
