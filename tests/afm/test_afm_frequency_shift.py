"""Giessibl's conversion against closed forms."""

import numpy as np
import pytest

from hydrafm.afm.frequency_shift import frequency_shift
from hydrafm.errors import GridError
from hydrafm.units import EV_PER_A2_IN_N_PER_M

SENSOR = {"resonance": 30300.0, "stiffness": 1800.0}


@pytest.mark.parametrize("amplitude", [0.05, 0.5, 2.0])
def test_inverse_square_force_has_a_closed_form(amplitude):
    """F = -c/z² gives Δf = -(f₀c/k)·(z² + 2Az)^(-3/2) at any amplitude."""
    z = np.arange(3.0, 12.0, 0.05)
    force = -2.0 / z**2
    shift = frequency_shift(force[:, None, None], z, amplitude=amplitude, **SENSOR)[:, 0, 0]
    lowest = z[: len(shift)]
    exact = -30300.0 * 2.0 / 1800.0 * EV_PER_A2_IN_N_PER_M * (lowest**2 + 2 * amplitude * lowest) ** -1.5
    np.testing.assert_allclose(shift, exact, rtol=2e-4)


@pytest.mark.parametrize("amplitude", [0.1, 1.0])
def test_linear_force_gives_minus_half_the_gradient_at_any_amplitude(amplitude):
    z = np.linspace(0.0, 5.0, 51)
    shift = frequency_shift(0.3 * z[:, None, None], z, amplitude=amplitude, **SENSOR)
    np.testing.assert_allclose(shift, -30300.0 / (2 * 1800.0) * 0.3 * EV_PER_A2_IN_N_PER_M, rtol=1e-10)


def test_a_swing_of_n_spacings_needs_n_heights_more():
    z = 2.9 + 0.1 * np.arange(30)
    assert frequency_shift(np.zeros((30, 1, 1)), z, amplitude=0.5, **SENSOR).shape == (20, 1, 1)


def test_a_swing_longer_than_the_grid_is_refused():
    with pytest.raises(GridError, match=r"swing of 2 × 2 Å does not fit the force grid, z = 0\.\.3 Å"):
        frequency_shift(np.zeros((31, 1, 1)), np.linspace(0, 3, 31), amplitude=2.0, **SENSOR)
