"""Settings of what a user's own files hold."""

from typing import Literal

from ase.data import atomic_numbers
from pydantic import ConfigDict, Field, PositiveFloat, model_validator

from hydrafm.settings.base import Settings, quantity


class HartreeFile(Settings):
    """What the numbers of an electrostatic potential on a grid are, and where it is taken from."""

    holds: Literal["electron_energy", "potential"] = Field(
        "electron_energy",
        description="energy of an electron, as most DFT codes write it, or potential seen by a positive unit charge",
    )
    unit: Literal["hartree", "rydberg", "eV"] | None = Field(
        None, description="of the numbers (for a potential, per e); null: hartree in .cube files, eV elsewhere"
    )
    plane_height: float = quantity(
        2.0, "Å", "plane above the topmost atom from which the potential continues", ge=1.5, le=4
    )


class LennardJones(Settings):
    """Lennard-Jones parameters by element: [R, ε], half the distance of the pair minimum (Å) and its depth (eV)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, tuple[PositiveFloat, PositiveFloat]] = Field(init=False)

    @model_validator(mode="after")
    def _keys_are_elements(self) -> "LennardJones":
        unknown = [symbol for symbol in self.by_element if symbol not in atomic_numbers]
        if unknown:
            raise ValueError(f"{unknown[0]} is no chemical symbol; give symbols such as Mg")
        return self

    @property
    def by_element(self) -> dict[str, tuple[float, float]]:
        """R (Å) and ε (eV) of each element."""
        return dict(self.__pydantic_extra__)
