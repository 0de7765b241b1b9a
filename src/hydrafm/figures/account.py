"""What a study counted and what it cost."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from hydrafm.errors import StoreError
from hydrafm.store import read_dataset

COST_COLUMNS = ("rule", "s", "max_rss")
"""The rule, and the columns of Snakemake's benchmark files: wall seconds and peak memory, MB. Its CPU
seconds are left aside: they are sampled, and miss the end of each job."""


def count_structures(failed: Sequence[Path], stacks: Sequence[Path]) -> pd.DataFrame:
    """Count the structures that came through each stage and those that were left out, for each split.

    Parameters
    ----------
    failed : sequence of Path
        ``…/{system}/{method}/{split}/shard-….failed.csv``, each beside the potential store of its shard.
    stacks : sequence of Path
        ``…/{system}/{split}/shard-….zarr`` of `hydrafm afm stacks`.

    Returns
    -------
    DataFrame
        For each system and split: potentials solved and failed, stacks rendered and left out.
    """
    rows = []
    for path in failed:
        store = path.with_name(path.name.removesuffix(".failed.csv") + ".zarr")
        try:
            lost = len(pd.read_csv(path))
        except (OSError, pd.errors.EmptyDataError) as error:
            raise StoreError(f"{path} is no list of failed structures: {error}") from None
        rows.append({"system": path.parts[-4], "split": path.parts[-2], "potential_failed": lost})
        rows[-1]["potential_solved"] = read_dataset(store).sizes["sample"]
    for path in stacks:
        shard = read_dataset(path)
        rows.append({"system": path.parts[-3], "split": path.parts[-2], "stacks_rendered": shard.sizes["sample"]})
        rows[-1]["stacks_left_out"] = len(shard.attrs["left_out"])
    columns = ["potential_solved", "potential_failed", "stacks_rendered", "stacks_left_out"]
    table = pd.DataFrame(rows, columns=["system", "split", *columns])
    return table.groupby(["system", "split"], sort=False)[columns].sum().astype(int).reset_index()


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
            "peak_MB": groups["max_rss"].max().round(0),
        }
    ).reset_index()
