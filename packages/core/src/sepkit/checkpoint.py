"""Checkpoints: a folder of config.json, weights.safetensors and a model card, refused when anything does not fit."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import Field, ValidationError

from . import __version__
from .config import Frozen, validated
from .errors import CheckpointError, OptionError
from .separator import SeparatorInfo

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = "sepkit-checkpoint-1"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "README.md"

Migration = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the config of one `config_version` into that of the next."""

C = TypeVar("C", bound=Frozen)


class WeightsHeader(Frozen):
    """What config.json says about the weights: the file beside it, its hash and its size."""

    file: str
    sha256: str
    parameters: int = Field(ge=0)
    bytes: int = Field(ge=0)


class CheckpointHeader(Frozen):
    """The whole of config.json; reading it imports no torch, so listing is quick."""

    format: str
    separator: str
    config_version: int = Field(ge=1)
    config: dict[str, Any]
    info: SeparatorInfo
    weights: WeightsHeader
    extra: dict[str, Any] = Field(default_factory=dict)
    written_by: str = ""


@dataclass(frozen=True)
class Checkpoint(Generic[C]):
    """A verified checkpoint: the settings, the promise, and the weights as float32 on the CPU."""

    folder: Path
    config: C
    info: SeparatorInfo
    state: dict[str, Tensor]
    sha256: str
    parameters: int
    extra: dict[str, Any] = field(default_factory=dict)


def read_header(folder: str | Path) -> CheckpointHeader:
    """Read and validate a checkpoint's config.json, without torch.

    Raises CheckpointError that names the file and what is missing or wrong in it.
    """
    path = Path(folder) / CONFIG_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} is no checkpoint: it has no {CONFIG_FILE}. Give a folder that has one."
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({error}); restore the file from its source.") from error
    given = content.get("format") if isinstance(content, dict) else None
    if given != FORMAT:
        raise CheckpointError(f"{path} has the format {given!r}; this sepkit {__version__} reads {FORMAT!r}.")
    try:
        header = CheckpointHeader.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{path}: {place}: {first['msg']}; restore the file from its source.") from error
    if Path(header.weights.file).name != header.weights.file:
        raise CheckpointError(
            f"{path} points outside its own folder for its weights: {header.weights.file!r}. Refused."
        )
    return header


def save_checkpoint(
    folder: str | Path,
    *,
    separator: str,
    config: Frozen,
    config_version: int,
    info: SeparatorInfo,
    state: Mapping[str, Tensor],
    card: str,
    half: bool = False,
    extra: Mapping[str, Any] | None = None,
    parameters: int | None = None,
) -> Path:
    """Write a checkpoint folder, complete or not at all; an earlier checkpoint of that name is replaced.

    `half` stores matrices and kernels as float16 where they fit its range; vectors (biases, norm statistics) stay
    float32. `parameters` defaults to the number of floating-point elements without batch-norm statistics.
    Raises CheckpointError for a non-finite weight and for a folder that holds something else.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    check_replaceable(folder)
    tensors = {name: _stored(name, tensor, half) for name, tensor in state.items()}
    with replacing_checkpoint(folder) as temporary:
        weights = temporary / WEIGHTS_FILE
        save_file(tensors, weights)
        weights.chmod(0o644)  # safetensors makes it private, but a checkpoint is meant to be shared
        header = CheckpointHeader(
            format=FORMAT,
            separator=separator,
            config_version=config_version,
            config=config.model_dump(mode="json"),
            info=info,
            weights=WeightsHeader(
                file=WEIGHTS_FILE,
                sha256=file_sha256(weights),
                parameters=count_parameters(state) if parameters is None else parameters,
                bytes=weights.stat().st_size,
            ),
            extra=dict(extra or {}),
            written_by=f"sepkit {__version__}",
        )
        write_header(temporary, header)
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
    return folder


def write_header(folder: Path, header: CheckpointHeader) -> None:
    """Write a checkpoint's config.json."""
    text = json.dumps(header.model_dump(mode="json"), indent=2) + "\n"
    (folder / CONFIG_FILE).write_text(text, encoding="utf-8")


def check_replaceable(folder: Path) -> None:
    """Raise CheckpointError where a checkpoint would replace something that is none."""
    if folder.exists() and not (folder / CONFIG_FILE).exists() and (folder.is_file() or any(folder.iterdir())):
        raise CheckpointError(f"{folder} exists and is no checkpoint; give another folder or remove it first.")


@contextmanager
def replacing_checkpoint(folder: Path) -> Iterator[Path]:
    """A hidden folder to write a checkpoint into, which takes its place on a clean exit and goes away on any other.

    Raises as `check_replaceable`.
    """
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        yield temporary
        temporary.chmod(0o755)  # mkdtemp makes it private
        _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_checkpoint(
    folder: str | Path,
    *,
    separator: str,
    config_type: type[C],
    config_version: int,
    migrations: Mapping[int, Migration] | None = None,
) -> Checkpoint[C]:
    """Load and verify a checkpoint of the method `separator`; floating-point weights come as float32.

    `migrations[v]` turns a config of version v into one of version v + 1.
    Raises CheckpointError that says what differs: method, version, size, hash or a setting.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    header = read_header(folder)
    if header.separator != separator:
        raise CheckpointError(
            f"{folder} is a checkpoint of {header.separator!r}, but {separator!r} was asked to load it."
        )
    config = _migrated(header, folder, config_version, migrations or {})
    try:
        settings = validated(config_type, config, f"checkpoint {folder}")
    except OptionError as error:
        raise CheckpointError(f"{error} The checkpoint does not fit this version of {separator!r}.") from error
    weights = verify_weights(folder, header)
    try:
        tensors = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{weights} is no valid safetensors file ({error}); restore it from its source."
        ) from error
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return Checkpoint(
        folder, settings, header.info, state, header.weights.sha256, header.weights.parameters, dict(header.extra)
    )


def load_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load weights into a module, every name and shape exactly; the module is untouched when they do not fit.

    Raises CheckpointError that lists the missing, the unexpected and the differently shaped tensors.
    """
    wanted = module.state_dict()
    shapes = (
        f"{name} is {_shape(state[name])}, wanted {_shape(wanted[name])}"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    )
    problems = [
        *_listed("missing", (name for name in wanted if name not in state)),
        *_listed("unexpected", (name for name in state if name not in wanted)),
        *_listed("other shape", shapes),
    ]
    if problems:
        kind = type(module).__name__
        raise CheckpointError(
            f"The weights ({len(state)} tensors) do not fit {kind} ({len(wanted)} tensors): {'; '.join(problems)}. "
            "Load them with the config they were saved with."
        )
    module.load_state_dict(dict(state), strict=True)


def count_parameters(state: Mapping[str, Tensor]) -> int:
    """The number of trained elements in a state: floating-point ones, without batch-norm statistics."""
    statistics = ("running_mean", "running_var")
    return sum(
        tensor.numel() for name, tensor in state.items() if tensor.is_floating_point() and not name.endswith(statistics)
    )


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    import torch

    # a copy: safetensors refuses tensors that share memory, as tied weights do
    tensor = tensor.detach().to("cpu", copy=True).contiguous()
    if not tensor.is_floating_point():
        return tensor
    if not torch.isfinite(tensor).all():
        raise CheckpointError(f"Weight {name!r} holds NaN or infinity; nothing was saved. Go back to an earlier state.")
    tensor = tensor.float()
    if half and tensor.ndim >= 2 and bool((tensor.abs() < torch.finfo(torch.float16).max).all()):
        return tensor.half()
    return tensor


def _put_in_place(temporary: Path, folder: Path) -> None:
    if not folder.exists():
        temporary.rename(folder)
        return
    earlier = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".earlier", dir=folder.parent))
    folder.rename(earlier / folder.name)  # a folder cannot be renamed onto a full one, so the old one steps aside
    try:
        temporary.rename(folder)
    except OSError:
        (earlier / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(earlier, ignore_errors=True)


def _migrated(
    header: CheckpointHeader, folder: Path, config_version: int, migrations: Mapping[int, Migration]
) -> dict[str, Any]:
    if header.config_version > config_version:
        raise CheckpointError(
            f"{folder} has config_version {header.config_version} ({header.written_by or 'unknown writer'}), newer "
            f"than the {config_version} that the installed {header.separator!r} knows: update its package."
        )
    config = dict(header.config)
    for version in range(header.config_version, config_version):
        if version not in migrations:
            raise CheckpointError(
                f"{folder} has config_version {header.config_version}, and {header.separator!r} has no migration "
                f"from {version} to {version + 1}: load it with the version that wrote it "
                f"({header.written_by or 'unknown'})."
            )
        config = migrations[version](config)
    return config


def verify_weights(folder: Path, checkpoint: CheckpointHeader) -> Path:
    """The checkpoint's weights file; raises CheckpointError where its size or hash is not what config.json says."""
    weights, header = folder / checkpoint.weights.file, checkpoint.weights
    try:
        size_bytes = weights.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{weights} is missing; restore it from its source.") from error
    if size_bytes != header.bytes:
        raise CheckpointError(
            f"{weights} has {size_bytes} bytes, but its {CONFIG_FILE} says {header.bytes}: it is cut short or another "
            "file. Restore it from its source."
        )
    found = file_sha256(weights)
    if found != header.sha256:
        raise CheckpointError(
            f"{weights} is corrupted or another file: its sha256 is {found}, but its {CONFIG_FILE} says "
            f"{header.sha256}. Restore it from its source."
        )
    return weights


def file_sha256(path: Path) -> str:
    """A file's SHA-256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "a scalar"


def _listed(what: str, names: Iterable[str], shown: int = 5) -> list[str]:
    found = list(names)
    more = f" and {len(found) - shown} more" if len(found) > shown else ""
    return [f"{what}: {', '.join(found[:shown])}{more}"] if found else []
