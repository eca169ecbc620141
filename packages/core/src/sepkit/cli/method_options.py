"""`-O key=value`: options of one method, as the user types them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable
from typing import Any

from ..errors import OptionError
from ..registry import get_separator

SPELLINGS = {"batch_windows": "--batch", "segment_seconds": "--segment"}
"""Where the flag of a host setting is not simply its name."""


def parse_options(given: Iterable[str]) -> dict[str, Any]:
    """Turn `["steps=20", "preset=paper"]` into `{"steps": 20, "preset": "paper"}`: JSON values, else plain strings.

    Raises OptionError for a missing `=`, a key given twice and a key that has a flag of its own.
    """
    parsed: dict[str, Any] = {}
    reserved = {
        name: SPELLINGS.get(name, f"--{name}")
        for name, parameter in inspect.signature(get_separator).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    for text in given:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise OptionError(f"-O {text!r} is not key=value; write for example -O steps=20.")
        if key in reserved or key == "name":
            raise OptionError(f"-O {text!r}: {key!r} is no option of the method; use {reserved.get(key, '--model')}.")
        if key in parsed:
            raise OptionError(f"-O {key} is given twice, as {parsed[key]!r} and {value!r}; keep one.")
        parsed[key] = _value(value)
    return parsed


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
