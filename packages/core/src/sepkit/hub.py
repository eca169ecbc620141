"""Checkpoints by address, `hf://owner/name@revision` or a folder: every file is held to its hash before it is used."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import hub_download
from .checkpoint import (
    CARD_FILE,
    CONFIG_FILE,
    CheckpointHeader,
    check_replaceable,
    file_sha256,
    read_header,
    replacing_checkpoint,
    verify_weights,
    write_header,
)
from .errors import CheckpointError, OptionError, nearest
from .licences import hub_key

if TYPE_CHECKING:
    from .separator import Separator

SCHEME = "hf://"
SUMS_FILE = "SHA256SUMS"
HUB_WEIGHTS_FILE = "model.safetensors"  # the name that the hub's own tools look for
LEGAL_FILES = ("LICENSE*", "LICENCE*", "NOTICE*")
WANTED = (CONFIG_FILE, CARD_FILE, SUMS_FILE, "*.safetensors", *LEGAL_FILES)
"""What is downloaded of a repository: nothing in these is ever executed."""

ADDRESS = re.compile(r"hf:/{1,2}(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?/?")
SUMS_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[\w.-]+)")


class HubAddress(NamedTuple):
    """A repository of the Hugging Face Hub, and a branch, tag or commit of it (None: its main branch)."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}" + (f"@{self.revision}" if self.revision else "")


def is_address(source: str | Path) -> bool:
    """Whether this is an address on the hub and no folder; a Path, which swallows a slash, may be one as well."""
    return str(source).startswith("hf:/")


def parse_address(source: str | Path) -> HubAddress:
    """`hf://owner/name[@revision]` in its parts; raises OptionError for anything else."""
    match = ADDRESS.fullmatch(str(source))
    if match is None:
        raise OptionError(
            f"{str(source)!r} is no address on the hub; wanted hf://owner/name or hf://owner/name@revision."
        )
    return HubAddress(match["repository"], match["revision"])


def checkpoint_folder(source: str | Path, *, offline: bool = False) -> Path:
    """The folder of a checkpoint: a folder as it is, an address downloaded and verified.

    Downloads lie in huggingface_hub's cache, and are not repeated. `offline`, or HF_HUB_OFFLINE=1, takes what is there.
    Raises OptionError for an address that is none, MissingExtraError without huggingface_hub, and CheckpointError for a
    repository that is not there, holds no safetensors, or differs from its checksums in any file.
    """
    if not is_address(source):
        return Path(source)
    address = parse_address(source)
    offline = offline or hub_download.is_offline()
    folder = hub_download.download(address, WANTED, offline=offline)
    try:
        verify_folder(folder, str(address))
    except CheckpointError:
        if offline:
            raise
        folder = hub_download.download(address, WANTED, offline=False, afresh=True)  # a file may have decayed here
        verify_folder(folder, str(address))
    return folder


def verify_folder(folder: Path, what: str) -> CheckpointHeader:
    """Hold every file that SHA256SUMS names to its hash, and the weights to config.json too; returns that.

    Raises CheckpointError, beginning with `what`, for a file that is missing, differs, or is not vouched for.
    """
    sums = _read_sums(folder, what)
    for name, wanted in sums.items():
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{what} is not complete: {name} is missing from {folder}. Load it again while online."
            )
        found = file_sha256(folder / name)
        if found != wanted:
            raise CheckpointError(
                f"{what}: {name} is corrupted or was changed: its sha256 is {found}, but {SUMS_FILE} says {wanted}. "
                "Load it again while online; if it stays so, its owner has to save it with sepkit.hub.save_pretrained."
            )
    header = read_header(folder)
    for name in (CONFIG_FILE, CARD_FILE, header.weights.file):
        if name not in sums:
            raise CheckpointError(f"{what}: {SUMS_FILE} does not vouch for {name}; its owner has to save it again.")
    if not header.weights.file.endswith(".safetensors"):
        raise CheckpointError(
            f"{what}: {header.weights.file} is no safetensors file, and sepkit loads no other weights."
        )
    verify_weights(folder, header)
    return header


def from_pretrained(
    source: str | Path, *, method: str | None = None, offline: bool = False, **options: Any
) -> Separator:
    """The method that a checkpoint is for, with its weights: `from_pretrained("hf://owner/name").separate("song.wav")`.

    `source` is a folder or an address; `method` is asked for only where several methods run the same weights; whatever
    else is given goes to `get_separator`. Raises as `checkpoint_folder` and `get_separator`.
    """
    from .registry import get_separator

    folder = checkpoint_folder(source, offline=offline)
    if not is_address(source) and (folder / SUMS_FILE).exists():
        verify_folder(folder, str(folder))
    header = read_header(folder)
    return get_separator(method or _method_of(header.separator, source), checkpoint=folder, **options)


def save_pretrained(source: Separator | str | Path, folder: str | Path) -> Path:
    """Write a checkpoint as the hub wants it, complete or not at all; returns the folder, ready to be uploaded.

    `source` is what `get_separator` returned, the name of a method that ships weights, a checkpoint folder or an
    address. Weights, config, model card (with the licence in its front matter), licence texts and their checksums are
    written; an earlier checkpoint is replaced. Raises CheckpointError where the source does not hold together, or where
    the folder holds something else.
    """
    given, folder = _source_folder(source), Path(folder)
    check_replaceable(folder)
    header = read_header(given)
    weights = verify_weights(given, header)
    card = _card(given, header)
    with replacing_checkpoint(folder) as temporary:
        shutil.copyfile(weights, temporary / HUB_WEIGHTS_FILE)
        renamed = header.weights.model_copy(update={"file": HUB_WEIGHTS_FILE})
        write_header(temporary, header.model_copy(update={"weights": renamed}))
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
        for path in _legal_texts(given):
            shutil.copyfile(path, temporary / path.name)
        lines = [f"{file_sha256(path)}  {path.name}\n" for path in sorted(temporary.iterdir())]
        (temporary / SUMS_FILE).write_text("".join(lines), encoding="utf-8")
        verify_folder(temporary, str(folder))
    return folder


def _read_sums(folder: Path, what: str) -> dict[str, str]:
    path = folder / SUMS_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{what} has no {SUMS_FILE}, so its files cannot be verified; its owner has to save it with "
            "sepkit.hub.save_pretrained."
        )
    sums = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = SUMS_LINE.fullmatch(line)
        if match is None or match["name"] in ("..", "."):
            raise CheckpointError(
                f"{what}: {SUMS_FILE} holds {line[:100]!r}; wanted a sha256, two spaces and a file name."
            )
        sums[match["name"]] = match["sha256"]
    return sums


def _source_folder(source: Separator | str | Path) -> Path:
    from .loaded_weights import checkpoint_of
    from .registry import list_separators

    if not isinstance(source, (str, Path)):
        return checkpoint_of(source)
    if is_address(source) or (Path(source) / CONFIG_FILE).exists():
        return checkpoint_folder(source)
    shipped = {summary.name: summary.config_path for summary in list_separators() if summary.config_path is not None}
    if (found := shipped.get(str(source))) is not None:
        return found.parent
    raise CheckpointError(
        f"{source} is neither a checkpoint folder nor an address nor a method that ships weights: "
        f"{nearest(str(source), shipped)}"
    )


def _method_of(separator: str, source: str | Path) -> str:
    """The method that runs a checkpoint: the one of its name, or the only one of its family (`msdm_…` for `msdm`)."""
    from .registry import list_separators

    known = [summary.name for summary in list_separators()]
    family = [name for name in known if name == separator] or [
        name for name in known if name.rpartition("_")[0] == separator
    ]
    if not family:
        raise CheckpointError(
            f"{source} is a checkpoint of {separator!r}, which no installed package announces; install its package. "
            f"{nearest(separator, known)}"
        )
    if len(family) > 1:
        raise OptionError(f"{source} runs under several methods; give method= one of {', '.join(family)}.")
    return family[0]


def _card(folder: Path, header: CheckpointHeader) -> str:
    """The model card under front matter that the hub reads; one that has front matter must state the same licence."""
    path = folder / CARD_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has no model card; write {CARD_FILE}: data, licence, scores, known failures.")
    card = path.read_text(encoding="utf-8")
    licence = header.info.licence
    key = hub_key(licence)
    if card.startswith("---\n"):
        stated = _stated_licence(card)
        if stated not in (key, licence):
            raise CheckpointError(
                f"{path} states the licence {stated!r}, and {CONFIG_FILE} {licence!r}: make them agree."
            )
        return card
    named = [f"license: {key}"] if key else ["license: other", f"license_name: {json.dumps(licence)}"]
    tags = ["tags:", "- music-source-separation", f"- {header.separator}"]
    return "\n".join(["---", *named, "library_name: sepkit", "pipeline_tag: audio-to-audio", *tags, "---", "", card])


def _stated_licence(card: str) -> str | None:
    """The licence in a card's front matter, by the hub's key or, where that is `other`, by its name."""
    lines = card.split("\n---", 1)[0].splitlines()
    fields = {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}
    stated = fields.get("license_name" if fields.get("license") == "other" else "license")
    return json.loads(stated) if stated and stated.startswith('"') else stated


def _legal_texts(folder: Path) -> Iterator[Path]:
    for pattern in LEGAL_FILES:
        yield from (path for path in sorted(folder.glob(pattern)) if path.is_file())
