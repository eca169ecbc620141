"""Frozen settings: values that can be printed, compared, saved and validated with a helpful error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import OptionError, nearest

T = TypeVar("T", bound="Frozen")


class Frozen(BaseModel):
    """Base of every settings value: immutable, hashable where its fields are, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def validated(kind: type[T], values: Mapping[str, Any], what: str) -> T:
    """Build `kind` from `values`.

    Raises OptionError that names `what`, the offending field, its value and the nearest known name.
    """
    unknown = [name for name in values if name not in kind.model_fields]
    if unknown:
        raise OptionError(f"{what} has no option {unknown[0]!r}: {nearest(unknown[0], kind.model_fields)}")
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "value"
        raise OptionError(f"{what}: option {field!r} was given {first.get('input')!r}: {first['msg']}.") from error
