import numpy as np
import pytest
from ase.data import atomic_numbers

from hydrafm.learn.boxes import Boxes, Found
from hydrafm.learn.data import Stacks
from hydrafm.learn.evaluation import accepted, accuracy, calibration, calibration_error, choose_thresholds, evaluate
from hydrafm.learn.geometry import bond_angles, coordination

BOXES = Boxes(("H", "O", "Na"), size=12.0, depth=3.0, cells=16, depth_cells=4)
HALF = {"H": 0.5, "O": 0.5, "Na": 0.5}


def water(x: float, y: float) -> list[tuple[str, list[float]]]:
    """A flat molecule: bonds of 1 Å along x and y."""
    return [("O", [x, y, -0.5]), ("H", [x + 1, y, -0.5]), ("H", [x, y + 1, -0.5])]


def stacks_of(*structures: list[tuple[str, list[float]]]) -> Stacks:
    length = max(len(structure) for structure in structures)
    number = np.zeros((len(structures), length), dtype=np.int64)
    position = np.zeros((len(structures), length, 3))
    for sample, structure in enumerate(structures):
        for atom, (symbol, place) in enumerate(structure):
            number[sample, atom], position[sample, atom] = atomic_numbers[symbol], place
    image = np.zeros((len(structures), 1, 16, 16), dtype=np.float32)
    return Stacks(image, number, position, np.arange(len(structures)), 12.0, ("hand",))


STACKS = stacks_of([*water(2, 2), ("Na", [4, 4, -0.2])], [*water(6, 6), *water(2, 8), ("O", [5, 5, -3.5])])


def truth(shift: float = 0.0, confidence: float = 1.0) -> list[Found]:
    result = []
    for sample in range(len(STACKS)):
        number, position = STACKS.atoms(sample, BOXES)
        moved = position + np.array([0, 0, shift])
        result.append(Found(number, moved, np.full(len(number), confidence)))
    return result


NOTHING = [Found(np.zeros(0, dtype=np.int64), np.zeros((0, 3)), np.zeros(0))] * 2


def rows(found: list[Found]) -> dict[tuple[str, str], dict]:
    return {(row["species"], row["radius"]): row for row in evaluate(found, STACKS, BOXES, HALF)["accuracy"]}


def test_the_truth_itself_is_perfect_and_atoms_below_the_box_do_not_count():
    result = rows(truth())
    assert all(row["accuracy"] == row["precision"] == row["recall"] == row["f1"] == 1 for row in result.values())
    assert all(row["rmsd_A"] == 0 for row in result.values())
    assert {key[0]: row["true_positive"] for key, row in result.items()} == {"H": 6, "O": 3, "Na": 1}


def test_finding_nothing_scores_zero_without_dividing_by_it():
    for row in rows(NOTHING).values():
        assert row["accuracy"] == row["recall"] == row["f1"] == 0
        assert row["precision"] is None
        assert row["rmsd_A"] is None


def test_a_shift_between_the_radii_fails_the_strict_one_only():
    """0.6 Å is within 0.74 Å (O, Na) and 1.0 Å, not within 0.528 Å (H)."""
    result = rows(truth(shift=0.6))
    assert [result[species, "strict"]["accuracy"] for species in ("H", "O", "Na")] == [0, 1, 1]
    assert result["O", "1.0"]["rmsd_A"] == pytest.approx(0.6)
    assert all(result[species, "1.0"]["accuracy"] == 1 for species in ("H", "O", "Na"))


def test_rates_are_pooled_over_samples():
    """Sample 1: 1 of 1 found; sample 2: 1 of 3 found and 2 wrong. Pooled 2/(2 + 2 + 2), not the mean of rates."""
    here, away = np.zeros((1, 3)), np.full((2, 3), 50.0) + np.arange(2)[:, None] * 10
    found = [here, np.concatenate([here, away])]
    atoms = [here, np.concatenate([here, -away])]
    result = accuracy(found, atoms, radius=1.0)
    assert (result["true_positive"], result["false_positive"], result["false_negative"]) == (2, 2, 2)
    assert result["accuracy"] == pytest.approx(1 / 3)
    assert result["precision"] == result["recall"] == result["f1"] == pytest.approx(1 / 2)


def test_two_detections_of_one_atom_are_one_hit_and_one_miss():
    result = accuracy([np.array([[0.0, 0, 0], [0.1, 0, 0]])], [np.zeros((1, 3))], radius=1.0)
    assert (result["true_positive"], result["false_positive"]) == (1, 1)


def test_detections_below_their_species_threshold_do_not_count():
    kept = accepted(truth(confidence=0.6), {"H": 0.7, "O": 0.6, "Na": 0.1})
    assert sorted(set(np.concatenate([one.number for one in kept]).tolist())) == [8, 11]


def test_the_threshold_lies_between_right_and_wrong_detections():
    """True atoms at 0.35, false ones at 0.15: 0.2 and 0.3 are perfect, the nearer to 0.5 is taken."""
    found = []
    for one in truth(confidence=0.35):
        wrong = Found(one.number, one.position + np.array([0, 0, 40.0]), np.full(len(one.number), 0.15))
        found.append(
            Found(
                np.concatenate([one.number, wrong.number]),
                np.concatenate([one.position, wrong.position]),
                np.concatenate([one.confidence, wrong.confidence]),
            )
        )
    assert choose_thresholds(found, STACKS, BOXES, BOXES.species) == pytest.approx({"H": 0.3, "O": 0.3, "Na": 0.3})


def test_a_species_that_the_validation_set_lacks_keeps_one_half():
    without = stacks_of(water(2, 2))
    assert choose_thresholds(NOTHING[:1], without, BOXES, ["Na"])["Na"] == 0.5


def test_a_species_that_was_never_taught_is_not_looked_for():
    """An untrained head guesses; its guesses count neither as detections nor in the calibration."""
    assert "Na" not in choose_thresholds(truth(), STACKS, BOXES, ["H", "O"])
    result = evaluate(truth(), STACKS, BOXES, {"H": 0.5, "O": 0.5})
    sodium = next(row for row in result["accuracy"] if row["species"] == "Na")
    assert (sodium["true_positive"], sodium["false_positive"], sodium["threshold"]) == (0, 0, None)
    assert result["ece"]["Na"] is None


def test_a_calibrated_predictor_has_no_calibration_error():
    random = np.random.default_rng(0)
    confidence = random.random(200_000)
    right = random.random(200_000) < confidence
    curve = calibration(confidence, right)
    assert len(curve) == 10
    assert sum(bin_["count"] for bin_ in curve) == 200_000
    assert calibration_error(curve) < 0.005


def test_an_overconfident_predictor_errs_by_its_excess():
    confidence = np.full(1000, 0.95)
    right = np.arange(1000) < 600
    assert calibration_error(calibration(confidence, right)) == pytest.approx(0.35)
    assert calibration_error([]) is None


def test_certain_and_right_detections_are_calibrated():
    result = evaluate(truth(), STACKS, BOXES, HALF)
    assert result["ece"] == {"H": 0, "O": 0, "Na": 0}
    assert result["n_test"] == 2


def test_a_bond_turned_by_thirty_degrees_errs_by_thirty_degrees():
    oxygen, hydrogen = np.zeros((1, 3)), np.array([[1.0, 0, 0]])
    turned = np.array([[np.cos(np.pi / 6), np.sin(np.pi / 6), 0]])
    np.testing.assert_allclose(bond_angles((oxygen, oxygen), (turned, hydrogen)), [30.0])


def test_a_hydrogen_bond_is_no_bond():
    assert bond_angles((np.zeros((1, 3)),) * 2, (np.array([[1.8, 0, 0]]),) * 2).size == 0


def test_geometry_of_the_truth_has_no_error():
    geometry = evaluate(truth(), STACKS, BOXES, HALF)["geometry"]
    assert geometry["oh_bonds"] == 6
    assert geometry["oh_angle_error_deg"] == pytest.approx(0, abs=1e-5)
    assert (geometry["na_ions"], geometry["na_coordination_error"]) == (1, 0)


def test_an_octahedron_has_six_neighbours():
    octahedron = 2.4 * np.concatenate([np.eye(3), -np.eye(3)])
    far = np.array([[4.0, 0, 0]])
    assert coordination(np.zeros((1, 3)), np.concatenate([octahedron, far])).tolist() == [6]
