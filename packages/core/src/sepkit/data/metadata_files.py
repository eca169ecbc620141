"""The metadata files of datasets, YAML and JSON, as plain values; one that is damaged is an error with its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import DatasetError, MissingExtraError


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises DatasetError, or MissingExtraError without PyYAML."""
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("pyyaml", "data", f"reading {path.name}") from error
    try:  # the C loader is ten times as fast, and Slakh has 2100 such files
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _unreadable(path, error) from error
    return _mapping(path, value)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object. Raises DatasetError."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return _mapping(path, value)


def _mapping(path: Path, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DatasetError(f"{path} holds {type(value).__name__}, and a mapping was wanted: get the file again.")
    return value


def _unreadable(path: Path, error: Exception) -> DatasetError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DatasetError(f"{path} cannot be read ({reason}): get the file again.")
