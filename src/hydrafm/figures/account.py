"""What a study counted and what it cost."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hydrafm.errors import StoreError
from hydrafm.store import read_dataset

COST_COLUMNS = ("rule", "s", "cpu_time", "max_rss")
"""Columns of Snakemake's benchmark files that are summed, after the rule: wall and CPU seconds, MB."""


def count_potentials(failed: Sequence[Path]) -> pd.DataFrame:
    """Count the structures with a potential and those whose calculation failed, for each split.

    Parameters
    ----------
    failed : sequence of Path
        ``…/{system}/{method}/{split}/shard-….failed.csv``, each beside the store of its shard.
    """
    rows = []
    for path in failed:
        store = path.with_name(path.name.removesuffix(".failed.csv") + ".zarr")
        try:
            lost = len(pd.read_csv(path))
        except (OSError, pd.errors.EmptyDataError) as error:
            raise StoreError(f"{path} is no list of failed structures: {error}") from None
        system, method, split = path.parts[-4:-1]
        rows.append((system, method, split, read_dataset(store).sizes["sample"], lost))
    table = pd.DataFrame(rows, columns=["system", "method", "split", "solved", "failed"])
    return table.groupby(["system", "method", "split"], sort=False).sum().reset_index()


def sum_cost(folder: Path) -> pd.DataFrame:
    """Sum the benchmarks that Snakemake wrote, for each rule."""
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        rule = path.relative_to(folder).parts[0]
        rows.append(pd.read_csv(path, sep="\t", na_values="-").assign(rule=rule))
    groups = pd.concat(rows).groupby("rule") if rows else pd.DataFrame(columns=COST_COLUMNS).groupby("rule")
    return pd.DataFrame(
        {
            "jobs": groups.size(),
            "wall_s": groups["s"].sum().round(1),
            "cpu_s": groups["cpu_time"].sum().round(1),
            "peak_MB": groups["max_rss"].max().round(0),
        }
    ).reset_index()
