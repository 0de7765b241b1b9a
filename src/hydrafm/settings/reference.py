"""The reference of all settings, written from the models themselves."""

from collections.abc import Iterator
from dataclasses import astuple
from types import NoneType
from typing import Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hydrafm.settings.study import Study


def reference() -> str:
    """Write every setting of a study as Markdown: a table for each group of keys."""
    return "\n".join(_section(Study, "", {Study}))


def _section(model: type[BaseModel], path: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    title = f"`{path.removesuffix('.')}`" if path else "The study"
    summary = (model.__doc__ or "").splitlines()[0]
    yield f"## {title}\n\n{summary}\n\n| key | default | unit | allowed | is |\n|---|---|---|---|---|"
    nested: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        inner, suffix = _inner_model(field.annotation)
        if inner is None:
            yield f"| `{name}` | {_default(field)} | {_unit(field)} | {_allowed(field)} | {field.description or ''} |"
        else:
            nested.append((inner, f"{path}{name}{suffix}."))
    yield ""
    for inner, deeper in nested:
        if inner in seen:
            yield f"## `{deeper.removesuffix('.')}`\n\nThe same keys as above ({inner.__name__}).\n"
        else:
            seen.add(inner)
            yield from _section(inner, deeper, seen)


def _inner_model(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Find the settings model that a field holds, directly or as the values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    if get_origin(annotation) is dict:
        value = get_args(annotation)[1]
        if isinstance(value, type) and issubclass(value, BaseModel):
            return value, ".{name}"
    return None, ""


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, tuple):
        return str(list(value))
    return "null" if value is None else str(value)


def _unit(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def _allowed(field: FieldInfo) -> str:
    symbols = {Gt: ">", Ge: "≥", Lt: "<", Le: "≤"}
    limits = [f"{symbols[type(limit)]} {astuple(limit)[0]:g}" for limit in field.metadata if type(limit) in symbols]
    if any(isinstance(entry, BeforeValidator) for entry in field.metadata):
        return "[low, high]"
    return ", ".join(limits) or _type_in_words(field.annotation)


def _type_in_words(annotation: Any) -> str:
    arguments = [argument for argument in get_args(annotation) if argument is not NoneType]
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return ", ".join(arguments)
    if get_origin(annotation) is tuple:
        return "a list" if arguments[-1] is Ellipsis else f"{len(arguments)} numbers"
    if get_origin(annotation) is dict:
        return "a mapping"
    return {int: "whole number", float: "number", str: "text", bool: "true, false"}.get(annotation, "")
