"""What every settings model shares: strictness, reading, and one-line errors."""

import json
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, ValidationError

from hydrafm.errors import SettingsError


class Settings(BaseModel):
    """A frozen set of settings; an unknown key or an impossible value is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True)

    @classmethod
    def parse(cls, source: str | Path | dict[str, Any]) -> Self:
        """Read settings from a mapping, a JSON text or the path of a JSON file.

        Raises
        ------
        SettingsError
            In one line: the key, what was found and what is allowed.
        """
        if isinstance(source, Path) or (isinstance(source, str) and not source.lstrip().startswith("{")):
            try:
                source = Path(source).read_text()
            except OSError as error:
                raise SettingsError(f"settings file {source}: {error.strerror}") from None
        if isinstance(source, str):
            try:
                source = json.loads(source)
            except json.JSONDecodeError as error:
                raise SettingsError(f"settings are not JSON: {error}") from None
        try:
            return cls.model_validate(source)
        except ValidationError as error:
            raise SettingsError(explain(error, cls)) from None


def _ascending(value: object) -> object:
    """Let one number stand for a range without width, and refuse a descending one."""
    if isinstance(value, int | float):
        return (value, value)
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] > value[1]:
        raise ValueError(f"a range ascends, [low, high]; {list(value)} does not")
    return value


Range = Annotated[tuple[float, float], BeforeValidator(_ascending)]
"""[low, high]: a value is drawn between the two for each structure; one number fixes it."""

Counts = Annotated[tuple[NonNegativeInt, NonNegativeInt], BeforeValidator(_ascending)]
"""[least, most], both included."""


def quantity(default: Any, unit: str, description: str, **bounds: Any) -> Any:
    """Declare a setting with its unit, so that errors and the reference can name it."""
    return Field(default, description=description, json_schema_extra={"unit": unit}, **bounds)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Tell a validation error in one line: each key, what was found, what is allowed."""
    return "; ".join(_explain_one(entry, model) for entry in error.errors())


def _explain_one(entry: Any, model: type[BaseModel]) -> str:
    location = entry["loc"]
    key = ".".join(str(part) for part in location) or "settings"
    message = entry["msg"].removeprefix("Value error, ")
    if entry["type"] == "extra_forbidden":
        siblings = _model_at(location[:-1], model)
        allowed = f"; allowed here: {', '.join(siblings.model_fields)}" if siblings else ""
        return f"{key}: unknown key{allowed}"
    if entry["type"] == "missing":
        return f"{key}: required, but not given"
    if entry["type"] == "value_error":
        return f"{key}: {message}" if location else message
    return f"{key}: found {entry['input']!r}{_unit_at(location, model)}; {message[0].lower()}{message[1:]}"


def _model_at(location: tuple[int | str, ...], model: type[BaseModel]) -> type[BaseModel] | None:
    """Find the model that a location in the settings belongs to, through fields and mappings."""
    annotation: Any = model
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if part not in annotation.model_fields:
                return None
            annotation = annotation.model_fields[str(part)].annotation
        else:
            annotation = get_args(annotation)[-1] if get_args(annotation) else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _unit_at(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Name the unit of the innermost field of a location, with a space before it."""
    for end in range(len(location), 0, -1):
        parent = _model_at(location[: end - 1], model)
        if parent and location[end - 1] in parent.model_fields:
            extra = parent.model_fields[str(location[end - 1])].json_schema_extra
            return f" {extra['unit']}" if isinstance(extra, dict) and "unit" in extra else ""
    return ""
