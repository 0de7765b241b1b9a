"""Copies of the workflow, without results and with those of the tiny study."""

from pathlib import Path

import pytest
from checkouts import Checkout, check_out


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """Give a copy without results."""
    return check_out(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Give a copy in which the tiny study has run to its end."""
    copy = check_out(tmp_path_factory.mktemp("finished"))
    result = copy.snakemake()
    assert result.returncode == 0, result.stdout[-8000:]
    return copy
