"""Names of output files from templates such as `{model}/{track}/{stem}.{ext}`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Formatter

from .errors import OptionError, nearest

_SEPARATORS = str.maketrans({"/": "_", "\\": "_", "\0": "_"})


def fill_template(template: str, fields: Mapping[str, str]) -> Path:
    """The relative path that `template` gives with `fields`; separators within a field become underscores.

    Raises OptionError for an unknown or malformed field and for a path that would leave the output folder.
    """
    safe = {name: str(value).translate(_SEPARATORS) for name, value in fields.items()}
    try:
        names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
        filled = template.format_map(dict.fromkeys(names, "") | safe)
    except (ValueError, LookupError, AttributeError) as error:
        raise OptionError(
            f"the file name template {template!r} is malformed ({error}): write it like '{{track}}/{{stem}}.{{ext}}'."
        ) from error
    unknown = [name for name in names if name not in fields]
    if unknown:
        raise OptionError(f"the file name template {template!r} has {{{unknown[0]}}}: {nearest(unknown[0], fields)}")
    path = Path(filled)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise OptionError(
            f"the file name template {template!r} gives {str(path)!r}, which is outside the output folder."
        )
    return path
