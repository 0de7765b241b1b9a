"""The whole study: what a file under config/ says."""

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from hydrafm.settings.afm import Scan, Tip
from hydrafm.settings.base import Settings
from hydrafm.settings.learn import Learn
from hydrafm.settings.md import Composition, MolecularDynamics, Split, Splits, Substrate, misfit
from hydrafm.settings.potential import Potential


class System(Settings):
    """One kind of interface: an entry of the config, never code."""

    substrate: Substrate = Substrate()
    composition: Composition
    md: MolecularDynamics = MolecularDynamics()
    splits: Splits
    potential: Potential = Potential()
    shard: PositiveInt = Field(50, description="structures that one job handles", le=10000)

    @model_validator(mode="after")
    def _film_fits_the_cell(self) -> "System":
        reason = misfit(self.substrate, self.composition, self.md)
        if reason:
            raise ValueError(reason)
        return self

    def shards(self, split: Split) -> range:
        """Numbers of the shards of a split."""
        structures: int = getattr(self.splits, split).structures
        return range(-(-structures // self.shard))


class Study(Settings):
    """A study, from molecular dynamics to the accuracy figure."""

    seed: NonNegativeInt = Field(2023, description="of everything random")
    systems: dict[str, System] = Field(min_length=1)
    tip: Tip = Tip()
    scan: Scan = Scan()
    learn: Learn = Learn()

    @model_validator(mode="after")
    def _parts_fit(self) -> "Study":
        sweep, network = self.learn.sweep, self.learn.network
        known = ", ".join(self.systems)
        for key, name in (("source", sweep.source), ("target", sweep.target)):
            if name not in self.systems:
                raise ValueError(f"learn.sweep.{key}: unknown system {name!r}; allowed: {known}")
        available = self.systems[sweep.target].splits.train.structures
        if sweep.n_train[-1] > available:
            raise ValueError(
                f"learn.sweep.n_train: found {sweep.n_train[-1]}; allowed up to {available},"
                f" the structures in systems.{sweep.target}.splits.train"
            )
        for name, system in self.systems.items():
            if self.scan.lowest < system.potential.plane_height:
                raise ValueError(
                    f"scan.lowest: found {self.scan.lowest:g} Å; allowed is systems.{name}.potential.plane_height,"
                    f" {system.potential.plane_height:g} Å, and above: below that plane the potential is not known"
                )
        if network.slices > self.scan.heights:
            raise ValueError(
                f"learn.network.slices: found {network.slices}; allowed up to {self.scan.heights}, scan.heights"
            )
        if self.scan.pixels % network.cells:
            raise ValueError(
                f"scan.pixels: found {self.scan.pixels}; allowed are multiples of {network.cells}, learn.network.cells"
            )
        return self
