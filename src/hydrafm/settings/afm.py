"""Settings of the microscope: window, tip and scan."""

from dataclasses import dataclass

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from hydrafm.settings.base import Range, Settings, quantity


@dataclass(frozen=True)
class DrawnTip:
    """One tip: what `Tip` leaves open is drawn. Units as in `Tip`."""

    charge: float
    quadrupole: float
    width: float
    length: float
    lateral_stiffness: float
    radial_stiffness: float
    offset_x: float
    offset_y: float
    amplitude: float
    resonance: float
    stiffness: float

    @property
    def moment(self) -> float:
        """What multiplies ∂²V/∂z² in the probe's energy, e Å².

        ppafm's dz² density is Q·(2z² − x² − y²)/4σ² times a normalised Gaussian. Its second moments
        are Qσ² along z and −Qσ²/2 along x and y; in a harmonic potential ½ΣMᵢⱼ∂ᵢ∂ⱼV = ¾Qσ²·∂²V/∂z².
        """
        return 0.75 * self.quadrupole * self.width**2


class Tip(Settings):
    """The CO tip and its sensor; a range is drawn from once for each structure."""

    charge: Range = quantity((-0.1, 0.1), "e", "monopole on the probe")
    quadrupole: Range = quantity(
        (-0.2, -0.05), "e", "dz² on the probe, the Q of ppafm's Gaussian tip: adds ¾Qσ²·∂²V/∂z² to its energy"
    )
    width: float = quantity(0.71, "Å", "σ of the Gaussian that carries the multipole", gt=0.2, le=2)
    length: Range = quantity((3.0, 4.0), "Å", "R0, from the tip's last metal atom to the probe")
    lateral_stiffness: Range = quantity((0.20, 0.75), "N/m", "bending spring of the CO")
    radial_stiffness: Range = quantity(20.0, "N/m", "stretching spring of the CO")
    lateral_offset: Range = quantity((-0.1, 0.1), "Å", "rest position of the probe off the axis, along x and along y")
    amplitude: Range = quantity((0.4, 1.0), "Å", "half of peak to peak")
    resonance: float = quantity(30300.0, "Hz", "resonance frequency f₀", gt=0)
    stiffness: float = quantity(1800.0, "N/m", "sensor stiffness k", gt=0)

    @model_validator(mode="after")
    def _ranges_are_physical(self) -> "Tip":
        for name, lowest, highest in (
            ("charge", -1, 1),
            ("quadrupole", -1, 1),
            ("length", 1, 10),
            ("lateral_stiffness", 0.01, 10),
            ("radial_stiffness", 1, 1000),
            ("lateral_offset", -1, 1),
            ("amplitude", 0.01, 5),
        ):
            low, high = getattr(self, name)
            if low < lowest or high > highest:
                extra = type(self).model_fields[name].json_schema_extra
                unit = extra["unit"] if isinstance(extra, dict) else ""
                raise ValueError(
                    f"{name}: found [{low:g}, {high:g}] {unit}; allowed is {lowest:g} to {highest:g} {unit}"
                )
        return self

    def draw(self, random: np.random.Generator) -> DrawnTip:
        """Draw one tip, each range uniformly."""

        def value(limits: tuple[float, float]) -> float:
            return limits[0] + (limits[1] - limits[0]) * random.random()

        return DrawnTip(
            charge=value(self.charge),
            quadrupole=value(self.quadrupole),
            width=self.width,
            length=value(self.length),
            lateral_stiffness=value(self.lateral_stiffness),
            radial_stiffness=value(self.radial_stiffness),
            offset_x=value(self.lateral_offset),
            offset_y=value(self.lateral_offset),
            amplitude=value(self.amplitude),
            resonance=self.resonance,
            stiffness=self.stiffness,
        )


class Scan(Settings):
    """Where the tip goes: a square window at several heights."""

    size: float = quantity(25.0, "Å", "side of the square window", ge=5, le=200)
    pixels: PositiveInt = Field(128, description="pixels along each side", ge=16, le=1024)
    lowest: float = quantity(2.9, "Å", "lowest height of the unrelaxed probe above the topmost atom", ge=2, le=10)
    spacing: float = quantity(0.1, "Å", "between heights", gt=0.01, le=1)
    heights: PositiveInt = Field(20, description="heights of Δf", le=200)
