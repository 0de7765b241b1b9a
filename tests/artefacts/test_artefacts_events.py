import numpy as np
import pytest
import torch

from hydrafm.artefacts.events import add_glitches, add_tip_changes, cut_out, drop_slices
from hydrafm.settings.artefacts import Cutouts, Glitches, TipChanges

SLICES, HEIGHT, WIDTH, PIXEL = 5, 40, 50, 0.2
STACK = torch.from_numpy(np.random.default_rng(1).normal(size=(SLICES, HEIGHT, WIDTH)))
SPREAD = torch.arange(1.0, SLICES + 1, dtype=torch.float64)[:, None, None]


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_glitch_raises_or_lowers_one_stretch_of_one_line():
    signs = set()
    for seed in range(30):
        glitches = Glitches(rate=0.2, height=(0.5, 2.0), length=(1.0, 3.0))
        glitched = add_glitches(STACK, SPREAD, glitches, pixel=PIXEL, random=random(seed))
        change = ((glitched - STACK) / SPREAD).numpy()
        lines = np.argwhere(np.abs(change).max(axis=-1) > 1e-9)
        if len(lines) == 1:  # more may lie on top of each other
            line = change[tuple(lines[0])]
            (where,) = np.nonzero(np.abs(line) > 1e-9)
            assert np.all(np.diff(where) == 1)
            assert len(where) <= 15  # 3 Å
            assert len(where) >= 5 or where[-1] == WIDTH - 1  # 1 Å, unless the line ends
            np.testing.assert_allclose(line[where], line[where[0]])
            assert 0.5 <= abs(line[where[0]]) <= 2
            signs.add(np.sign(line[where[0]]))
    assert signs == {-1, 1}


def test_glitches_come_at_their_rate():
    """A Poisson number with mean and variance 0.4 × 5 slices; counted where they begin, at most one a line."""
    glitches = Glitches(rate=0.4, height=(1.0, 1.0), length=(0.2, 0.2))
    flat = torch.zeros_like(STACK)
    count = [
        int((add_glitches(flat, SPREAD, glitches, pixel=PIXEL, random=random(seed)) != 0).sum()) for seed in range(400)
    ]
    assert np.mean(count) == pytest.approx(2, abs=4 * np.sqrt(2 / 400))


def test_a_tip_change_is_one_step_in_the_time_of_the_scan():
    changes = TipChanges(probability=1, height=(0.3, 0.6))
    starts = []
    for seed in range(40):
        changed = add_tip_changes(STACK, SPREAD, changes, random(seed))
        change = ((changed - STACK) / SPREAD).flatten(1).numpy()
        for series in change:
            steps = np.flatnonzero(np.abs(np.diff(series, prepend=0.0)) > 1e-9)
            assert len(steps) == 1
            assert 0.3 <= abs(series[-1]) <= 0.6
            starts.append(steps[0] / series.size)
    assert np.mean(starts) == pytest.approx(0.5, abs=4 / np.sqrt(12 * len(starts)))


@pytest.mark.parametrize("count", [1, 3])
def test_a_cut_out_shows_the_mean_of_its_slice_in_a_rectangle(count):
    for seed in range(30):
        holed = cut_out(STACK, Cutouts(count=(count, count), side=(1.0, 4.0)), pixel=PIXEL, random=random(seed))
        blank = (holed != STACK).numpy()
        assert 1 <= np.count_nonzero(blank.any(axis=(1, 2))) <= count
        for level in np.flatnonzero(blank.any(axis=(1, 2))):
            np.testing.assert_allclose(holed[level].numpy()[blank[level]], float(STACK[level].mean()))
        if count == 1:
            level, rows, columns = (np.unique(index) for index in np.nonzero(blank))
            assert blank.sum() == len(rows) * len(columns) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            assert 5 <= min(len(rows), len(columns)) <= max(len(rows), len(columns)) <= 20


def test_a_rectangle_larger_than_the_window_blanks_the_slice():
    holed = cut_out(STACK, Cutouts(count=(1, 1), side=(90.0, 90.0)), pixel=PIXEL, random=random(0))
    assert sorted(float(one.std()) > 1e-9 for one in holed) == [False, True, True, True, True]


def test_a_dropped_slice_repeats_the_nearest_kept_one_below():
    dropped = 0
    for seed in range(200):
        shown = drop_slices(STACK, 0.3, random(seed))
        source = [next(k for k in range(SLICES) if one.equal(STACK[k])) for one in shown]
        assert source[0] == 0
        for level in range(1, SLICES):
            assert source[level] in (level, source[level - 1])
            dropped += source[level] != level
    chances = 200 * (SLICES - 1)
    assert dropped / chances == pytest.approx(0.3, abs=4 * np.sqrt(0.3 * 0.7 / chances))
