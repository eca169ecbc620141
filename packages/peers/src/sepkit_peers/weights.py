"""Files of weights read as data: tensors, numbers and names, never code."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sepkit.checkpoint import file_sha256
from sepkit.errors import CheckpointError

from .published import known_weights

NETWORKS = ("demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs", "demucs.demucs.Demucs")
"""The classes that a package of Demucs may name. None is imported or called by reading: a name stays a name."""

OLD_NAMES = {"demucs.model.Demucs": "demucs.demucs.Demucs"}


@dataclass(frozen=True)
class WeightsFile:
    """What a file holds: tensors by name, and for a package of Demucs its class's name and arguments."""

    path: Path
    sha256: str
    state: dict[str, Tensor]
    network: str | None = None  # one of NETWORKS
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """What is known of weights by their files' hashes."""

    sha256: str
    licence: str = "unknown"
    extra_training_data: bool = False


def origin(files: Sequence[WeightsFile]) -> Origin:
    """The common licence of published files; "unknown" as soon as one of them is not known by its hash."""
    digest = files[0].sha256 if len(files) == 1 else "+".join(file.sha256[:16] for file in files)
    known = [known_weights(file.sha256) for file in files]
    found = [one for one in known if one is not None]
    licences = {licence for licence, _ in found}
    if len(found) < len(known) or len(licences) != 1:
        return Origin(digest)
    return Origin(digest, licences.pop(), any(extra for _, extra in found))


def read_weights(path: str | Path) -> WeightsFile:
    """Read a .safetensors file, or a .th or .pth file as `torch.save` writes it, without running anything of it.

    Of pickled files only tensors, plain containers, numbers, strings, fractions and the names of Demucs' networks are
    let through. Raises CheckpointError for anything else, for quantised weights and for what is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is no file; give the file that holds the weights.")
    content, metadata = _safetensors(path) if path.suffix == ".safetensors" else (_torch_file(path), {})
    sha256 = file_sha256(path)
    if "klass" in metadata:
        network = _known_network(metadata["klass"], path)
        arguments, keywords = (_plain_arguments(metadata, key, path) for key in ("args", "kwargs"))
        if "structure" in metadata:
            raise _quantised(path)
        if not isinstance(arguments, list) or not isinstance(keywords, dict):
            raise CheckpointError(f"{path} is no package of Demucs: its arguments are no list and no names.")
        return WeightsFile(path, sha256, _tensors(content, path), network, tuple(arguments), keywords)
    if isinstance(content, dict) and {"klass", "args", "kwargs", "state"} <= set(content):
        named, arguments, keywords = content["klass"], content["args"], content["kwargs"]
        network = _known_network(str(getattr(named, "name", named)), path)
        if not isinstance(arguments, tuple | list) or not isinstance(keywords, dict):
            raise CheckpointError(f"{path} is no package of Demucs: its arguments are no list and no names.")
        return WeightsFile(path, sha256, _tensors(content["state"], path), network, tuple(arguments), dict(keywords))
    return WeightsFile(path, sha256, _tensors(content, path))


def find_file(folder: Path, start: str) -> Path:
    """The one file in a folder whose name begins so, then ends in or after a hash, as the peers name theirs.

    Raises CheckpointError where there is none or more than one.
    """
    suffixes = (".safetensors", ".pth", ".th", ".pt")
    found = [path for path in sorted(folder.glob(f"{start}*")) if path.suffix in suffixes]
    exact = [path for path in found if path.stem == start or path.stem.startswith(f"{start}-")]
    if len(exact) != 1:
        shown = ", ".join(path.name for path in exact) or "none"
        raise CheckpointError(f"{folder} should have one file {start}.pth, or {start}-HASH.pth; found: {shown}.")
    return exact[0]


class _Name:
    """Stands for a class that a pickled package names."""

    def __init__(self, *arguments: Any) -> None:
        raise CheckpointError("The file makes an object of a network while it is read, which no package does; refused.")


def _allowed() -> AbstractContextManager[None]:
    """What pickled packages of Demucs may name beside tensors: fractions, and networks, of which the name is kept."""
    names = {written: OLD_NAMES.get(written, written) for written in (*NETWORKS, *OLD_NAMES)}
    stand_ins = [(type("_Named", (_Name,), {"name": name}), written) for written, name in names.items()]
    return torch.serialization.safe_globals([Fraction, *stand_ins])


def _torch_file(path: Path) -> Any:
    try:
        with _allowed():
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors and settings, and reading that could run code: refused ({_first(error)}). "
            "Convert it, where you trust it, to a .safetensors file of its tensors."
        ) from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except Exception as error:  # zipfile, EOF and others: not a file of torch
        raise CheckpointError(f"{path} cannot be read as a file of torch.save ({_first(error)}).") from error


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is no valid safetensors file ({_first(error)}).") from error


def _known_network(name: str, path: Path) -> str:
    name = OLD_NAMES.get(name, name)
    if name not in NETWORKS:
        raise CheckpointError(f"{path} is a package of {name}; sepkit reads those of {', '.join(NETWORKS)} only.")
    return name


def _plain_arguments(metadata: Mapping[str, str], key: str, path: Path) -> Any:
    try:
        return _with_fractions(json.loads(metadata[key]))
    except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{path} has no readable {key!r} in its metadata ({_first(error)}).") from error


def _with_fractions(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _with_fractions(inner) for key, inner in value.items()}
    return [_with_fractions(inner) for inner in value] if isinstance(value, list) else value


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, dict) and content.get("__quantized"):
        raise _quantised(path)
    if not isinstance(content, dict) or not content or not all(isinstance(one, Tensor) for one in content.values()):
        raise CheckpointError(f"{path} holds no weights: wanted tensors by name, or a package of Demucs.")
    return {str(name): tensor.float() if tensor.is_floating_point() else tensor for name, tensor in content.items()}


def _quantised(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} holds quantised weights (those whose names end in _q), which sepkit does not read.")


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = next((line for line in lines if "Unsupported" in line or "was not an allowed global" in line), None)
    return f"{type(error).__name__}: {named or (lines[0] if lines else 'no message')}"[:300]
