"""How well atoms are found: accuracy per species, calibration of the confidence, geometry."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from jaxtyping import Bool, Float

from hydrafm.learn.boxes import Boxes, Found
from hydrafm.learn.data import Stacks
from hydrafm.learn.geometry import bond_angles, coordination
from hydrafm.learn.matching import WIDE_RADIUS, match, radii

THRESHOLDS = np.arange(1, 10) / 10
"""Confidences from which a species' threshold is chosen."""

DEFAULT_THRESHOLD = 0.5
"""Confidence for a species that the validation set does not hold."""

BINS = 10
"""Of the calibration curve."""

Positions = Sequence[Float[np.ndarray, "_ 3"]]
"""For each sample the positions of one species, Å."""


def true_positions(stacks: Stacks, boxes: Boxes, species: str) -> list[Float[np.ndarray, "_ 3"]]:
    """List the positions of a species' atoms in the box of each stack, Å."""
    atoms = (stacks.atoms(sample, boxes) for sample in range(len(stacks)))
    return [position[number == atomic_numbers[species]] for number, position in atoms]


def accepted(found: Sequence[Found], thresholds: Mapping[str, float]) -> list[Found]:
    """Keep the detections that reach their species' threshold; species without one are dropped."""
    least = np.full(len(chemical_symbols), np.inf)
    for species, threshold in thresholds.items():
        least[atomic_numbers[species]] = threshold
    return [one.keep(one.confidence >= least[one.number]) for one in found]


def choose_thresholds(
    found: Sequence[Found], stacks: Stacks, boxes: Boxes, species_taught: Sequence[str]
) -> dict[str, float]:
    """Choose for each species the threshold with the best strict accuracy; of equals the one nearest to 0.5.

    Parameters
    ----------
    found : sequence of Found
        All detections in each validation stack.
    stacks : Stacks
        The validation stacks.
    boxes : Boxes
        Where atoms count.
    species_taught : sequence of str
        Species that the training stacks held. The others get no threshold: the network knows nothing of them.
    """
    chosen = {}
    for species in species_taught:
        truth = true_positions(stacks, boxes, species)
        best = DEFAULT_THRESHOLD
        if sum(map(len, truth)):
            detected = [one.of(species) for one in found]
            scores = {
                float(threshold): accuracy(
                    [one.position[one.confidence >= threshold] for one in detected],
                    truth,
                    radius=radii(species)["strict"],
                )["accuracy"]
                for threshold in THRESHOLDS
            }
            best = max(scores, key=lambda threshold: (scores[threshold], -abs(threshold - DEFAULT_THRESHOLD)))
        chosen[species] = best
    return chosen


def accuracy(found: Positions, truth: Positions, *, radius: float) -> dict[str, float | int | None]:
    """Count matches over all samples and make them into rates.

    accuracy = TP/(TP + FP + FN), with the one-to-one matching of `match`; the counts are pooled.

    Parameters
    ----------
    found, truth : sequence of (n, 3) array, Å
        Detections and atoms of one species in each sample.
    radius : float, Å
        Largest distance of a pair.

    Returns
    -------
    dict
        accuracy, precision, recall, f1, rmsd_A and the counts; a rate of nothing is None.
    """
    positive = false_positive = false_negative = 0
    squares = 0.0
    for one, atoms in zip(found, truth, strict=True):
        pairs = match(one, atoms, radius=radius)
        positive += len(pairs)
        false_positive += len(one) - len(pairs)
        false_negative += len(atoms) - len(pairs)
        squares += float(np.sum((one[pairs[:, 0]] - atoms[pairs[:, 1]]) ** 2))
    return {
        "accuracy": _ratio(positive, positive + false_positive + false_negative),
        "precision": _ratio(positive, positive + false_positive),
        "recall": _ratio(positive, positive + false_negative),
        "f1": _ratio(2 * positive, 2 * positive + false_positive + false_negative),
        "rmsd_A": float(np.sqrt(squares / positive)) if positive else None,
        "true_positive": positive,
        "false_positive": false_positive,
        "false_negative": false_negative,
    }


def calibration(confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"]) -> list[dict[str, float]]:
    """Compare confidence with the fraction that is right, in equal bins of confidence; empty bins are left out.

    Returns
    -------
    list of dict
        confidence (mean in the bin), fraction (of right ones) and count.
    """
    index = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return [
        {
            "confidence": float(confidence[index == number].mean()),
            "fraction": float(correct[index == number].mean()),
            "count": int(np.sum(index == number)),
        }
        for number in np.unique(index)
    ]


def calibration_error(curve: Sequence[Mapping[str, float]]) -> float | None:
    """Average |confidence − fraction| over a curve: the expected calibration error (Guo et al., ICML 2017)."""
    total = sum(bin_["count"] for bin_ in curve)
    if not total:
        return None
    return sum(bin_["count"] * abs(bin_["confidence"] - bin_["fraction"]) for bin_ in curve) / total


def evaluate(found: Sequence[Found], stacks: Stacks, boxes: Boxes, thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Measure everything about the detections in test stacks.

    Parameters
    ----------
    found : sequence of Found
        All detections in each stack, down to a low confidence.
    stacks : Stacks
        The test stacks.
    boxes : Boxes
        Where atoms count.
    thresholds : mapping of str to float
        Least confidence of a detection that counts, by species; one without is not looked for.

    Returns
    -------
    dict
        n_test, accuracy (a list: each species at each radius), ece and calibration by species (of all
        detections; right is one within 1.0 Å), and geometry: error of OH directions and of Na coordination.
    """
    kept = accepted(found, thresholds)
    rows: list[dict[str, Any]] = []
    curves = {}
    for species in boxes.species:
        truth = true_positions(stacks, boxes, species)
        positions = [one.of(species).position for one in kept]
        for name, radius in radii(species).items():
            row = {"species": species, "radius": name, "radius_A": radius, "threshold": thresholds.get(species)}
            rows.append(row | accuracy(positions, truth, radius=radius))
        curves[species] = _curve([one.of(species) for one in found], truth) if species in thresholds else []
    return {
        "n_test": len(stacks),
        "accuracy": rows,
        "ece": {species: calibration_error(curve) for species, curve in curves.items()},
        "calibration": curves,
        "geometry": _geometry(kept, stacks, boxes),
    }


def _curve(found: Sequence[Found], truth: Positions) -> list[dict[str, float]]:
    correct = []
    for one, atoms in zip(found, truth, strict=True):
        right = np.zeros(len(one.number), dtype=bool)
        right[match(one.position, atoms, radius=WIDE_RADIUS)[:, 0]] = True
        correct.append(right)
    return calibration(np.concatenate([one.confidence for one in found]), np.concatenate(correct))


def _geometry(kept: Sequence[Found], stacks: Stacks, boxes: Boxes) -> dict[str, Any]:
    """Errors of OH directions and of Na coordination, of atoms found within 1.0 Å."""
    truth = {species: true_positions(stacks, boxes, species) for species in boxes.species}
    angles, counts = [np.zeros(0)], [np.zeros(0)]
    for sample, one in enumerate(kept):
        position = {species: one.of(species).position for species in boxes.species}
        pairs = {
            species: match(position[species], truth[species][sample], radius=WIDE_RADIUS) for species in boxes.species
        }
        matched = {
            species: (position[species][pairs[species][:, 0]], truth[species][sample][pairs[species][:, 1]])
            for species in boxes.species
        }
        if {"O", "H"} <= matched.keys():
            angles.append(bond_angles(matched["O"], matched["H"]))
        if {"O", "Na"} <= matched.keys():
            near, actual = (
                coordination(matched["Na"][which], oxygen)
                for which, oxygen in enumerate((position["O"], truth["O"][sample]))
            )
            counts.append(near - actual)
    angle, count = np.concatenate(angles), np.concatenate(counts)
    return {
        "oh_angle_error_deg": float(angle.mean()) if angle.size else None,
        "oh_bonds": int(angle.size),
        "na_coordination_error": float(np.abs(count).mean()) if count.size else None,
        "na_ions": int(count.size),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
