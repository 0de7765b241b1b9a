"""Windows on a periodic slab: geometry, labels and files."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrafm.errors import StoreError, StructureError
from hydrafm.structure import Window, cut, labels, read_structures, top, write_structures

windows = st.builds(
    Window,
    st.floats(-40, 40),
    st.floats(-40, 40),
    st.floats(0, 2 * np.pi),
    st.floats(3, 30),
)


def slab() -> Atoms:
    """Two adsorbed atoms and one of gold in an oblique-free 10 × 12 Å cell."""
    return Atoms(
        "NaOAu",
        positions=[[1.0, 2.0, 2.5], [9.0, 11.0, 3.0], [0.0, 0.0, 0.0]],
        cell=[10.0, 12.0, 40.0],
        pbc=(True, True, False),
        tags=[0, 0, 1],
    )


@given(windows)
def test_to_cell_and_back_is_the_identity(window: Window) -> None:
    points = np.array([[0.0, 0.0], [3.0, -2.0], [25.0, 25.0]])
    np.testing.assert_allclose(window.from_cell(window.to_cell(points)), points, atol=1e-9)


@settings(deadline=None)
@given(windows)
def test_a_cut_holds_each_lattice_site_within_it(window: Window) -> None:
    """Brute force over many more repeats than any window needs finds the same atoms."""
    atoms = slab()
    found = cut(atoms, window, 1.0)
    expected = 0
    for i in range(-12, 13):
        for j in range(-12, 13):
            points = window.from_cell(atoms.positions[:, :2] + np.array([10.0 * i, 12.0 * j]))
            expected += int(np.sum(np.all((points >= -1.0) & (points < window.size + 1.0), axis=1)))
    assert len(found) == expected


def test_a_window_aligned_with_the_cell_sees_the_cell() -> None:
    seen = cut(slab(), Window(0.0, 0.0, 0.0, 10.0), 0.0)
    np.testing.assert_allclose(seen.positions[seen.symbols == "Na"], [[1.0, 2.0, 2.5]])


def test_a_quarter_turn_swaps_the_axes() -> None:
    """Seen with x along the cell's y, an atom at (1, 2) lies at (2, -1)."""
    window = Window(0.0, 0.0, np.pi / 2, 10.0)
    np.testing.assert_allclose(window.from_cell(np.array([1.0, 2.0])), [2.0, -1.0], atol=1e-12)


def test_labels_leave_gold_out_and_count_depth_from_the_top() -> None:
    numbers, positions = labels(slab(), Window(0.0, 0.0, 0.0, 11.5))
    assert sorted(set(numbers.tolist())) == [8, 11]
    assert positions[:, 2].max() == 0.0
    np.testing.assert_allclose(positions[numbers == 11, 2], -0.5)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(StructureError, match="neither water nor ions"):
        top(slab(), Window(4.0, 5.0, 0.0, 3.0))


def test_structures_survive_their_file(tmp_path: Path) -> None:
    atoms = slab()
    window = Window(1.0, 2.0, 3.0, 25.0)
    atoms.info = {"system": "film", "replica": 3, "index": 7, **window.to_info()}
    write_structures([atoms, atoms], tmp_path / "two.extxyz")
    first, second = read_structures(tmp_path / "two.extxyz")
    assert Window.from_info(first.info) == window
    assert second.info["replica"] == 3
    assert first.get_tags().tolist() == [0, 0, 1]
    assert first.pbc.tolist() == [True, True, False]
    np.testing.assert_allclose(first.positions, atoms.positions, atol=1e-7)


def test_a_missing_file_and_a_missing_window_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent\.extxyz"):
        read_structures(tmp_path / "absent.extxyz")
    with pytest.raises(StructureError, match="window_x"):
        Window.from_info({})
