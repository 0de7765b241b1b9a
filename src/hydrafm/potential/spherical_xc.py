"""GPAW's exchange and correlation inside the atoms' spheres, all directions at once.

GPAW walks through the 50 directions of its Lebedev quadrature one by one in Python; in a slab of
tens of gold atoms with a small basis that takes more than half of the time. Here the same sums are
matrix products, equal to GPAW's up to rounding.
"""

from functools import cache
from typing import Any

import numpy as np
from gpaw.dft import XC
from gpaw.sphere import lebedev
from gpaw.xc import lda
from gpaw.xc.gga import GGA
from gpaw.xc.pawcorrection import rnablaY_nLv as GRADIENTS
from scipy.sparse import csr_array


class BatchedXC(XC):
    """A functional by name, as GPAW's `xc` takes it; a GGA without spin is evaluated in batches."""

    def functional(self, **options: Any) -> Any:
        """Make the functional."""
        functional = super().functional(**options)
        if type(functional) is not GGA:
            return functional
        return BatchedGGA(functional.kernel, functional.stencil_range)  # type: ignore[no-untyped-call]


class BatchedGGA(GGA):
    """A generalised gradient approximation with fast corrections inside the spheres."""

    def calculate_paw_correction(  # type: ignore[override]
        self, setup: Any, density: Any, gradient: Any = None, **options: Any
    ) -> float:
        """Give the energy of the true minus the smooth density, and add its gradient to `gradient`.

        Parameters
        ----------
        setup : Setup
            GPAW's data of the element.
        density : (spin, pair) array
            Packed density matrix of the atom.
        gradient : (spin, pair) array, optional
            Derivative of the energy with respect to it, Hartree.
        **options
            As in GPAW.
        """
        if len(density) != 1:
            plain = super().calculate_paw_correction
            return float(plain(setup, density, gradient, **options))  # type: ignore[no-untyped-call]
        return float(lda.calculate_paw_correction(self._expand, setup, density, gradient, **options))

    def _expand(self, grid: Any, coefficients: Any, functions: Any, core: Any) -> tuple[float, Any]:
        """Integrate over one sphere and differentiate with respect to the density's coefficients.

        With n and a = ∂n/∂r along the directions, b = r∇n across, and σ = a² + b²/r², the gradient
        of E = Σ w ∫ 4πr² e(n, σ) dr on the radial grid uses the transpose of the grid's own derivative.
        As in GPAW the origin, which has no volume, takes no part.
        """
        parts = np.dot(coefficients, functions)
        parts[:, 0] += core
        parts = parts[0]
        derivative = _derivative_of(grid)
        harmonics, gradients = lebedev.Y_nL[:, : len(parts)], GRADIENTS[:, : len(parts)].transpose(2, 0, 1)
        n = harmonics @ parts
        along = harmonics @ (derivative @ parts.T).T
        across = gradients @ parts
        sigma = np.sum(across**2, axis=0)
        sigma[:, 1:] /= grid.r_g[1:] ** 2
        sigma[:, 0] = sigma[:, 1]
        sigma += along**2
        energy, by_n, by_sigma = np.empty_like(n), np.zeros_like(n), np.zeros_like(n)
        self.kernel.calculate(energy, n[None], by_n[None], sigma[None], by_sigma[None])
        weights = lebedev.weight_n[:, None]
        by_parts = harmonics.T @ (weights * grid.dv_g * by_n)
        by_slopes = harmonics.T @ (2 * weights * grid.dv_g * by_sigma * along)
        by_parts += (derivative.T @ by_slopes.T).T * (grid.r_g > 0)
        by_parts += 8 * np.pi * np.sum(gradients.transpose(0, 2, 1) @ (weights * grid.dr_g * by_sigma * across), axis=0)
        return float(lebedev.weight_n @ grid.integrate(energy)), (by_parts @ functions.T).T[None]


@cache
def _derivative_of(grid: Any) -> Any:
    """Write the derivative of a radial grid as a matrix."""
    return csr_array(np.array([grid.derivative(unit) for unit in np.eye(len(grid))]).T)
