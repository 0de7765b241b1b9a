"""Where a result comes from: seeds, versions and a fingerprint of the code that made it."""

import ast
import hashlib
import zlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from hydrafm import __version__

SOURCE = Path(__file__).parent


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Make the random generator that belongs to a seed and a name, the same on every machine."""
    return np.random.default_rng(entropy(seed, *names))


def entropy(seed: int, *names: str | int) -> int:
    """Derive one 32-bit seed from the study's seed and a name."""
    words = [seed, *(name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names)]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def stamp(*packages: str) -> dict[str, str]:
    """Name the versions of hydrafm and of the packages that a result depends on."""
    versions = {"hydrafm_version": __version__}
    for package in packages:
        try:
            versions[f"{package}_version"] = version(package)
        except PackageNotFoundError:
            versions[f"{package}_version"] = "absent"
    return versions


def code_hash(*modules: str) -> str:
    """Fingerprint modules or packages of hydrafm and all of hydrafm that they import.

    Comments, docstrings and layout leave it unchanged, so that only an edit which can change a
    result changes it. Packages other than hydrafm are pinned elsewhere and not looked at.

    Parameters
    ----------
    modules : str
        Dotted names, ``hydrafm.afm`` or ``hydrafm.afm.renderer``; a package stands for all its modules.
    """
    seen: dict[Path, str] = {}
    pending = [path for module in modules for path in _files_of(module)]
    if not pending:
        raise ModuleNotFoundError(f"no source of {modules}")
    while pending:
        path = pending.pop()
        if path not in seen:
            seen[path], imported = _digest(path)
            pending += [found for module in imported for found in _file_of(module)]
    lines = sorted(f"{path.relative_to(SOURCE)} {digest}" for path, digest in seen.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _files_of(module: str) -> list[Path]:
    """List the source files of a module, or of a package and everything below it."""
    path = SOURCE.joinpath(*module.split(".")[1:])
    return sorted(path.rglob("*.py")) if path.is_dir() else _file_of(module)


def _file_of(module: str) -> list[Path]:
    """List the one file that an import of `module` runs, or none."""
    path = SOURCE.joinpath(*module.split(".")[1:])
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return [candidate for candidate in candidates if candidate.is_file()]


@cache
def _digest(path: Path) -> tuple[str, tuple[str, ...]]:
    """Hash a file's code without docstrings and list the hydrafm modules it imports."""
    tree = ast.parse(path.read_text())
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)
            imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_docstring(part)]
    own = tuple(sorted(name for name in imported if name.split(".")[0] == "hydrafm"))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), own


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
