import shutil

import numpy as np
import pytest

from hydrafm.errors import GridError, StoreError
from hydrafm.learn.boxes import Boxes
from hydrafm.learn.data import Symmetry, TrainingBatches, drawn_slices, fixed_slices, normalised, read_stacks
from hydrafm.settings.artefacts import Artefacts
from hydrafm.settings.learn import Network
from hydrafm.store import read_dataset, write_dataset

NETWORK = Network(slices=5, cells=16, levels=2, width=8)
SYMMETRIES = [Symmetry(bool(code & 1), bool(code & 2), bool(code & 4)) for code in range(8)]


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_turned_atoms_encode_to_the_turned_encoding(symmetry):
    boxes = Boxes(("H", "O", "Na"), size=12.0, depth=3.0, cells=16, depth_cells=4)
    random = np.random.default_rng(3)
    number, position = random.choice([1, 8, 11], 20), random.uniform([0, 0, -3], [12, 12, 0], (20, 3))
    turned = boxes.encode(number, symmetry.of_position(position, 12.0))
    straight = symmetry.of_image(boxes.encode(number, position)).copy()
    if symmetry.swap:
        straight[:, [1, 2]] = straight[:, [2, 1]]
    straight[:, 1] *= -1 if symmetry.mirror_x else 1
    straight[:, 2] *= -1 if symmetry.mirror_y else 1
    np.testing.assert_allclose(turned, straight, atol=1e-5)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_turned_image_shows_the_turned_atom(symmetry):
    image, position = np.zeros((1, 16, 16)), np.array([[3.5 * 0.75, 10.5 * 0.75, -1.0]])
    image[0, 10, 3] = 1
    x, y, z = symmetry.of_position(position, 12.0)[0]
    assert symmetry.of_image(image)[0, int(y / 0.75), int(x / 0.75)] == 1
    assert z == -1.0


def test_the_eight_symmetries_differ():
    image = np.arange(16.0).reshape(1, 4, 4)
    assert len({symmetry.of_image(image).tobytes() for symmetry in SYMMETRIES}) == 8


def test_every_slice_has_mean_zero_and_unit_spread_and_a_flat_one_stays_flat():
    random = np.random.default_rng(0)
    image = random.normal(-30, 5, (2, 3, 16, 16)).astype(np.float32)
    image[1, 2] = 7.0
    result = normalised(image)
    np.testing.assert_allclose(result.mean(axis=(-2, -1)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(axis=(-2, -1)).ravel(), [1, 1, 1, 1, 1, 0], atol=1e-4)


def test_drawn_heights_are_evenly_spaced_and_use_all_that_fit():
    random = np.random.default_rng(0)
    draws = [list(range(*drawn_slices(12, 5, random).indices(12))) for _ in range(300)]
    assert all(len(draw) == 5 and set(np.diff(draw)) in ({1}, {2}) and max(draw) < 12 for draw in draws)
    assert {height for draw in draws for height in draw} == set(range(12))
    assert list(range(*fixed_slices(12, 5).indices(12))) == [0, 2, 4, 6, 8]
    assert list(range(*fixed_slices(5, 5).indices(5))) == [0, 1, 2, 3, 4]


def test_more_slices_than_heights_is_refused():
    with pytest.raises(GridError, match="10 heights, but the stacks hold 6"):
        fixed_slices(6, 10)


def numbered(shard, indices, target):
    """Give the stacks of a toy shard other places in their split."""
    stacks = read_dataset(shard).load().drop_encoding()
    write_dataset(stacks.assign(index=("sample", np.array(indices))), target)
    return target


def test_the_first_n_are_among_the_first_more_and_a_lost_one_is_not_replaced(toy, tmp_path):
    """Structure 2 was left out on the way: N = 4 has three stacks, not the fourth's successor."""
    shards = [
        numbered(toy(4, 1), [0, 1, 3, 4], tmp_path / "a.zarr"),
        numbered(toy(3, 3), [5, 6, 7], tmp_path / "b.zarr"),
    ]
    everything = read_stacks(shards)
    assert everything.index.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert everything.size == pytest.approx(12.0)
    assert everything.systems == ("toy",)
    for limit, kept in ((1, 1), (2, 2), (3, 2), (4, 3), (6, 5), (100, 7)):
        part = read_stacks(shards, limit)
        np.testing.assert_array_equal(part.index, everything.index[:kept])
        np.testing.assert_array_equal(part.image, everything.image[:kept])
        for sample in range(kept):
            mine, all_of_it = part.number[sample], everything.number[sample]
            np.testing.assert_array_equal(mine[mine > 0], all_of_it[all_of_it > 0])


def test_fewer_than_asked_are_all_there_are_and_none_is_an_error(toy):
    assert len(read_stacks([toy(5, 1), toy(0, 2)], 100)) == 5
    with pytest.raises(StoreError, match="hold no stack"):
        read_stacks([toy(0, 2)], 100)


def test_shards_of_different_scans_and_foreign_stores_are_refused(toy, tmp_path):
    other = read_dataset(toy(3, 2)).load()
    write_dataset(other.assign_coords(z=other["z"] + 0.1).drop_encoding(), tmp_path / "z.zarr")
    with pytest.raises(StoreError, match="differ in heights"):
        read_stacks([toy(3, 2), tmp_path / "z.zarr"])
    write_dataset(other.drop_vars("atom_number").drop_encoding(), tmp_path / "bare.zarr")
    with pytest.raises(StoreError, match="holds no atom_number"):
        read_stacks([tmp_path / "bare.zarr"])
    with pytest.raises(StoreError, match="no Zarr"):
        read_stacks([tmp_path / "absent.zarr"])
    shutil.rmtree(tmp_path / "z.zarr")


def test_a_batch_depends_on_its_seed_and_step_only(toy):
    stacks = read_stacks([toy(5, 1)])
    first = TrainingBatches(stacks, NETWORK, Artefacts(), batch=4, seed=7)
    again = TrainingBatches(stacks, NETWORK, Artefacts(), batch=4, seed=7)
    _ = [first[step] for step in range(3)]
    for one, other in zip(first[3], again[3], strict=True):
        assert one.equal(other)
    assert not first[3][0].equal(TrainingBatches(stacks, NETWORK, Artefacts(), batch=4, seed=8)[3][0])


def test_each_epoch_uses_every_sample_once(toy):
    batches = TrainingBatches(read_stacks([toy(5, 1)]), NETWORK, Artefacts(), batch=4, seed=7)
    order = np.concatenate([batches.samples(step) for step in range(10)]).reshape(8, 5)
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in order)
    assert len({tuple(epoch) for epoch in order}) > 1


def only(**artefacts):
    return Artefacts.off().model_copy(update=artefacts)


def test_degraded_slices_are_normalised_again_and_correlate_with_the_clean_ones_as_noise_demands(toy):
    """Independent noise of standard deviation 0.3 on an image of 1 leaves a correlation of 1/√1.09."""
    stacks = read_stacks([toy(5, 1)])
    clean = TrainingBatches(stacks, NETWORK, only(), batch=5, seed=7)[0][0].double()
    noisy = TrainingBatches(stacks, NETWORK, only(white=(0.3, 0.3)), batch=5, seed=7)[0][0].double()
    for image in (clean, noisy):
        np.testing.assert_allclose(image.mean(dim=(-2, -1)), 0, atol=1e-6)
        np.testing.assert_allclose(image.std(dim=(-2, -1), correction=0), 1, rtol=1e-5)
    assert float((clean * noisy).mean()) == pytest.approx(1 / np.sqrt(1 + 0.3**2), abs=0.01)


def test_the_targets_follow_a_distorted_image(toy):
    """5 % of calibration error move each atom by 5 % of its distance from the centre; the targets tell it."""
    stacks = read_stacks([toy(5, 1)])
    straight, stretched = (
        TrainingBatches(stacks, NETWORK, only(calibration=(error, error)), batch=5, seed=7)[0][1].numpy()
        for error in (0.0, 5.0)
    )
    boxes = Boxes.of(NETWORK, stacks.size)
    compared = 0
    for before, after in zip(straight, stretched, strict=True):
        expected, found = boxes.decode(before), boxes.decode(after)
        moved = (expected.position[:, :2] - 6) * 1.05 + 6
        for number, place in zip(expected.number, moved, strict=True):
            if np.all((place > 0.1) & (place < 11.9)):
                distance = np.hypot(*(found.position[found.number == number, :2] - place).T)
                assert distance.min() < 1e-5
                compared += 1
    assert compared > 15
