"""Bad settings are refused in one line that names the key and what is allowed."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from hydrafm.errors import SettingsError
from hydrafm.settings.merge import read_study
from hydrafm.settings.study import Study

ROOT = Path(__file__).parents[1]
SPLITS = {name: {"replicas": 2, "frames": 3} for name in ("train", "validation", "test")}
SOUND: dict[str, Any] = {
    "systems": {"film": {"composition": {"waters": [8, 20]}, "splits": SPLITS}},
    "learn": {"sweep": {"source": "film", "target": "film", "n_train": [2, 6]}},
}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("systems.film.foo", 1, ["systems.film.foo", "unknown key", "shard"]),
        ("scan.pixls", 1, ["scan.pixls", "unknown key", "pixels"]),
        ("systems.film.md.timestep", -1, ["systems.film.md.timestep", "-1 fs", "greater than 0"]),
        ("systems.film.md.temperature", [300, 250], ["systems.film.md.temperature", "[300, 250]", "ascends"]),
        ("systems.film.md.temperature", 4000, ["systems.film.md", "4000", "500 K"]),
        ("systems.film.composition.ions", {"Xx": 1}, ["systems.film.composition.ions.Xx", "'Na'"]),
        ("systems.film.md.cutoff", 15, ["systems.film", "15 Å", "half of the cell's shortest side", "lower md.cutoff"]),
        ("systems.film.composition.waters", [8, 900], ["systems.film", "900", "bilayers", "lower composition.waters"]),
        ("tip.amplitude", 50, ["amplitude", "50", "0.01 to 5 Å"]),
        ("systems.film.potential.plane_height", 2.95, ["scan.lowest", "2.9 Å", "2.95 Å", "systems.film.potential"]),
        ("scan.size", "wide", ["scan.size", "'wide' Å", "valid number"]),
        ("scan.pixels", 50, ["scan.pixels", "50", "multiples of 32"]),
        ("learn.sweep.n_train", [2, 60], ["learn.sweep.n_train", "60", "up to 6", "systems.film.splits.train"]),
        ("learn.sweep.n_train", [6, 2], ["learn.sweep", "n_train", "ascending"]),
        ("learn.sweep.target", "ice", ["learn.sweep.target", "'ice'", "allowed: film"]),
        ("learn.network.slices", 100, ["learn.network.slices", "100", "up to 20"]),
        ("seed", -1, ["seed", "-1", "greater than or equal to 0"]),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(path: str, value: object, words: list[str]) -> None:
    config = deepcopy(SOUND)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = value
    with pytest.raises(SettingsError) as caught:
        Study.parse(config)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_missing_part_is_named() -> None:
    config = deepcopy(SOUND)
    del config["systems"]["film"]["splits"]["test"]
    with pytest.raises(SettingsError, match=r"systems\.film\.splits\.test: required"):
        Study.parse(config)


@pytest.mark.parametrize("size", [(), ("laptop",), ("demo",)])
def test_the_shipped_configs_are_sound(size: tuple[str, ...]) -> None:
    read_study([ROOT / "config" / f"{name}.yaml" for name in ("config", *size)])


def test_the_paper_is_the_default() -> None:
    study = read_study([ROOT / "config/config.yaml"])
    target = study.systems[study.learn.sweep.target]
    assert study.learn.sweep.n_train == (100, 200, 500, 1000, 2000, 5000, 10000)
    assert target.splits.test.structures == 500
    assert target.splits.train.structures >= 10000
    assert study.learn.sweep.seeds == 3
    assert target.potential.method == "gpaw"


def test_no_replica_belongs_to_two_splits() -> None:
    splits = read_study([ROOT / "config/config.yaml"]).systems["na_hydrate_au111"].splits
    numbers = [number for name in ("train", "validation", "test") for number in splits.replica_numbers(name)]
    assert len(numbers) == len(set(numbers)) == 575


def test_config_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [1")
    (tmp_path / "text.yaml").write_text("just words")
    for name, words in (("absent.yaml", "No such file"), ("broken.yaml", "not YAML"), ("text.yaml", "found str")):
        with pytest.raises(SettingsError, match=words):
            read_study([tmp_path / name])


def test_every_number_with_a_dimension_states_its_unit() -> None:
    """Numbers without a unit in the reference are counts, ratios, or described as such."""
    reference = (ROOT / "config/README.md").read_text()
    dimensionless = {"learning_rate", "weight_decay", "positive_weight", "offset_weight"}
    for line in reference.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 7 and "." in cells[2] and cells[2].replace(".", "").isdigit():
            assert cells[3] or cells[1].strip("`") in dimensionless, line
