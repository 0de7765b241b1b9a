"""Toy stacks that can be solved: blobs whose brightness and width tell the species and the height."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ase.data import atomic_numbers

from hydrafm.store import write_dataset

SIZE, PIXELS, HEIGHTS = 12.0, 32, 6
BRIGHTNESS = {"H": 1.0, "O": -1.0, "Na": 2.0}
SPREAD = {"H": 0.5, "O": 0.8, "Na": 1.2}


def toy_atoms(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw 4 to 8 atoms at least 1.8 Å apart along the surface, the topmost at z = 0."""
    flat: list[np.ndarray] = []
    wanted = random.integers(4, 9)
    while len(flat) < wanted:
        new = random.uniform(0, SIZE, 2)
        if all(np.hypot(*(new - old)) > 1.8 for old in flat):
            flat.append(new)
    z = random.uniform(-2.4, 0, len(flat))
    number = random.choice([atomic_numbers[symbol] for symbol in BRIGHTNESS], len(flat))
    return number, np.column_stack([flat, z - z.max()])


def toy_image(number: np.ndarray, position: np.ndarray, z: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """Draw the blobs: fainter and wider the farther the atom is below the tip."""
    image = np.zeros((z.size, pixel.size, pixel.size))
    for symbol, brightness in BRIGHTNESS.items():
        for x, y, height in position[number == atomic_numbers[symbol]]:
            below = z[:, None, None] - height
            square = (pixel[None, None, :] - x) ** 2 + (pixel[None, :, None] - y) ** 2
            width = SPREAD[symbol] * (0.6 + 0.15 * below)
            image += brightness * np.exp(-below / 3) * np.exp(-square / (2 * width**2))
    return image


def toy_dataset(count: int, seed: int, *, shuffled: bool = False) -> xr.Dataset:
    random = np.random.default_rng(seed)
    z = 3.0 + 0.2 * np.arange(HEIGHTS)
    pixel = (np.arange(PIXELS) + 0.5) * SIZE / PIXELS
    structures = [toy_atoms(random) for _ in range(count)]
    image = [toy_image(number, position, z, pixel) for number, position in structures]
    if shuffled:
        structures = structures[count // 2 :] + structures[: count // 2]
    atoms = max((len(number) for number, _ in structures), default=1)
    numbers = np.zeros((count, atoms), dtype=np.int64)
    positions = np.zeros((count, atoms, 3), dtype=np.float32)
    for sample, (number, position) in enumerate(structures):
        numbers[sample, : len(number)] = number
        positions[sample, : len(number)] = position
    return xr.Dataset(
        {
            "frequency_shift": (
                ("sample", "z", "y", "x"),
                np.array(image, dtype=np.float32).reshape(count, z.size, PIXELS, PIXELS),
            ),
            "atom_position": (("sample", "atom", "axis"), positions),
            "atom_number": (("sample", "atom"), numbers),
            "index": ("sample", np.arange(count)),
        },
        coords={"z": z, "y": pixel, "x": pixel},
        attrs={"system": "toy"},
    )


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give a function that writes a toy store: count, seed, shuffled labels or not."""
    folder = tmp_path_factory.mktemp("toy")

    def write(count: int, seed: int, *, shuffled: bool = False) -> Path:
        target = folder / f"{count}-{seed}-{shuffled}.zarr"
        if not target.exists():
            write_dataset(toy_dataset(count, seed, shuffled=shuffled), target)
        return target

    return write
