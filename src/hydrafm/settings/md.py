"""Settings of molecular dynamics: substrate, composition, protocol and splits."""

from math import sqrt
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from hydrafm.settings.base import Counts, Range, Settings, quantity

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

Ion = Literal["Na"]

MOST_BILAYERS = 2.0
"""Most water a cell holds: the double bilayer seen on Au(111) (Ma et al., Nature 577, 60, 2020)."""


class Substrate(Settings):
    """The surface under the water."""

    material: Literal["Au"] = Field("Au", description="element of the fcc(111) surface")
    lattice_constant: float = quantity(4.0782, "Å", "cubic lattice constant", gt=3, le=5)
    repeats: tuple[PositiveInt, PositiveInt] = Field(
        (10, 6), description="cell in rectangular units of a/√2 × a·√(3/2) along x and y"
    )
    layers: PositiveInt = Field(2, description="layers kept in the structures, for the potential and the images")

    @property
    def sides(self) -> tuple[float, float]:
        """Sides of the cell along x and y, Å."""
        return self.repeats[0] * self.lattice_constant / sqrt(2), self.repeats[1] * self.lattice_constant * sqrt(1.5)

    @property
    def bilayer(self) -> float:
        """Molecules of one ice-like bilayer in the cell: two in each √3 × √3 unit of three surface atoms."""
        surface_atoms = 2 * self.repeats[0] * self.repeats[1]
        return surface_atoms * 2 / 3


class Composition(Settings):
    """What lies on the surface: the counts are drawn for each replica."""

    ions: dict[Ion, Counts] = Field(default_factory=dict, description="ions in a cell, by element")
    waters: Counts = Field((8, 144), description="water molecules in a cell")

    @property
    def least(self) -> int:
        """Fewest ions and molecules that a draw can give."""
        return self.waters[0] + sum(low for low, _ in self.ions.values())

    @property
    def most(self) -> int:
        """Most ions and molecules that a draw can give."""
        return self.waters[1] + sum(high for _, high in self.ions.values())

    @model_validator(mode="after")
    def _never_empty(self) -> "Composition":
        if self.least == 0:
            raise ValueError("waters: found a least count of 0 without ions, an empty cell; allowed is 1 or more")
        return self


class MolecularDynamics(Settings):
    """Protocol of one replica: random start, minimise, equilibrate, then frames."""

    timestep: float = quantity(2.0, "fs", "integration step", gt=0, le=4)
    friction: float = quantity(1.0, "1/ps", "Langevin friction", gt=0, le=100)
    temperature: Range = quantity((260.0, 320.0), "K", "temperature of the dynamics, drawn for each replica")
    equilibration: float = quantity(20.0, "ps", "time before the first interval", ge=0)
    interval: float = quantity(30.0, "ps", "time between frames; the H-bond memory at 300 K is ≈ 30 ps", gt=0)
    quench: float = quantity(12.0, "ps", "cooling ramp before a frame is kept and minimised; 0 keeps it warm", ge=0)
    quench_temperature: float = quantity(80.0, "K", "end of the cooling ramp", gt=0, le=300)
    electrostatics: Literal["pme", "ewald"] = Field(
        "pme", description="sum over periodic images; ewald is the faster one below ≈ 80 waters with a long cut-off"
    )
    cutoff: float = quantity(10.0, "Å", "cut-off of Lennard-Jones and of the direct part of Ewald's sum", gt=3, le=15)
    height: float = quantity(45.0, "Å", "cell along z", ge=25, le=200)

    @model_validator(mode="after")
    def _temperature_is_physical(self) -> "MolecularDynamics":
        low, high = self.temperature
        if low <= 0 or high > 500:
            raise ValueError(f"temperature: found [{low:g}, {high:g}] K; allowed is above 0 K up to 500 K")
        return self


def misfit(substrate: Substrate, composition: Composition, dynamics: MolecularDynamics) -> str | None:
    """Say why a composition or a cut-off does not fit a cell, or nothing when all fits.

    Returns
    -------
    str or None
        One line: what was asked, what the cell allows, what to do.
    """
    shortest = min(*substrate.sides, dynamics.height)
    if dynamics.cutoff >= shortest / 2:
        return (
            f"the cut-off of {dynamics.cutoff:g} Å is not below half of the cell's shortest side, {shortest / 2:.2f} Å;"
            " lower md.cutoff or raise substrate.repeats"
        )
    most = MOST_BILAYERS * substrate.bilayer
    if composition.most > most:
        return (
            f"{composition.most} ions and waters do not fit the cell: {MOST_BILAYERS:g} bilayers on"
            f" {substrate.repeats[0]} × {substrate.repeats[1]} units are {int(most)} molecules;"
            " lower composition.waters or raise substrate.repeats"
        )
    return None


class SplitSize(Settings):
    """Structures of one split: replicas of its own times frames."""

    replicas: PositiveInt = Field(description="independent trajectories, shared with no other split")
    frames: PositiveInt = Field(description="frames kept of each")

    @property
    def structures(self) -> int:
        """Number of structures."""
        return self.replicas * self.frames


class Splits(Settings):
    """How many structures each split has."""

    train: SplitSize
    validation: SplitSize
    test: SplitSize

    def replica_numbers(self, split: Split) -> range:
        """Numbers of the replicas of a split; no number belongs to two."""
        first = 0
        for name in SPLITS:
            count: int = getattr(self, name).replicas
            if name == split:
                return range(first, first + count)
            first += count
        raise KeyError(split)
