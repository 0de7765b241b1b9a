# What all rules share: the checked settings, input functions and resources.
import shlex
import sys
from functools import cache

from snakemake.exceptions import WorkflowError

# The package beside the workflow serves when none is installed (environment.yml holds no hydrafm).
sys.path.append(str(Path(workflow.current_basedir) / "../../src"))

from hydrafm.errors import SettingsError
from hydrafm.provenance import code_hash
from hydrafm.settings.md import SPLITS
from hydrafm.settings.study import Study, System


def load_study() -> Study:
    """Check the config before anything is planned."""
    try:
        return Study.parse(config)
    except SettingsError as error:
        # A WorkflowError would surround the one line with places in this file.
        sys.exit(f"config: {error}")


study = load_study()
sweep = study.learn.sweep


wildcard_constraints:
    system="|".join(study.systems),
    split="train|validation|test",
    method="point_charges|gpaw",
    strategy="transfer|scratch",
    replica=r"\d+",
    shard=r"\d+",
    n_train=r"[1-9]\d*",
    seed=r"\d+",


@cache
def code_of(*modules: str) -> str:
    """Fingerprint of a stage's code: a rule that has it in its params reruns when the code changes."""
    return code_hash(*(f"hydrafm.{module}" for module in modules))


def system_of(wildcards) -> System:
    return study.systems[wildcards.system]


def setting(path: str):
    """Give the JSON of one part of a system's settings, as a function of the wildcards."""

    def of_wildcards(wildcards) -> str:
        part = system_of(wildcards)
        for name in path.split("."):
            part = getattr(part, name)
        return part.model_dump_json()

    return of_wildcards


def grow(base: int):
    """Ask for more at each attempt (with `--retries`)."""
    return lambda wildcards, attempt: base * attempt


def options(name: str, input) -> str:
    """Name each file of one input as an option of a command: `` --stacks a --stacks b``."""
    files = input.get(name, [])
    return "".join(
        f" --{name} {shlex.quote(path)}"
        for path in ([files] if isinstance(files, str) else files)
    )


def replica_frames(wildcards) -> list[str]:
    """Frames of all replicas of a split."""
    numbers = system_of(wildcards).splits.replica_numbers(wildcards.split)
    return [
        f"results/md/{wildcards.system}/replica{number}/frames.zarr"
        for number in numbers
    ]


def frames_of(wildcards) -> int:
    """Frames that a replica keeps; its number tells its split."""
    splits = system_of(wildcards).splits
    for split in SPLITS:
        if int(wildcards.replica) in splits.replica_numbers(split):
            return getattr(splits, split).frames
    raise WorkflowError(
        f"config: systems.{wildcards.system}.splits has no replica {wildcards.replica};"
        f" allowed are 0 to {splits.replica_numbers(SPLITS[-1])[-1]}"
    )


def potential_settings(wildcards) -> str:
    """Potential settings of a system, with the method that the path names."""
    return (
        system_of(wildcards)
        .potential.model_copy(update={"method": wildcards.method})
        .model_dump_json()
    )


def potential_shard(wildcards) -> str:
    """The potential of a shard, made by the method that the system asks for."""
    method = system_of(wildcards).potential.method
    return f"results/potential/{wildcards.system}/{method}/{wildcards.split}/shard-{wildcards.shard}.zarr"


def stacks_of(system: str, split: str, first: int | None = None) -> list[str]:
    """Stacks of a split, or those that hold its first so many structures."""
    shards = study.systems[system].shards(split)
    available = getattr(study.systems[system].splits, split).structures
    if first is not None and first > available:
        raise WorkflowError(
            f"config: N = {first} was asked for; allowed up to {available},"
            f" the structures in systems.{system}.splits.{split}"
        )
    if first is not None:
        shards = shards[: -(-first // study.systems[system].shard)]
    return [f"results/afm/{system}/{split}/shard-{shard}.zarr" for shard in shards]


def expand_stacks(system: str) -> list[str]:
    return [path for split in SPLITS for path in stacks_of(system, split)]


def sweep_points(name: str) -> list[str]:
    """One file for each strategy, N and seed of the study."""
    return expand(
        "results/learn/{strategy}/n{n_train}/seed{seed}/{name}",
        strategy=sweep.strategies,
        n_train=sweep.n_train,
        seed=range(sweep.seeds),
        name=name,
    )


def failed_lists(system: str) -> list[str]:
    """Lists of the structures whose potential could not be made."""
    method = study.systems[system].potential.method
    return [
        f"results/potential/{system}/{method}/{split}/shard-{shard}.failed.csv"
        for split in SPLITS
        for shard in study.systems[system].shards(split)
    ]


def initial_weights(wildcards) -> list[str]:
    """Weights that a training starts from: none from scratch."""
    if wildcards.strategy == "scratch":
        return []
    return [f"results/learn/pretrain/seed{wildcards.seed}/weights.safetensors"]
