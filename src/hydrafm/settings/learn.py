"""Settings of networks, training and the sweep over N."""

from typing import Literal

from ase.data import chemical_symbols
from pydantic import Field, PositiveInt, model_validator

from hydrafm.settings.artefacts import Artefacts
from hydrafm.settings.base import Settings, quantity

Strategy = Literal["transfer", "scratch"]


class Network(Settings):
    """2.5-D U-Net: heights are channels, cells of a box are the output."""

    slices: PositiveInt = Field(10, description="heights the network sees, drawn from the rendered ones")
    width: PositiveInt = Field(
        32, description="channels at the finest level; each level below doubles them", le=512, multiple_of=8
    )
    levels: PositiveInt = Field(3, description="levels of the U", le=5)
    species: tuple[str, ...] = Field(("H", "O", "Na"), description="elements found, one head each", min_length=1)
    cells: PositiveInt = Field(32, description="output cells along x and y", ge=8, le=128)
    depth_cells: PositiveInt = Field(4, description="output cells along z", le=16)
    depth: float = quantity(3.0, "Å", "below the topmost atom, down to which atoms are found", gt=0, le=10)

    @model_validator(mode="after")
    def _species_are_elements(self) -> "Network":
        unknown = [symbol for symbol in self.species if symbol not in chemical_symbols[1:]]
        if unknown or len(set(self.species)) < len(self.species):
            raise ValueError(f"species: found {list(self.species)}; allowed are chemical symbols, each once")
        return self

    @model_validator(mode="after")
    def _levels_halve_the_cells(self) -> "Network":
        halving = 2 ** (self.levels - 1)
        if self.cells % halving:
            raise ValueError(f"cells: found {self.cells}; allowed with {self.levels} levels are multiples of {halving}")
        return self


class Training(Settings):
    """One training: pre-training, fine-tuning and scratch differ only in these numbers and the data."""

    steps: PositiveInt = Field(20000, description="optimiser steps")
    batch: PositiveInt = Field(16, description="stacks a step", le=4096)
    learning_rate: float = Field(1e-3, gt=0, le=0.1, description="peak of the one-cycle schedule (AdamW)")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="of AdamW")
    positive_weight: float = Field(1.0, gt=0, le=1000, description="weight of cells that hold an atom")
    offset_weight: float = Field(2.0, ge=0, le=100, description="weight of the position error")
    validations: PositiveInt = Field(10, description="times the validation loss is taken and a checkpoint written")


class Sweep(Settings):
    """The study: accuracy against N, each strategy, several seeds."""

    source: str = Field("water_au111", description="system for pre-training")
    target: str = Field("na_hydrate_au111", description="system for fine-tuning and test")
    n_train: tuple[PositiveInt, ...] = Field((100, 200, 500, 1000, 2000, 5000, 10000), min_length=1)
    strategies: tuple[Strategy, ...] = Field(("transfer", "scratch"), min_length=1)
    seeds: PositiveInt = Field(3, description="independent trainings of each point", le=100)

    @model_validator(mode="after")
    def _n_ascends(self) -> "Sweep":
        if list(self.n_train) != sorted(set(self.n_train)):
            raise ValueError(f"n_train: found {list(self.n_train)}; allowed are ascending numbers, each once")
        return self


class Learn(Settings):
    """Everything that learns."""

    network: Network = Network()
    artefacts: Artefacts = Artefacts()
    pretrain: Training = Training()
    finetune: Training = Training(steps=5000)
    sweep: Sweep = Sweep()
