"""`sepkit info`: what one method promises, from its shipped checkpoint where it has one."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ..checkpoint import CARD_FILE, read_header
from ..errors import CheckpointError, PluginError
from ..registry import SeparatorSummary, check_known, get_separator, list_separators
from ..separator import Separator, SeparatorInfo
from .listing import format_name
from .terminal import print_json, stdout

LONGEST_LIST = 12  # values of a config's list that are shown in full


def show_info(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An installed method, see sepkit list.")],
    card: Annotated[bool, typer.Option("--card", help="Print the model card as well.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Show a method's stems, format, window, weights and licence."""
    check_known(name)
    [summary] = [summary for summary in list_separators() if summary.name == name]
    if summary.error is not None:
        raise PluginError(f"The method {name!r} of {summary.distribution} is broken: {summary.error}")
    facts = _facts(summary)
    if json:
        print_json(facts)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in facts.items():
        table.add_row(f"[bold]{escape(key)}[/]", escape(_words(value)))
    stdout().print(table)
    if card and summary.config_path is not None:
        print()
        print((summary.config_path.parent / CARD_FILE).read_text(encoding="utf-8"))


def _facts(summary: SeparatorSummary) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": summary.name,
        "distribution": f"{summary.distribution} {summary.version}".strip(),
    }
    if summary.config_path is None:  # no checkpoint to read, so the method has to be loaded
        separator = _loaded(summary.name)
        parameters = getattr(getattr(separator, "model", None), "parameters", None)
        counted = {"parameters": parameters} if isinstance(parameters, int) else {}
        return facts | _promise(separator.info) | counted | {"weights": None}
    header = read_header(summary.config_path.parent)
    weights = {
        "parameters": header.weights.parameters,
        "weights_megabytes": round(header.weights.bytes / 1e6, 2),
        "weights_sha256": header.weights.sha256,
        "written_by": header.written_by,
        "checkpoint": str(summary.config_path.parent),
    }
    return facts | _promise(header.info) | weights | {"config": header.config}


def _loaded(name: str) -> Separator:
    try:
        return get_separator(name)
    except (
        CheckpointError
    ):  # without a checkpoint some methods only load with random weights; their promise is the same
        return get_separator(name, untrained=True)


def _promise(info: SeparatorInfo) -> dict[str, Any]:
    def seconds(samples: int | None) -> float | None:
        return None if samples is None else round(samples / info.sample_rate, 4)

    return {
        "stems": list(info.stems),
        "format": format_name(info.sample_rate, info.channels),
        "sample_rate": info.sample_rate,
        "channels": info.channels,
        "window_seconds": seconds(info.window_samples),
        "overlap_seconds": seconds(info.overlap_samples),
        "kind": info.kind,
        "trained": info.trained,
        "extra_training_data": info.extra_training_data,
        "random": info.random,
        "sums_to_mixture": info.sums_to_mixture,
        "licence": info.licence,
    }


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}={_shortened(inner)}" for key, inner in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def _shortened(value: Any) -> Any:
    """The same without the middles of long lists: a codec's measured scales would fill pages. `--json` has them all."""
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    if isinstance(value, list) and len(value) > LONGEST_LIST:
        return f"[{_shortened(value[0])}, … {len(value)} values]"
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    return value
