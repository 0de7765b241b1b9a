"""Config files joined as the workflow joins them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hydrafm.errors import SettingsError
from hydrafm.settings.study import Study


def read_study(files: Sequence[Path]) -> Study:
    """Read a study from YAML files, each adding to the ones before.

    Raises
    ------
    SettingsError
        In one line: the file or key, what was found and what is allowed.
    """
    merged: dict[str, Any] = {}
    for path in files:
        try:
            content = yaml.safe_load(path.read_text())
        except OSError as error:
            raise SettingsError(f"config file {path}: {error.strerror}") from None
        except yaml.YAMLError as error:
            raise SettingsError(f"config file {path} is not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(content, dict):
            raise SettingsError(f"config file {path}: found {type(content).__name__}; keys and values are expected")
        merged = _merge(merged, content)
    return Study.parse(merged)


def _merge(base: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """Put one mapping over another; mappings within are joined, all else is replaced."""
    merged = dict(base)
    for key, value in update.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
