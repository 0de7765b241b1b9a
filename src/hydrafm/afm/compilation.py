"""Machine code of the renderer, compiled at first use and kept."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


SOURCES = ("compilation", "interactions", "kernel", "far_field")
"""Modules with something compiled in them."""


def _folder() -> Path:
    """Name a folder after the sources: numba itself would not notice a change in a module that another one uses."""
    here = Path(__file__).parent
    sources = b"\0".join((here / f"{name}.py").read_bytes() for name in SOURCES)
    return here / "__pycache__" / f"compiled-{hashlib.sha256(sources).hexdigest()[:12]}"


FOLDER = _folder()


OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    # The sums over atoms run on vector units; nothing here relies on infinities.
    "fastmath": True,
    # Counting references to arrays would take as long as the arithmetic: so compiled functions make no arrays.
    "_nrt": False,
}


def _compile(function: Function, *, inline: bool) -> Function:
    """Compile a function; type checkers wrapped around it are taken off first."""
    settings: Any = numba.config
    kept = settings.CACHE_DIR
    settings.CACHE_DIR = kept or str(FOLDER)
    try:
        made = numba.njit(forceinline=inline, **OPTIONS)(inspect.unwrap(function))
    finally:
        settings.CACHE_DIR = kept
    return cast(Function, made)


def compiled(function: Function) -> Function:
    """Compile a function that Python calls.

    The machine code is kept beside the package, in NUMBA_CACHE_DIR if that is set, or in the user's
    cache where the package cannot be written to.
    """
    return _compile(function, inline=False)


def inlined(function: Function) -> Function:
    """Compile a function into those that call it: arguments of many arrays are dear to hand over."""
    return _compile(function, inline=True)


def real(value: float, like: Any) -> Any:  # noqa: ARG001 -- its type counts where this is compiled
    """Give a number the precision of a variable, so that single precision stays single."""
    return value


@numba.extending.overload(real, strict=False)  # type checkers wrapped around it change its signature
def _real(value: Any, like: Any) -> Any:  # noqa: ARG001
    kind = like
    return lambda value, like: kind(value)  # noqa: ARG005
