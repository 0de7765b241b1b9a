import numpy as np
import pytest
import torch

from hydrafm.artefacts.geometry import Distortion, move_closer
from hydrafm.settings.artefacts import Artefacts, Drift

SIZE, PIXELS, SLICES = 24.0, 120, 6
CENTRE = (torch.arange(PIXELS, dtype=torch.float64) + 0.5) * SIZE / PIXELS


def blob(x: float, y: float, width: float = 0.8) -> torch.Tensor:
    square = (CENTRE - x) ** 2 + (CENTRE[:, None] - y) ** 2
    return torch.exp(-square / (2 * width**2))


def places(stack: torch.Tensor) -> np.ndarray:
    """Centres of mass of the slices: x and y, Å."""
    mass = stack.sum(dim=(-2, -1))
    x = (stack * CENTRE).sum(dim=(-2, -1)) / mass
    y = (stack * CENTRE[:, None]).sum(dim=(-2, -1)) / mass
    return torch.stack([x, y], dim=1).numpy()


def drawn(seed: int = 0, slices: int = SLICES, **on: object) -> Distortion:
    settings = Artefacts.off().model_copy(update=on)
    return Distortion.draw(settings, slices, np.random.default_rng(seed))


def drift(**values: object) -> Drift:
    return Drift.parse({"speed": 0, "creep": 0, "limit": 20, **values})


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("x", "y"), [(12.0, 12.0), (7.3, 15.1), (16.8, 9.4)])
def test_a_blob_ends_at_the_mapped_position(seed, x, y):
    """In the lowest slice it lies where its label goes, in each other one displaced by the drift, to 3 % of a pixel."""
    distortion = drawn(seed, calibration=(-6.0, 6.0), shear=(-6.0, 6.0), drift=drift(speed=[0, 1], creep=[0, 4]))
    stack = distortion.of_stack(blob(x, y).repeat(SLICES, 1, 1))
    label = distortion.of_positions(torch.tensor([[x, y, -1.5]], dtype=torch.float64), SIZE)
    assert label[0, 2] == -1.5
    np.testing.assert_allclose(places(stack), label[0, :2].numpy() + distortion.shift * SIZE, atol=5e-3)


def test_calibration_and_shear_mean_what_they_say():
    """The centre stays; 5 % make 10 Å along x 10.5 Å; 4 % of shear move x by 0.4 Å for 10 Å along y."""
    position = torch.tensor([[12.0, 12.0, 0.0], [22.0, 12.0, 0.0], [12.0, 22.0, 0.0]], dtype=torch.float64)
    moved = drawn(calibration=(5.0, 5.0), shear=(4.0, 4.0)).of_positions(position, SIZE)
    np.testing.assert_allclose(moved[:, :2], [[12, 12], [22.5, 12], [12.4, 22.5]])


def test_drift_is_a_straight_line_from_the_lowest_slice_in_any_direction():
    shifts = np.array([drawn(seed, drift=drift(speed=0.5)).shift for seed in range(200)])
    steps = np.diff(shifts, axis=1)
    np.testing.assert_allclose(shifts[:, 0], 0)
    np.testing.assert_allclose(np.hypot(*steps.transpose(2, 0, 1)), 0.005)
    np.testing.assert_allclose(steps, steps[:, :1].repeat(SLICES - 1, axis=1))
    assert np.abs(steps[:, 0].mean(axis=0)).max() < 0.005 * 3 / np.sqrt(2 * 200)


def test_creep_decays_exponentially_from_whichever_slice_is_taken_first():
    time = np.arange(SLICES)
    upward = 0.02 * (1 - np.exp(-time / 1.5))
    downward = 0.02 * (np.exp(-time[::-1] / 1.5) - np.exp(-time[-1] / 1.5))
    seen = set()
    for seed in range(20):
        distance = np.hypot(*drawn(seed, drift=drift(creep=2, decay=1.5)).shift.T)
        matches = [np.allclose(distance, expected) for expected in (upward, downward)]
        assert any(matches)
        seen.add(matches.index(True))
    assert seen == {0, 1}


def test_no_slice_is_displaced_farther_than_the_limit():
    farthest = [
        np.hypot(*drawn(seed, slices=10, drift=drift(speed=[0, 2], creep=[0, 2], limit=4)).shift.T).max()
        for seed in range(50)
    ]
    assert max(farthest) == pytest.approx(0.04)
    assert min(farthest) < 0.03


def test_places_outside_the_window_get_the_value_of_the_edge():
    ramp = CENTRE.expand(2, PIXELS, PIXELS).clone()
    moved = Distortion(np.eye(2), np.array([[0.0, 0.0], [0.1, 0.0]])).of_stack(ramp)
    torch.testing.assert_close(moved[0], ramp[0])
    expected = (CENTRE - 0.1 * SIZE).clamp(min=float(CENTRE[0]))
    torch.testing.assert_close(moved[1], expected.expand(PIXELS, PIXELS))


def test_closer_slices_lie_evenly_between_the_lowest_and_the_highest():
    """A stack that is linear in z is interpolated without error."""
    pattern = torch.rand(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1
    stack = torch.arange(SLICES, dtype=torch.float64)[:, None, None] * pattern
    lowest = []
    for seed in range(100):
        closer = move_closer(stack, (20.0, 20.0), np.random.default_rng(seed)) / pattern
        height = closer[:, 0, 0].numpy()
        torch.testing.assert_close(closer, closer[:, :1, :1].expand_as(closer))
        np.testing.assert_allclose(np.diff(height), 0.8)
        lowest.append(height[0])
    assert min(lowest) >= 0
    assert max(lowest) <= 1  # 20 % of five spacings
    assert np.std(lowest) == pytest.approx(1 / np.sqrt(12), rel=0.2)
