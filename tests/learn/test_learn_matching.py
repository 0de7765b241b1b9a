from itertools import permutations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hydrafm.learn.matching import match, radii


def best_by_trying(found: np.ndarray, truth: np.ndarray, radius: float) -> tuple[int, float]:
    """Most pairs and least sum of distances, by trying every assignment."""
    if len(found) > len(truth):
        found, truth = truth, found
    distance = cdist(found, truth)
    best = (0, 0.0)
    for order in permutations(range(len(truth)), len(found)):
        kept = [distance[i, j] for i, j in enumerate(order) if distance[i, j] <= radius]
        best = max(best, (len(kept), -sum(kept)))
    return best[0], -best[1]


@pytest.mark.parametrize("seed", range(40))
def test_matching_is_the_best_of_all_assignments(seed):
    random = np.random.default_rng(seed)
    found, truth = (random.uniform(0, 2, (random.integers(0, 6), 3)) for _ in range(2))
    pairs = match(found, truth, radius=0.9)
    distance = np.linalg.norm(found[pairs[:, 0]] - truth[pairs[:, 1]], axis=1)
    count, total = best_by_trying(found, truth, 0.9)
    assert len(pairs) == count
    assert distance.sum() == pytest.approx(total)
    assert np.all(distance <= 0.9)
    assert all(len(set(column)) == len(column) for column in pairs.T)


def test_a_nearest_neighbour_gives_way_when_two_pairs_are_possible():
    """In a row A–b–B–… the greedy choice b–B leaves A alone; the matching does not."""
    found = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    truth = np.array([[0.9, 0, 0], [1.9, 0, 0]])
    assert match(found, truth, radius=1.0).tolist() == [[0, 0], [1, 1]]


def test_radius_is_three_dimensional_and_inclusive():
    origin = np.zeros((1, 3))
    assert len(match(np.array([[0.6, 0.8, 0.0]]), origin, radius=1.0)) == 1
    assert len(match(np.array([[0.6, 0.8, 0.1]]), origin, radius=1.0)) == 0


def test_nothing_matches_nothing():
    assert match(np.zeros((0, 3)), np.zeros((4, 3)), radius=1.0).shape == (0, 2)


def test_the_two_radii_of_each_species():
    assert radii("O") == {"strict": 0.74, "1.0": 1.0}
    assert radii("H") == {"strict": 0.528, "1.0": 1.0}
    assert radii("Na") == {"strict": 0.74, "1.0": 1.0}
