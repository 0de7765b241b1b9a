"""Code fingerprints change with what can change a result, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from hydrafm import provenance
from hydrafm.provenance import code_hash, entropy, generator


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the package's source that a test may edit."""
    copy = tmp_path / "hydrafm"
    shutil.copytree(provenance.SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "SOURCE", copy)
    return copy


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_docstrings_comments_and_layout_do_not_count(source: Path) -> None:
    before = code_hash("hydrafm.figures")
    edited(source / "structure.py", '"""Structures as every stage', '"""Some structures as every stage')
    edited(source / "structure.py", "def cut(", "# a comment\n\n\ndef cut(")
    provenance._digest.cache_clear()
    assert code_hash("hydrafm.figures") == before


def test_a_constant_counts_for_those_that_import_it_alone(source: Path) -> None:
    before = {stage: code_hash(f"hydrafm.{stage}") for stage in ("afm", "learn", "figures")}
    edited(source / "figures/structures.py", "MARGIN = 3.0", "MARGIN = 3.5")
    provenance._digest.cache_clear()
    after = {stage: code_hash(f"hydrafm.{stage}") for stage in before}
    assert [stage for stage in before if before[stage] != after[stage]] == ["figures"]


def test_imports_are_followed(source: Path) -> None:
    before = code_hash("hydrafm.figures.examples")
    edited(source / "structure.py", "window.size + margin", "window.size + margin + 0.0")
    provenance._digest.cache_clear()
    assert code_hash("hydrafm.figures.examples") != before


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        code_hash("hydrafm.nowhere")


def test_random_numbers_belong_to_their_names() -> None:
    draws = {entropy(1, "md", 0), entropy(1, "md", 1), entropy(1, "afm", 0), entropy(2, "md", 0)}
    assert len(draws) == 4
    assert generator(1, "md", 0).random() == generator(1, "md", 0).random()
