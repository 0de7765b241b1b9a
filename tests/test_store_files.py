"""Files appear whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from hydrafm.errors import StoreError
from hydrafm.store import described, read_dataset, write_dataset, write_whole


def images(first: int, count: int) -> xr.Dataset:
    values = np.arange(first, first + count, dtype=np.float32)[:, None] * np.ones((1, 6), dtype=np.float32)
    return xr.Dataset(
        {
            "height": described(("sample", "x"), values, "Å", "height of something"),
            "index": (("sample",), np.arange(first, first + count)),
        },
        attrs={"made": "by a test"},
    )


def interrupted(target: Path) -> None:
    """Stop in the middle of a write."""
    with write_whole(target) as part:
        part.write_text("half")
        raise KeyError


def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "numbers.csv"
    target.write_text("old")
    with pytest.raises(KeyError):
        interrupted(target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.csv"]


def test_a_directory_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "store.zarr"
    for name in ("first", "second"):
        with write_whole(target) as part:
            part.mkdir()
            (part / name).touch()
    assert [path.name for path in target.iterdir()] == ["second"]


def test_a_dataset_survives_its_store_with_units(tmp_path: Path) -> None:
    write_dataset(images(0, 3), tmp_path / "a.zarr")
    back = read_dataset(tmp_path / "a.zarr")
    xr.testing.assert_equal(back.load(), images(0, 3))
    assert back["height"].attrs["units"] == "Å"
    assert back["height"].encoding["chunks"] == (1, 6)
    assert back["height"].encoding["shards"] == (3, 6)


def test_few_inodes_whatever_the_number_of_samples(tmp_path: Path) -> None:
    write_dataset(images(0, 200), tmp_path / "a.zarr")
    assert sum(1 for _ in (tmp_path / "a.zarr").rglob("*")) < 15


def test_a_foreign_file_in_the_store_does_not_matter(tmp_path: Path) -> None:
    """Snakemake leaves a timestamp in directories that it tracks."""
    write_dataset(images(0, 3), tmp_path / "a.zarr")
    (tmp_path / "a.zarr/.snakemake_timestamp").touch()
    assert read_dataset(tmp_path / "a.zarr").sizes["sample"] == 3


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no Zarr v3 store"):
        read_dataset(tmp_path / "absent.zarr")
