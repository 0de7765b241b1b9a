"""Settings of the imaging artefacts: what a microscope does to an image, drawn anew for each stack.

0 switches an artefact off. Amplitudes are in units of the spread of the slice they fall on (slice std), since
the contrast of an experiment is not known beforehand. Where the defaults come from: docs/artefacts.md.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from hydrafm.settings.base import Counts, Range, Settings, quantity


def _within(least: float, most: float, unit: str) -> AfterValidator:
    """Keep both ends of a range within bounds."""

    def check(limits: tuple[float, float]) -> tuple[float, float]:
        if limits[0] < least or limits[1] > most:
            raise ValueError(f"found {list(limits)} {unit}; allowed is {least:g} to {most:g} {unit}")
        return limits

    return AfterValidator(check)


Spread = Annotated[Range, _within(0, 10, "slice std")]
Error = Annotated[Range, _within(-20, 20, "%")]


class Drift(Settings):
    """Slices displaced against the lowest one; all labels are those of the lowest slice."""

    speed: Annotated[Range, _within(0, 10, "% of the window a slice")] = quantity(
        (0.0, 0.4), "% of the window a slice", "drift, steady, in any direction"
    )
    creep: Annotated[Range, _within(0, 10, "% of the window")] = quantity(
        (0.0, 1.0), "% of the window", "creep, in any direction, that decays from the first slice taken to the last"
    )
    decay: float = quantity(2.0, "slices", "after which creep has fallen to 1/e", gt=0, le=100)
    limit: float = quantity(4.0, "% of the window", "farthest that both together displace a slice", gt=0, le=20)


class Pink(Settings):
    """1/f noise along the lines of the scan, pixel after pixel and line after line."""

    spread: Spread = quantity((0.0, 0.05), "slice std", "standard deviation within a slice")
    exponent: Annotated[Range, _within(0, 2, "powers of f")] = quantity(
        (0.8, 1.2), "powers of f", "by which the power spectrum falls"
    )


class Lines(Settings):
    """An offset of each scan line."""

    spread: Spread = quantity((0.0, 0.03), "slice std", "standard deviation of the offsets")
    memory: float = quantity(
        0.5, "of the line before", "part of an offset that stays: 0 independent, near 1 a random walk", ge=0, lt=1
    )


class Glitches(Settings):
    """Stretches of a scan line that are too bright or too dark."""

    rate: float = quantity(0.1, "a slice", "mean number", ge=0, le=100)
    height: Spread = quantity((0.5, 2.0), "slice std", "size of the jump, up or down")
    length: Annotated[Range, _within(0, 100, "Å")] = quantity((0.5, 5.0), "Å", "length of the stretch")


class TipChanges(Settings):
    """Steps of the background in the middle of a slice, from some pixel of the scan on."""

    probability: float = quantity(0.02, "a slice", "chance that it has one", ge=0, le=1)
    height: Spread = quantity((0.1, 0.5), "slice std", "size of the step, up or down")


class Cutouts(Settings):
    """Rectangles of single slices that show nothing but the slice's mean."""

    count: Counts = Field((0, 1), description="rectangles in a stack, [least, most]")
    side: Annotated[Range, _within(0, 100, "Å")] = quantity((1.0, 4.0), "Å", "of the rectangle, along x and along y")


class Artefacts(Settings):
    """Degradation of the images while training, drawn for each stack; 0 switches an artefact off."""

    spacing: Annotated[Range, _within(0, 90, "%")] = quantity(
        (0.0, 10.0), "%", "how much closer together the slices lie, at an unknown height between those drawn"
    )
    drift: Drift = Drift()
    calibration: Error = quantity((-2.0, 2.0), "%", "error of the scale, along x and along y by themselves")
    shear: Error = quantity((-2.0, 2.0), "%", "displacement along x for each Å along y")
    blur: Annotated[Range, _within(0, 5, "Å")] = quantity((0.0, 0.2), "Å", "σ of a Gaussian over x and y")
    gradient: Spread = quantity((0.0, 1.0), "slice std", "rise of a tilted background across the window")
    pink: Pink = Pink()
    lines: Lines = Lines()
    white: Spread = quantity((0.0, 0.05), "slice std", "white noise")
    glitches: Glitches = Glitches()
    tip_changes: TipChanges = TipChanges()
    cutouts: Cutouts = Cutouts()
    dropped: float = quantity(
        0.02, "a slice", "chance that it repeats the slice below; the lowest never does", ge=0, le=1
    )

    @classmethod
    def off(cls) -> "Artefacts":
        """Switch every artefact off."""
        zero = (0.0, 0.0)
        return cls(
            spacing=zero,
            drift=Drift(speed=zero, creep=zero),
            calibration=zero,
            shear=zero,
            blur=zero,
            gradient=zero,
            pink=Pink(spread=zero),
            lines=Lines(spread=zero),
            white=zero,
            glitches=Glitches(rate=0),
            tip_changes=TipChanges(probability=0),
            cutouts=Cutouts(count=(0, 0)),
            dropped=0,
        )
