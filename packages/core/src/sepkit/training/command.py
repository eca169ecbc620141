"""The command line of a method's training: a preset or a JSON file, data, and overrides of single settings."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..config import Frozen, validated
from ..errors import OptionError, SepkitError, nearest
from ..partial_files import write_text
from .loop import FitResult
from .processes import is_main, process_name

C = TypeVar("C", bound=Frozen)


Train = Callable[..., FitResult]
"""`train(config, out, *, stop_after=None)` leaves its best checkpoint in `out/best`; a run that was stopped goes on."""


def run_training(
    prog: str,
    description: str | None,
    presets: Mapping[str, C],
    train: Train,
    given: Sequence[str] | None = None,
) -> int:
    """Run the command line and return its exit code.

    A config has the sections `data` (with `sources`, `shares`, `cache`) and `fit`, and `validation` (dataset specs).
    """
    arguments = _parser(prog, description, presets).parse_args(given)
    try:
        config = load_settings(arguments.config, presets, arguments)
        result = train(config, arguments.out, stop_after=arguments.stop_after)
    except SepkitError as error:
        print(f"error{process_name()}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if not is_main():
        return 0
    best = f"best {result.best_score} at step {result.best_step}"
    print(f"step {result.step}; {best}; checkpoint in {arguments.out / 'best'}")
    return 0


def record_settings(config: Frozen, out: Path) -> None:
    """Write the settings of a run to `out/config.json`."""
    if is_main():
        write_text(out / "config.json", config.model_dump_json(indent=2) + "\n")


def load_settings(name: str, presets: Mapping[str, C], arguments: argparse.Namespace) -> C:
    """A preset's name or a JSON file, with the command line's sources, validation and overrides `section.key=value`.

    Raises OptionError for an unknown preset, an unreadable file, or a setting that does not exist or does not fit.
    """
    if name in presets:
        values = presets[name].model_dump()
    elif Path(name).suffix == ".json":
        values = _file_content(Path(name))
    else:
        raise OptionError(f"--config {name!r} is neither a JSON file nor a preset: {nearest(name, presets)}")
    for assignment in arguments.set:
        _assign(values, assignment)
    if arguments.source:
        values["data"]["sources"] = tuple(arguments.source)
    if arguments.share:
        values["data"]["shares"] = tuple(arguments.share)
    if arguments.valid:
        values["validation"] = tuple(arguments.valid)
    if arguments.cache:
        values["data"]["cache"] = arguments.cache
    return validated(type(next(iter(presets.values()))), values, f"--config {name}")


def _parser(prog: str, description: str | None, presets: Mapping[str, Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", required=True, help=f"a JSON file, or one of {', '.join(presets)}")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder; an interrupted run in it goes on")
    parser.add_argument(
        "--source", action="append", default=[], help="training data, e.g. folder:PATH; may be repeated"
    )
    parser.add_argument("--share", action="append", type=float, default=[], help="how often each source is drawn")
    parser.add_argument(
        "--valid", action="append", default=[], help="validation data, e.g. folder:PATH; may be repeated"
    )
    parser.add_argument("--cache", help="folder of decoded audio")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="e.g. fit.steps=1000")
    parser.add_argument("--stop-after", type=int, help="stop after this step, with the state saved")
    return parser


def _file_content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = {"data": {"sources": ()}} | json.loads(path.read_text())
    except (OSError, ValueError, TypeError) as error:
        raise OptionError(f"--config {path} cannot be read as a JSON object: {error}.") from error
    return content


def _assign(values: dict[str, Any], assignment: str) -> None:
    """Put `section.key=value` into nested settings; a key that is unknown is the validation's to name."""
    key, equals, text = assignment.partition("=")
    *sections, last = key.split(".")
    for section in sections:
        if not isinstance(values.get(section), dict):
            known = [name for name, value in values.items() if isinstance(value, dict)]
            raise OptionError(f"--set {assignment}: there is no section {section!r}: {nearest(section, known)}")
        values = values[section]
    if not equals:
        raise OptionError(f"--set {assignment} has no value; write for example --set fit.steps=1000.")
    values[last] = _parsed(text)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
