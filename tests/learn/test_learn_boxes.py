import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from hydrafm.learn.boxes import EXCLUSION, FAINTEST, Boxes

BOXES = Boxes(("H", "O", "Na"), size=25.0, depth=3.0, cells=32, depth_cells=4)


def spread_out(seed: int, count: int, distance: float = 1.6) -> np.ndarray:
    """Draw positions in the box, none closer than the distance in Å."""
    random = np.random.default_rng(seed)
    kept: list[np.ndarray] = []
    while len(kept) < count:
        new = random.uniform([0, 0, -3], [25, 25, 0])
        if all(np.linalg.norm(new - old) > distance for old in kept):
            kept.append(new)
    return np.array(kept).reshape(-1, 3)


def in_order(number: np.ndarray, position: np.ndarray) -> np.ndarray:
    table = np.column_stack([number, position])
    return table[np.lexsort(table.T)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 60))
def test_decoding_gives_back_the_encoded_atoms(seed, count):
    """Atoms farther apart than a cell's diagonal never share a cell, so nothing is lost."""
    position = spread_out(seed, count)
    number = np.random.default_rng(seed).choice([1, 8, 11], count)
    found = BOXES.decode(BOXES.encode(number, position))
    assert np.all(found.confidence == 1)
    np.testing.assert_allclose(in_order(found.number, found.position), in_order(number, position), atol=1e-6)


def test_of_two_atoms_in_one_cell_the_higher_stays():
    position = np.array([[5.01, 5.01, -0.6], [5.02, 5.02, -0.1], [5.03, 5.03, -0.5]])
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        found = BOXES.decode(BOXES.encode(np.array([8, 8, 8]), position[order]))
        np.testing.assert_allclose(found.position, position[[1]], atol=1e-6)


def test_atoms_below_the_depth_beside_the_window_and_of_other_species_are_left_out():
    position = np.array([[1, 1, -3.0], [1, 1, -9], [-0.1, 1, -1], [1, 25.0, -1], [1, 1, -1], [2, 2, 0.1]], dtype=float)
    number = np.array([8, 8, 8, 8, 17, 8])
    assert not BOXES.encode(number, position).any()
    np.testing.assert_array_equal(BOXES.within(position), [False, False, False, False, True, False])


def test_the_topmost_atom_at_zero_and_the_corner_belong_to_the_box():
    found = BOXES.decode(BOXES.encode(np.array([8, 1]), np.array([[0.0, 0.0, 0.0], [24.999, 24.999, -2.999]])))
    assert sorted(found.number) == [1, 8]


def test_padding_leaves_no_trace():
    padded = BOXES.encode(np.array([8, 0, 0]), np.array([[3.0, 4.0, -1.0], [0, 0, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(padded, BOXES.encode(np.array([8]), np.array([[3.0, 4.0, -1.0]])))


def test_one_atom_seen_by_two_cells_is_one_atom_with_both_confidences():
    """An atom on the edge of two cells, each 0.4 sure of it, is 0.8 sure and lies on the edge."""
    prediction = np.zeros((3, 4, 4, 32, 32))
    prediction[1, 0, 0, 5, [5, 6]] = 0.4
    prediction[1, 1, 0, 5, [5, 6]] = [0.5, -0.5]
    found = BOXES.decode(prediction)
    assert found.number.tolist() == [8]
    np.testing.assert_allclose(found.confidence, [0.8])
    np.testing.assert_allclose(found.position, [[6 * 25 / 32, 5.5 * 25 / 32, -0.375]])


def test_both_hydrogens_of_a_molecule_survive_and_nothing_faint_appears():
    """H–H is 1.63 Å in SPC/E water."""
    position = np.array([[10.0, 10.0, -1.0], [11.63, 10.0, -1.0]])
    prediction = BOXES.encode(np.array([1, 1]), position)
    prediction[1, 0] = FAINTEST / 100
    assert BOXES.decode(prediction).number.tolist() == [1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_no_two_atoms_of_a_species_are_found_closer_than_half_their_exclusion(seed):
    """Each is the mean of points around its own seed; the seeds are farther apart than the exclusion."""
    random = np.random.default_rng(seed)
    prediction = random.uniform(-0.5, 0.5, (3, 4, 4, 32, 32))
    prediction[:, 0] = random.random((3, 4, 32, 32)) ** 8
    found = BOXES.decode(prediction)
    assert np.all(found.confidence >= FAINTEST)
    assert np.all(found.confidence <= 1)
    assert pdist(found.of("H").position).min() > 0.1 * EXCLUSION["H"]
