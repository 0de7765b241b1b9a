"""Image stacks in memory, and the batches that a training draws from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from hydrafm import store
from hydrafm.artefacts.chain import degrade
from hydrafm.errors import GridError, StoreError
from hydrafm.learn.boxes import Boxes
from hydrafm.provenance import generator
from hydrafm.settings.artefacts import Artefacts
from hydrafm.settings.learn import Network

FLAT = 1e-6
"""Hz: a slice with less spread than this shows nothing; it is not blown up to unit spread."""


@dataclass(frozen=True)
class Stacks:
    """Normalised image stacks with the atoms under them.

    Attributes
    ----------
    image : (sample, z, y, x) array
        Frequency shift, each slice with mean 0 and standard deviation 1; heights ascend.
    number : (sample, atom) array
        Atomic numbers; 0 is padding.
    position : (sample, atom, 3) array, Å
        x and y from the window's corner, z from the topmost atom.
    index : (sample,) array
        Number of the structure in its split.
    size : float
        Side of the window, Å.
    systems : tuple of str
        Names of the systems they come from.
    """

    image: Float[np.ndarray, "sample z y x"]
    number: Int[np.ndarray, "sample atom"]
    position: Float[np.ndarray, "sample atom 3"]
    index: Int[np.ndarray, " sample"]
    size: float
    systems: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.image)

    @property
    def pixels(self) -> int:
        """Pixels along each side."""
        return int(self.image.shape[-1])

    def atoms(self, sample: int, boxes: Boxes) -> tuple[Int[np.ndarray, " atom"], Float[np.ndarray, "atom 3"]]:
        """List the atoms of one sample that lie in the box: numbers and positions in Å."""
        present = (self.number[sample] > 0) & boxes.within(self.position[sample])
        return self.number[sample][present], self.position[sample][present]


def read_stacks(sources: Sequence[Path], limit: int | None = None) -> Stacks:
    """Read stacks in the order of their shards, all of them or those of the first N structures.

    The first 100 are among the first 200. A structure that was left out on the way (its potential did not
    converge) is not replaced by a later one: fewer than N stacks are returned.

    Parameters
    ----------
    sources : sequence of Path
        Zarr stores as `hydrafm afm stacks` and `hydrafm afm render` write them.
    limit : int, optional
        N: stacks of structures with an index below it are read.

    Raises
    ------
    StoreError
        If a store is missing or is no store of stacks, if the shards differ in their grids, or if they
        hold no stack at all.
    """
    shards: list[xr.Dataset] = []
    for source in sources:
        dataset = _open(source)
        if limit is not None:
            dataset = dataset.isel(sample=np.flatnonzero(dataset["index"].to_numpy() < limit))
        if dataset.sizes["sample"]:
            shards.append(dataset)
    if not shards:
        raise StoreError(f"{len(sources)} store(s) hold no stack to learn from or to test on; render some first")
    size = _size_of(shards, sources)
    atoms = max(shard.sizes["atom"] for shard in shards)
    padded = [
        shard[["atom_number", "atom_position"]].pad(atom=(0, atoms - shard.sizes["atom"]), constant_values=0)
        for shard in shards
    ]
    image = np.concatenate([shard["frequency_shift"].to_numpy().astype(np.float32) for shard in shards])
    if not np.isfinite(image).all():
        raise StoreError(f"stacks of {sources[0].parent} hold values that are no numbers; render them again")
    return Stacks(
        image=normalised(image),
        number=np.concatenate([shard["atom_number"].to_numpy().astype(np.int64) for shard in padded]),
        position=np.concatenate([shard["atom_position"].to_numpy().astype(np.float64) for shard in padded]),
        index=np.concatenate([shard["index"].to_numpy().astype(np.int64) for shard in shards]),
        size=size,
        systems=tuple(dict.fromkeys(str(shard.attrs["system"]) for shard in shards if "system" in shard.attrs)),
    )


def normalised(image: Float[np.ndarray, "*stack y x"]) -> Float[np.ndarray, "*stack y x"]:
    """Shift and scale each slice to mean 0 and standard deviation 1: neither is known in an experiment."""
    mean = image.mean(axis=(-2, -1), keepdims=True)
    spread = image.std(axis=(-2, -1), keepdims=True)
    shape: np.ndarray = (image - mean) / np.maximum(spread, FLAT)
    return shape


def fixed_slices(heights: int, slices: int) -> slice:
    """Choose evenly spaced heights for validation and test: from the lowest, as far apart as they fit.

    Raises
    ------
    GridError
        If fewer heights were rendered than the network sees.
    """
    if heights < slices:
        raise GridError(
            f"the network sees {slices} heights, but the stacks hold {heights};"
            " render more heights or lower learn.network.slices"
        )
    spacing = (heights - 1) // (slices - 1) if slices > 1 else 1
    return slice(0, spacing * (slices - 1) + 1, spacing)


def drawn_slices(heights: int, slices: int, random: np.random.Generator) -> slice:
    """Draw evenly spaced heights: any spacing that fits, then any start."""
    widest = fixed_slices(heights, slices).step
    spacing = int(random.integers(1, widest + 1))
    span = spacing * (slices - 1) + 1
    start = int(random.integers(0, heights - span + 1))
    return slice(start, start + span, spacing)


@dataclass(frozen=True)
class Symmetry:
    """One of the eight symmetries of a square: swap x with y, then mirror x, then mirror y."""

    swap: bool
    mirror_x: bool
    mirror_y: bool

    def of_image(self, image: Float[np.ndarray, "*stack y x"]) -> Float[np.ndarray, "*stack y x"]:
        """Apply it to an image."""
        turned = np.swapaxes(image, -1, -2) if self.swap else image
        return turned[..., :: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]

    def of_position(self, position: Float[np.ndarray, "atom 3"], size: float) -> Float[np.ndarray, "atom 3"]:
        """Apply it to positions in a window of the size in Å."""
        turned = position[:, [1, 0, 2]] if self.swap else position.copy()
        if self.mirror_x:
            turned[:, 0] = size - turned[:, 0]
        if self.mirror_y:
            turned[:, 1] = size - turned[:, 1]
        return turned


class TrainingBatches(Dataset[tuple[Tensor, Tensor]]):
    """The batches of a training, each a function of the seed and its step alone.

    A training that starts again at a step so sees exactly what an uninterrupted one sees.

    Parameters
    ----------
    stacks : Stacks
        What is trained on.
    network : Network
        Cells and slices of the network.
    artefacts : Artefacts
        Degradation of the images; the degraded slices are normalised again.
    batch : int
        Stacks a step.
    seed : int
        Of order, slices, symmetries and artefacts.
    """

    def __init__(self, stacks: Stacks, network: Network, artefacts: Artefacts, *, batch: int, seed: int) -> None:
        self.stacks = stacks
        self.boxes = Boxes.of(network, stacks.size)
        self.slices = network.slices
        self.artefacts = artefacts
        self.batch = batch
        self.seed = seed

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """Give the images and the targets of a step."""
        random = generator(self.seed, "batch", step)
        samples = self.samples(step)
        images, positions = zip(*(self._draw(int(sample), random) for sample in samples), strict=True)
        degraded, moved = degrade(
            torch.from_numpy(np.stack(images)),
            torch.from_numpy(np.stack(positions)),
            self.artefacts,
            size=self.stacks.size,
            seeds=random.integers(2**32, size=self.batch).tolist(),
        )
        targets = [
            self.boxes.encode(number, position)
            for number, position in zip(self.stacks.number[samples], moved.numpy(), strict=True)
        ]
        return torch.from_numpy(normalised(degraded.numpy())), torch.from_numpy(np.stack(targets))

    def samples(self, step: int) -> Int[np.ndarray, " batch"]:
        """List the samples of a step; each epoch shuffles anew and uses every sample once."""
        count = len(self.stacks)
        epoch, place = np.divmod(step * self.batch + np.arange(self.batch), count)
        orders = {int(one): generator(self.seed, "order", int(one)).permutation(count) for one in np.unique(epoch)}
        return np.array([orders[int(one)][at] for one, at in zip(epoch, place, strict=True)])

    def _draw(self, sample: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw slices and a symmetry of a sample: its image and the positions of its atoms."""
        symmetry = Symmetry(*(bool(bit) for bit in random.integers(0, 2, 3)))
        image = self.stacks.image[sample][drawn_slices(self.stacks.image.shape[1], self.slices, random)]
        return symmetry.of_image(image), symmetry.of_position(self.stacks.position[sample], self.stacks.size)


def encoded(stacks: Stacks, network: Network) -> TensorDataset:
    """Pair the images at fixed slices with their targets, for validation."""
    boxes = Boxes.of(network, stacks.size)
    image = stacks.image[:, fixed_slices(stacks.image.shape[1], network.slices)]
    target = [boxes.encode(number, position) for number, position in zip(stacks.number, stacks.position, strict=True)]
    return TensorDataset(torch.from_numpy(image), torch.from_numpy(np.stack(target)))


def atoms_per_stack(stacks: Stacks, network: Network) -> Float[np.ndarray, " species"]:
    """Count the atoms in the cells, by species, on average over the stacks."""
    boxes = Boxes.of(network, stacks.size)
    count = [
        boxes.encode(number, position)[:, 0].sum(axis=(1, 2, 3))
        for number, position in zip(stacks.number, stacks.position, strict=True)
    ]
    mean: np.ndarray = np.mean(count, axis=0)
    return mean


def _open(source: Path) -> xr.Dataset:
    dataset = store.read_dataset(source)
    for name in ("frequency_shift", "atom_number", "atom_position", "index"):
        if name not in dataset:
            raise StoreError(f"{source} holds no {name}; give a store that `hydrafm afm stacks` made")
    return dataset


def _size_of(shards: Sequence[xr.Dataset], sources: Sequence[Path]) -> float:
    """Side of the window in Å, the same in all shards."""
    first = shards[0]
    for shard in shards[1:]:
        if any(not np.array_equal(first[axis], shard[axis]) for axis in ("z", "y", "x")):
            raise StoreError(
                f"the shards beside {sources[0]} differ in heights, pixels or size; give stacks of one scan"
            )
    x = first["x"].to_numpy()
    if x.size != first.sizes["y"]:
        raise GridError(f"the stacks of {sources[0]} have {first.sizes['y']} × {x.size} pixels; only squares are read")
    return float(round((x[-1] - x[0]) * x.size / (x.size - 1), 6))
