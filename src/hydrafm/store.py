"""Files that appear whole or not at all, and Zarr stores that explain themselves."""

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from hydrafm.errors import StoreError


@contextmanager
def write_whole(target: Path) -> Iterator[Path]:
    """Give a path to write to; it becomes `target` when the block ends well, and vanishes otherwise.

    Parameters
    ----------
    target : Path
        File or directory to make; one that exists is replaced.

    Yields
    ------
    Path
        A path beside it, with the same suffix, for a file or a directory.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.stem}.part-{os.getpid()}{target.suffix}")
    try:
        yield part
        if target.is_dir():
            shutil.rmtree(target)
        part.replace(target)
    finally:
        _remove(part)


def write_dataset(dataset: xr.Dataset, target: Path) -> None:
    """Write a dataset as one Zarr v3 store: a chunk for each sample, one shard for each variable.

    Parameters
    ----------
    dataset : xr.Dataset
        Variables whose first dimension is ``sample`` or ``frame`` are chunked along it.
    target : Path
        Directory to make, whole or not at all.
    """
    encoding: dict[str, dict[str, Sequence[int]]] = {}
    for name, variable in dataset.variables.items():
        if variable.ndim > 1 and variable.dims[0] in ("sample", "frame") and variable.size:
            encoding[str(name)] = {"chunks": (1, *variable.shape[1:]), "shards": variable.shape}
    with write_whole(target) as part, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Cc]onsolidated metadata.*")
        dataset.to_zarr(part, zarr_format=3, encoding=encoding, consolidated=True)


def read_dataset(source: Path) -> xr.Dataset:
    """Open a Zarr store; variables are read when they are used.

    Raises
    ------
    StoreError
        If there is no readable Zarr store at that path.
    """
    if not (source / "zarr.json").is_file():
        raise StoreError(f"{source} is no Zarr v3 store (it has no zarr.json); make it with the stage before this one")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not recognized as a component of a Zarr hierarchy.*")
        dataset: xr.Dataset = xr.open_zarr(source, consolidated=True)
    return dataset


def described(
    dims: Sequence[str], values: object, units: str, long_name: str
) -> tuple[Sequence[str], object, Mapping[str, str]]:
    """Make an xarray variable with its unit and its name in words."""
    return dims, values, {"units": units, "long_name": long_name}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
