"""The repository keeps its own rules: clean under its tools, one lock, envs that agree with it."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from rattler import MatchSpec, Version
from typer.main import get_command
from typer.testing import CliRunner

from hydrafm.cli import app

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch": "torch"}


@pytest.mark.parametrize(
    "command",
    ["ruff check .", "ruff format --check .", "snakefmt --check Snakefile workflow", "mypy", "snakemake --lint"],
)
def test_the_tools_find_nothing(command: str) -> None:
    result = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def locked_versions() -> dict[str, str]:
    lock = (ROOT / "requirements.lock").read_text()
    pins = dict(re.findall(r"^([a-zA-Z0-9_.-]+)==([^ \\]+)", lock, flags=re.MULTILINE))
    torch = re.search(r'"torch==([^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert torch
    return {**pins, "torch": torch[1]}


def test_every_locked_package_has_hashes_and_none_an_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"^(?=[a-zA-Z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"https?:|index-url|find-links|file:", lock)


def test_run_installs_the_torch_that_the_package_asks_for() -> None:
    assert f"torch_version={locked_versions()['torch']}\n" in (ROOT / "run").read_text()


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "envs").glob("*.yaml")), ROOT / "environment.yml"], ids=lambda p: p.name
)
def test_each_conda_environment_agrees_with_the_lock(path: Path) -> None:
    """Parsed, not solved: no conda channel is asked."""
    locked = locked_versions()
    for line in yaml.safe_load(path.read_text())["dependencies"]:
        spec = MatchSpec(line)
        assert spec.name is not None
        name = spec.name.normalized
        if name in ("python", "pip", "setuptools"):
            continue
        version = Version(locked[CONDA_NAMES.get(name, name)])
        assert spec.version is not None, f"{line} is not pinned"
        assert MatchSpec(f"{name} ={version}").version == spec.version, f"{line}: the lock has {version}"


def test_the_settings_reference_is_up_to_date() -> None:
    result = CliRunner().invoke(app, ["config", "reference"])
    assert result.stdout == (ROOT / "config/README.md").read_text(), "run: hydrafm config reference > config/README.md"


def commands() -> list[list[str]]:
    groups = get_command(app).commands  # type: ignore[attr-defined]
    return [[group, name] for group, inner in groups.items() for name in inner.commands]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_each_command_shows_an_example(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Example: hydrafm" in result.stdout


def test_a_user_error_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = subprocess.run(
        ["hydrafm", "figures", "structures", "absent.extxyz", "--out", str(tmp_path / "a.svg")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "hydrafm: there is no structure file absent.extxyz\n"
    assert not list(tmp_path.iterdir())


def test_the_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    run = (ROOT / "run").read_text()
    for name in re.findall(r"^\./run (\w+)", readme, flags=re.MULTILINE):
        assert re.search(rf"^ +{name}\) ", run, flags=re.MULTILINE), name
    for path in re.findall(r"\((\w[^)]*\.(?:md|cff)|LICENSE)\)", readme) + re.findall(r"config/\w+\.yaml", readme):
        assert (ROOT / path).is_file(), path
