"""The weights that the peers' authors have published: names, hashes, addresses, and what is said of their licences."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sepkit.errors import CheckpointError

RESEARCH_ONLY = "research use only"
"""Of Demucs' weights, in their author's words: github.com/facebookresearch/demucs, issues 327 and 508."""

RANDOM = "none: random weights"
"""The licence of weights that nobody trained: that of the code is not that of what its authors have published."""


@dataclass(frozen=True)
class PublishedFile:
    """One file of weights: `name` ends in the first eight digits of its SHA-256, as its authors name it."""

    name: str
    address: str  # of the folder it lies in

    @property
    def sha256_start(self) -> str:
        """The hash's digits in the name."""
        return Path(self.name).stem.rpartition("-")[2]

    @property
    def signature(self) -> str:
        """The name without the hash: what the authors call these weights."""
        return Path(self.name).stem.rpartition("-")[0]


@dataclass(frozen=True)
class Published:
    """What one method needs: files in the order of its networks, and what is known of them."""

    files: tuple[PublishedFile, ...]
    licence: str
    extra_training_data: bool  # beyond the 100 training songs of MUSDB18

    @property
    def names(self) -> str:
        """The files' names in words."""
        return ", ".join(file.name for file in self.files)


def _files(address: str, *names: str) -> tuple[PublishedFile, ...]:
    return tuple(PublishedFile(name, address) for name in names)


DEMUCS = "https://dl.fbaipublicfiles.com/demucs"
ZENODO = "https://zenodo.org/records"

PUBLISHED = {
    "htdemucs": Published(_files(f"{DEMUCS}/hybrid_transformer", "955717e8-8726e21a.th"), RESEARCH_ONLY, True),
    "htdemucs_ft": Published(
        _files(
            f"{DEMUCS}/hybrid_transformer",
            "f7e0c4bc-ba3fe64a.th",
            "d12395a8-e57c48e6.th",
            "92cfc3b6-ef3bcb9c.th",
            "04573f0d-f3cf25b2.th",
        ),
        RESEARCH_ONLY,
        True,
    ),
    "hdemucs": Published(_files(f"{DEMUCS}/hybrid_transformer", "75fc33f5-1941ce65.th"), RESEARCH_ONLY, True),
    "demucs_v2": Published(_files(f"{DEMUCS}/v3.0", "demucs-e07c671f.th"), RESEARCH_ONLY, False),
    "umxhq": Published(
        _files(
            f"{ZENODO}/3370489/files",
            "vocals-b62c91ce.pth",
            "drums-9619578f.pth",
            "bass-8d85a5bd.pth",
            "other-b52fbbf7.pth",
        ),
        "MIT",
        False,
    ),
    "umxl": Published(
        _files(
            f"{ZENODO}/5069601/files",
            "vocals-bccbd9aa.pth",
            "drums-69e0ebd4.pth",
            "bass-2ca1ce51.pth",
            "other-c8c5b3e6.pth",
        ),
        "CC-BY-NC-SA-4.0",
        True,
    ),
}

OTHERS = {"3646af93": (RESEARCH_ONLY, True), "28a1282c": (RESEARCH_ONLY, False)}
"""Hashes of more weights of Demucs v2 (demucs_extra, demucs48_hq): licence, and whether trained on more data."""


def known_weights(sha256: str) -> tuple[str, bool] | None:
    """The licence of published weights, and whether they saw more training data, by their file's hash; else None."""
    known = {
        file.sha256_start: (found.licence, found.extra_training_data)
        for found in PUBLISHED.values()
        for file in found.files
    }
    return (known | OTHERS).get(sha256[:8])


def missing_weights(method: str) -> CheckpointError:
    """The error for a method that was asked for without weights: it says which there are and how to get them."""
    if method not in PUBLISHED:
        return CheckpointError(
            f"Nobody has published weights of {method!r} for music. Give your own with checkpoint=FILE, or ask for "
            "random ones with untrained=True."
        )
    found = PUBLISHED[method]
    return CheckpointError(
        f"{method!r} comes without weights, and fetches none unless you say so. Give checkpoint='download' for those "
        f"of its authors (licence: {found.licence}; {found.names} from {found.files[0].address}), checkpoint=PATH if "
        "you have them or your own, or untrained=True for random ones."
    )


def download(method: str) -> list[Path]:
    """The published files in torch's own cache, where the peers keep them too; those that are there are not fetched.

    Raises CheckpointError where one cannot be fetched, or where what came is not what its name's hash says.
    """
    import torch

    if method not in PUBLISHED:
        raise missing_weights(method)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for file in PUBLISHED[method].files:
        path = folder / file.name
        if not path.exists():
            _fetch(file, path)
        paths.append(path)
    return paths


def _fetch(file: PublishedFile, path: Path) -> None:
    import torch

    address = f"{file.address}/{file.name}"
    arrived = path.with_name(f".{path.name}.partial")
    try:
        torch.hub.download_url_to_file(address, str(arrived), hash_prefix=file.sha256_start, progress=False)
        shutil.move(arrived, path)
    except Exception as error:  # of urllib, ssl, the disk, or the hash: all mean that the file is not here
        arrived.unlink(missing_ok=True)
        raise CheckpointError(
            f"{address} could not be fetched ({type(error).__name__}: {error}). Fetch it by other means and give its "
            "path as checkpoint, or try again."
        ) from error
