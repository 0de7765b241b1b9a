import math

import numpy as np
import pytest
import torch
from scipy import stats

from hydrafm.artefacts.intensity import add_line_noise, add_sensor_noise, blur, spread_of, tilt
from hydrafm.settings.artefacts import Lines

SLICES, HEIGHT, WIDTH = 4, 96, 128
FLAT = torch.zeros(SLICES, HEIGHT, WIDTH, dtype=torch.float64)
SPREAD = torch.tensor([1.0, 2.0, 0.5, 7.0], dtype=torch.float64)[:, None, None]
"""What the amplitudes are multiplied by in each slice."""


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(white: float = 0.0, pink: float = 0.0, exponent: float = 1.0, seed: int = 0) -> torch.Tensor:
    """Noise alone, in units of the spread."""
    return add_sensor_noise(FLAT, SPREAD, white=white, pink=pink, exponent=exponent, random=random(seed)) / SPREAD


def test_the_spread_is_the_standard_deviation_of_each_slice():
    stack = torch.from_numpy(random().normal(5, [[[1]], [[3]]], (2, 40, 50)))
    np.testing.assert_allclose(spread_of(stack)[:, 0, 0], stack.numpy().std(axis=(1, 2)))


def test_white_noise_has_its_variance_is_normal_and_uncorrelated():
    white = noise(white=0.3)
    np.testing.assert_allclose(white.square().mean(dim=(-2, -1)), 0.09, rtol=1e-3)
    standard = white / 0.3
    assert stats.kstest(standard.flatten().numpy(), "norm").pvalue > 0.01
    error = 5 / math.sqrt(white.numel())
    for neighbour in (standard.roll(1, 2), standard.roll(1, 1), standard.roll(1, 0), standard.roll(7, 2)):
        assert abs(float((standard * neighbour).mean())) < error


@pytest.mark.parametrize("exponent", [0.0, 0.8, 1.0, 1.5])
def test_pink_noise_falls_by_its_exponent_over_the_time_of_the_scan(exponent):
    series = noise(pink=0.2, exponent=exponent).flatten(1)
    np.testing.assert_allclose(series.square().mean(dim=1), 0.04, rtol=1e-3)
    power = torch.fft.rfft(series).abs().square().mean(dim=0)[1:-1].numpy()
    slope = stats.linregress(np.log(np.arange(1, len(power) + 1)), np.log(power)).slope
    assert slope == pytest.approx(-exponent, abs=0.01)


def test_white_and_pink_noise_add_up_as_independent_ones_do():
    power = {
        name: torch.fft.rfft(noise(**on).flatten(1)).abs().square().mean(dim=0)[1:-1]
        for name, on in {
            "white": {"white": 0.3},
            "pink": {"pink": 0.4},
            "both": {"white": 0.3, "pink": 0.4},
        }.items()
    }
    torch.testing.assert_close(power["both"], power["white"] + power["pink"])


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("waves_y", "waves_x"), [(0, 5), (8, 0), (6, 17)])
def test_blur_damps_a_wave_by_a_gaussian_of_its_wave_number(sigma, waves_y, waves_x):
    """exp(−k²σ²/2) for waves that have no slope at the reflecting edges."""
    along_y, along_x = math.pi * waves_y / HEIGHT, math.pi * waves_x / WIDTH
    y, x = torch.arange(HEIGHT, dtype=torch.float64) + 0.5, torch.arange(WIDTH, dtype=torch.float64) + 0.5
    wave = (torch.cos(along_y * y)[:, None] * torch.cos(along_x * x)).expand(SLICES, HEIGHT, WIDTH)
    damping = math.exp(-(along_x**2 + along_y**2) * sigma**2 / 2)
    torch.testing.assert_close(blur(wave, sigma), wave * damping)


def test_blur_turns_a_point_into_a_gaussian():
    point = FLAT.clone()
    point[:, 40, 60] = 1
    y, x = torch.arange(HEIGHT, dtype=torch.float64) - 40, torch.arange(WIDTH, dtype=torch.float64) - 60
    expected = torch.exp(-(x**2 + y[:, None] ** 2) / (2 * 2.5**2)) / (2 * math.pi * 2.5**2)
    torch.testing.assert_close(blur(point, 2.5), expected.expand_as(point), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_gradient_is_one_plane_in_units_of_each_slice(seed):
    tilted = (tilt(FLAT, SPREAD, (0.4, 0.4), random(seed)) / SPREAD).numpy()
    y, x = (np.indices((HEIGHT, WIDTH)) + 0.5) / np.array([HEIGHT, WIDTH])[:, None, None] - 0.5
    basis = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    for one in tilted:
        fit, residual, *_ = np.linalg.lstsq(basis, one.ravel())
        assert np.hypot(fit[0], fit[1]) == pytest.approx(0.4)
        assert abs(fit[2]) < 1e-12
        assert residual[0] < 1e-20
        np.testing.assert_allclose(one, tilted[0], atol=1e-12)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_line_noise_is_one_offset_a_line_that_remembers_the_line_before(memory):
    lines = Lines(spread=(0.3, 0.3), memory=memory)
    offsets = []
    for seed in range(100):
        added = add_line_noise(FLAT, SPREAD, lines, random(seed)) / SPREAD
        torch.testing.assert_close(added, added[..., :1].expand_as(added))
        offsets.append(added[..., 0])
    offset = torch.cat(offsets) / 0.3
    # The lines of a slice hold (1 − m²) / (1 + m²) times as many independent numbers as there are lines.
    error = 4 * math.sqrt(2 / offset.numel() * (1 + memory**2) / (1 - memory**2))
    assert float(offset.square().mean()) == pytest.approx(1, abs=error)
    assert float(offset[:, 0].square().mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / len(offset)))
    assert float((offset[:, 1:] * offset[:, :-1]).mean()) == pytest.approx(memory, abs=error)
