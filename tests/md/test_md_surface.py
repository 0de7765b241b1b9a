"""The surface is fcc(111), in the frame that all stages share."""

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from hydrafm.errors import SettingsError
from hydrafm.md.surface import build_slab, reciprocal_vectors
from hydrafm.settings.md import Composition, MolecularDynamics, Substrate, misfit


@pytest.mark.parametrize("repeats", [(4, 2), (3, 1), (10, 6)])
def test_the_slab_is_fcc_from_the_top_down(repeats):
    slab = build_slab(Substrate(repeats=repeats, layers=3), height=45.0)
    first, distance = neighbor_list("id", slab, 3.0)
    coordination = np.bincount(first)
    assert np.allclose(distance, 4.0782 / np.sqrt(2))
    for tag, (neighbours, height) in enumerate([(9, 0), (12, -1), (9, -2)], start=1):
        layer = slab.get_tags() == tag
        assert layer.sum() == 2 * repeats[0] * repeats[1]
        assert np.all(coordination[layer] == neighbours)
        assert np.allclose(slab.positions[layer, 2], height * 4.0782 / np.sqrt(3))
    assert list(slab.pbc) == [True, True, False]
    assert np.allclose(slab.positions[0], 0)


def test_third_layer_is_stacked_abc_not_aba():
    slab = build_slab(Substrate(repeats=(4, 2), layers=3), height=45.0)
    above = slab.positions[slab.get_tags() == 1][:, None, :2] - slab.positions[slab.get_tags() == 3][None, :, :2]
    above -= np.round(above / slab.cell.lengths()[:2]) * slab.cell.lengths()[:2]
    assert np.linalg.norm(above, axis=-1).min() > 1


def test_waves_peak_on_every_top_atom_and_nowhere_below():
    slab = build_slab(Substrate(repeats=(4, 3), layers=3), height=45.0)
    waves = np.cos(slab.positions[:, :2] @ reciprocal_vectors(4.0782).T).sum(axis=1)
    assert np.allclose(waves[slab.get_tags() == 1], 3)
    assert np.allclose(waves[slab.get_tags() > 1], -1.5)


def test_a_bilayer_is_two_molecules_on_three_atoms():
    substrate = Substrate(repeats=(10, 6))
    assert substrate.bilayer == 80
    # √3 × √3 R30 of Au(111) is 21.6 Å²: 0.0926 molecules per Å².
    assert substrate.bilayer / np.prod(substrate.sides) == pytest.approx(2 / (3 * np.sqrt(3) / 2 * 4.0782**2 / 2))


def test_impossible_requests_are_refused_with_the_reason():
    small = Substrate(repeats=(4, 2))
    assert "half of the cell's shortest side, 4.99 Å" in str(
        misfit(small, Composition(waters=(5, 9)), MolecularDynamics(cutoff=5))
    )
    assert "are 21 molecules" in str(misfit(small, Composition(waters=(5, 22)), MolecularDynamics(cutoff=4.9)))
    assert misfit(small, Composition(waters=(5, 9)), MolecularDynamics(cutoff=4.9)) is None
    with pytest.raises(SettingsError, match="empty cell"):
        Composition.parse({"waters": [0, 8]})
    assert Composition.parse({"waters": [0, 8], "ions": {"Na": [1, 1]}}).least == 1
