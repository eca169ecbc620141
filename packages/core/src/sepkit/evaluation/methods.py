"""What can be evaluated: installed methods and reference points, by name, without importing any of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from .. import __version__
from ..checkpoint import file_sha256
from ..config import Frozen
from ..errors import UnknownNameError, nearest
from ..registry import SeparatorSummary, list_separators, local_checkpoint
from .reference_points import ORACLES, REFERENCE_POINTS
from .score import MethodFacts

BY_NAME_ONLY = ("silence", "ensemble")
"""What groups leave out: the score of silence is known beforehand, and an ensemble is made of what is there already."""


class Method(Frozen):
    """One thing to evaluate: an installed method by name, a reference point, or any factory.

    `factory` ("package.module:function") builds a Separator in the method's own process, with `options`; None asks the
    registry. `facts` are those known without building it, and so are `stems`; None: not known.
    """

    name: str
    factory: str | None = None
    checkpoint: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    facts: MethodFacts = MethodFacts()
    stems: tuple[str, ...] | None = None

    @property
    def is_reference_point(self) -> bool:
        return self.factory is None and self.name in REFERENCE_POINTS

    @property
    def is_oracle(self) -> bool:
        """Whether it is a reference point that looks at the truths of all stems."""
        return self.is_reference_point and self.name in ORACLES


def available_methods() -> dict[str, Method]:
    """Every installed method, then every reference point."""
    installed = {
        summary.name: Method(name=summary.name, facts=_facts(summary), stems=summary.stems)
        for summary in list_separators()
    }
    known = {
        name: MethodFacts(
            kind=point.kind,
            parameters=0,
            weights_megabytes=0.0,
            network_calls=0,
            extra_training_data=False,
            trained=False,
            licence="MIT",
            distribution="sepkit",
            version=__version__,
        )
        for name, point in REFERENCE_POINTS.items()
    }
    return {**installed, **{name: Method(name=name, facts=facts) for name, facts in known.items()}}


def find_methods(names: Iterable[str], groups: dict[str, list[str]] | None = None) -> list[Method]:
    """Methods by name or by group (`groups`: name -> names), each once, in the order asked for.

    Raises UnknownNameError with the nearest known name.
    """
    available, groups = available_methods(), groups or {}
    found: dict[str, Method] = {}
    for name in names:
        members = groups.get(name, [name])
        for member in members:
            if member not in available:
                raise UnknownNameError(f"No method is named {member!r}: {nearest(member, [*available, *groups])}")
            found[member] = available[member]
    return list(found.values())


def with_checkpoint(method: Method, folder: str | Path) -> Method:
    """The same method with the weights of another checkpoint: a folder, or an address as sepkit.hub takes it.

    What else a method takes, such as a published file of a peer, is known by its hash, lest a run goes on with scores
    of other weights.
    """
    folder = local_checkpoint(folder)
    known = _weights(Path(folder) / "config.json") or _files(Path(folder))
    facts = method.facts.model_copy(update=known)
    return method.model_copy(update={"checkpoint": str(folder), "facts": facts})


def without_training(method: Method) -> Method:
    """The same method with random weights, which tables call untrained."""
    facts = method.facts.model_copy(update={"trained": False, "weights_sha256": "random", "weights_megabytes": None})
    return method.model_copy(update={"checkpoint": None, "options": {"untrained": True}, "facts": facts})


def _facts(summary: SeparatorSummary) -> MethodFacts:
    facts = MethodFacts(
        parameters=summary.parameters,
        licence=summary.licence,
        trained=summary.trained,
        distribution=summary.distribution,
        version=summary.version,
    )
    return facts.model_copy(update=_weights(summary.config_path))


def _files(path: Path) -> dict[str, Any]:
    """The hash and size of a file of weights, or of all files that lie in a folder of them; nothing for a mere word."""
    paths = [path] if path.is_file() else sorted(one for one in path.glob("*") if one.is_file())
    if not paths:
        return {}
    hashes = [file_sha256(one) for one in paths]
    digest = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return {"weights_sha256": digest, "weights_megabytes": sum(one.stat().st_size for one in paths) / 1e6}


def _weights(config_path: Path | None) -> dict[str, Any]:
    """What a checkpoint's config.json says of its weights; a damaged one is the registry's to report."""
    try:
        weights = json.loads(config_path.read_text(encoding="utf-8"))["weights"] if config_path else {}
        return {
            "weights_sha256": weights["sha256"],
            "weights_megabytes": weights["bytes"] / 1e6,
            "parameters": weights["parameters"],
        }
    except (OSError, ValueError, LookupError, TypeError):
        return {}
