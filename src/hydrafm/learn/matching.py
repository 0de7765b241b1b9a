"""Which detection is which atom: one-to-one matching within a radius."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

STRICT_RADII = {"O": 0.74, "H": 0.528}
"""Å: within these an atom counts as found in the public code of the group that this method comes from; the
article gives accuracies without a radius."""

STRICT_ION_RADIUS = 0.74
"""Å: the same for every ion."""

WIDE_RADIUS = 1.0
"""Å: the second radius, one for all species."""


def radii(species: str) -> dict[str, float]:
    """Name the two radii of a species, Å."""
    return {"strict": STRICT_RADII.get(species, STRICT_ION_RADIUS), "1.0": WIDE_RADIUS}


def match(
    found: Float[np.ndarray, "found 3"], truth: Float[np.ndarray, "truth 3"], *, radius: float
) -> Int[np.ndarray, "pair 2"]:
    """Match detections with atoms, each at most once (Hungarian method).

    Of all matchings in which no pair is farther apart than the radius it is the one with most pairs, and of
    these the one with the smallest sum of distances.

    Parameters
    ----------
    found, truth : (n, 3) array, Å
        Positions.
    radius : float, Å
        Largest distance in three dimensions of a pair.

    Returns
    -------
    (pair, 2) array
        Index into `found` and into `truth` of each pair.
    """
    distance = cdist(found, truth)
    allowed = distance <= radius
    # A pair too far apart costs more than all allowed pairs together can save.
    forbidden = radius * (min(distance.shape) + 1)
    row, column = linear_sum_assignment(np.where(allowed, distance, forbidden))
    kept = allowed[row, column]
    return np.stack([row[kept], column[kept]], axis=1).astype(np.int64)
