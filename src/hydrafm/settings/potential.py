"""Settings of the electrostatic potential."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from hydrafm.settings.base import Settings, quantity


class Gpaw(Settings):
    """GPAW calculation of one structure on its metal slab."""

    mode: Literal["lcao", "fd", "pw"] = Field("lcao", description="representation of the wave functions")
    basis: Literal["sz(dzp)", "szp(dzp)", "dzp"] = Field("dzp", description="basis set, with mode lcao")
    grid_spacing: float = quantity(0.3, "Å", "real-space grid", gt=0.1, le=0.45)
    plane_wave_cutoff: float = quantity(400.0, "eV", "with mode pw", ge=200, le=1500)
    layers: PositiveInt = Field(2, description="metal layers under the water")
    vacuum: float = quantity(5.0, "Å", "above the top atom and below the slab", ge=4, le=20)
    smearing: float = quantity(0.1, "eV", "width of the Fermi-Dirac occupation", gt=0, le=1)
    xc: Literal["PBE", "LDA"] = Field("PBE", description="exchange-correlation functional")
    density_tolerance: float = quantity(
        3e-3, "electron", "change of the density in the last step, for each valence electron", gt=0, le=0.1
    )
    max_iterations: PositiveInt = Field(120, description="self-consistency steps before the next, safer settings")


class PointCharges(Settings):
    """Charges on the atoms, and their images in the metal."""

    charges: dict[str, float] = Field(
        {"O": -0.8476, "H": 0.4238, "Na": 1.0},
        description="e, by element; default SPC/E water (Berendsen et al., J. Phys. Chem. 91, 6269, 1987)",
    )
    image_plane: float | None = quantity(1.2, "Å", "image plane above the top metal plane; null leaves images out")


class Potential(Settings):
    """How a system's electrostatic potential is made."""

    method: Literal["point_charges", "gpaw"] = "point_charges"
    point_charges: PointCharges = PointCharges()
    gpaw: Gpaw = Gpaw()
    plane_height: float = quantity(
        2.0, "Å", "plane above the top atom from which the potential continues", ge=1.5, le=3
    )
    plane_spacing: float = quantity(0.3, "Å", "grid of that plane", gt=0.1, le=0.6)

    @model_validator(mode="after")
    def _plane_lies_in_the_box(self) -> "Potential":
        lowest = self.plane_height + 1.5
        if self.method == "gpaw" and self.gpaw.vacuum < lowest:
            raise ValueError(
                f"gpaw.vacuum: found {self.gpaw.vacuum:g} Å; allowed is {lowest:g} Å or more, plane_height + 1.5 Å"
            )
        return self
