"""Parameter models: the one source of CLI options, TOML keys, forms and doc tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_dps.core.errors import InputError
from napari_dps.core.text import quoted

M = TypeVar("M", bound=BaseModel)


class FrozenModel(BaseModel):
    """Values of a recipe, of settings, of a stage: frozen, finite, no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StageParameters(FrozenModel):
    """Base of every stage's parameters.

    Each field carries ``title``, ``description``, limits, and its unit as
    ``json_schema_extra={"unit": "px"}``. A text that may name a file carries the
    patterns of its name and the words that may stand for one:
    ``{"file": "*.json *.toml", "words": ["auto", "none"]}``. One that most people need
    is ``{"basic": True}``.
    """


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """What a command line, a form or a table needs to know about one parameter."""

    name: str
    title: str
    description: str
    unit: str
    default: Any
    kind: type
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    file: str = ""
    words: tuple[str, ...] = ()
    is_basic: bool = False
    example: Any = None

    @property
    def allowed(self) -> str:
        """The values allowed, in words."""
        if self.choices:
            return ", ".join(self.choices)
        if self.kind is bool:
            return "true, false"
        if self.file:
            return ", ".join((*self.words, f"a file ({self.file})"))
        if self.minimum is None and self.maximum is None:
            return f"any {self.kind.__name__}"
        low = "" if self.minimum is None else f"{self.minimum:g}"
        high = "" if self.maximum is None else f"{self.maximum:g}"
        return f"{low} to {high} {self.unit}".strip()


def describe(model: type[BaseModel]) -> Iterator[ParameterInfo]:
    """List the parameters of a model, in the order of their definition.

    Parameters
    ----------
    model : type of BaseModel
        Fields may be ``bool``, ``int``, ``float``, ``str`` or ``Literal`` of strings.

    Yields
    ------
    ParameterInfo
    """
    for name, field in model.model_fields.items():
        annotation = field.annotation
        choices: tuple[str, ...] = ()
        if get_origin(annotation) is Literal:
            choices, annotation = get_args(annotation), str
        limits = {
            key: getattr(rule, key)
            for rule in field.metadata
            for key in ("ge", "gt", "le", "lt")
            if hasattr(rule, key)
        }
        schema = field.json_schema_extra
        extra: Mapping[str, Any] = schema if isinstance(schema, dict) else {}
        yield ParameterInfo(
            name=name,
            title=field.title or name,
            description=field.description or "",
            unit=str(extra.get("unit", "")),
            default=field.default,
            kind=annotation if isinstance(annotation, type) else str,
            choices=choices,
            minimum=limits.get("ge", limits.get("gt")),
            maximum=limits.get("le", limits.get("lt")),
            file=str(extra.get("file", "")),
            words=tuple(extra.get("words", ())),
            is_basic=bool(extra.get("basic", False)),
            example=next(iter(field.examples or ()), None),
        )


def parse(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """Build a parameter model from untrusted values.

    Parameters
    ----------
    model : type of BaseModel
        The model to build.
    values : mapping
        Names and values, from a command line, a TOML file or a form.
    where : str
        The place to name in an error ("background", "optics").

    Returns
    -------
    BaseModel

    Raises
    ------
    InputError
        Naming the first value that is wrong, what came and what is allowed.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in (where, *first["loc"]) if part != "")
        if first["type"] == "extra_forbidden":
            raise InputError(
                f"{name} is not a parameter",
                allowed=", ".join(model.model_fields),
            ) from error
        if first["type"] == "missing":
            raise InputError(f"{name} is missing", field=name) from error
        reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if first["type"] == "value_error":
            raise InputError(f"{name}: {reason}", field=name) from error
        info = {info.name: info for info in describe(model)}.get(name.split(".")[-1])
        allowed = info.allowed if info else reason
        got = quoted(first["input"])
        raise InputError(got=got, allowed=allowed, field=name) from error
