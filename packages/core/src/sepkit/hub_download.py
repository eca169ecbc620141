"""Getting a repository of the Hugging Face Hub into its local cache, with errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import CheckpointError, MissingExtraError

if TYPE_CHECKING:
    from .hub import HubAddress


def is_offline() -> bool:
    """Whether the environment says that the network is not to be asked, in huggingface_hub's own words."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def download(address: HubAddress, wanted: Sequence[str], *, offline: bool, afresh: bool = False) -> Path:
    """The cached folder with the `wanted` files (patterns) of a repository, downloaded where they are not there yet.

    Each file appears under its name when it is complete. `offline` asks no network, `afresh` downloads again what is
    there. Raises MissingExtraError, and CheckpointError for a repository that cannot be had or has no safetensors.
    """
    hub = _huggingface_hub()
    if not offline:
        _check_listing(hub, address)
    try:
        return Path(
            hub.snapshot_download(
                address.repository,
                revision=address.revision,
                allow_patterns=list(wanted),
                local_files_only=offline,
                force_download=afresh,
                library_name="sepkit",
                library_version=__version__,
            )
        )
    except Exception as error:  # what a missing network raises depends on the version of huggingface_hub
        raise _unavailable(hub, address, error, offline) from error


def _huggingface_hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors  # it loads its parts on demand
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub", "Loading a checkpoint by an hf:// address") from error
    return huggingface_hub


def _check_listing(hub: Any, address: HubAddress) -> None:
    """Refuse, before anything is downloaded, a repository that sepkit could not load."""
    try:
        names = hub.HfApi(library_name="sepkit", library_version=__version__).list_repo_files(
            address.repository, revision=address.revision
        )
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError) as error:
        raise _unavailable(hub, address, error, offline=False) from error
    except Exception:
        return  # no network, say: what is in the cache may do, and the download says so if it does not
    shown = ", ".join(sorted(names)[:20]) or "nothing"
    if not any(name.endswith(".safetensors") for name in names):
        raise CheckpointError(
            f"{address} has no safetensors file, and sepkit loads no other weights, which could run code. Found: "
            f"{shown}. Ask its owner for safetensors, or look whether `sepkit import` reads the published file."
        )
    if "config.json" not in names:
        raise CheckpointError(f"{address} is no sepkit checkpoint: it has no config.json. Found: {shown}.")


def _unavailable(hub: Any, address: HubAddress, error: Exception, offline: bool) -> CheckpointError:
    errors = hub.errors
    if isinstance(error, errors.GatedRepoError):
        why = "is gated: ask for access on its page, then log in with `hf auth login`"
    elif isinstance(error, errors.RevisionNotFoundError):
        why = f"has no revision {address.revision!r}; leave it out for the main branch"
    elif isinstance(error, errors.RepositoryNotFoundError):
        why = "is not there, or is private: look at its spelling, or log in with `hf auth login`"
    elif offline:
        why = "is not in the local cache, and the network is not asked (offline, HF_HUB_OFFLINE): load it once online"
    else:
        why = f"cannot be downloaded and is not in the local cache ({type(error).__name__}: {error}); try again later"
    return CheckpointError(f"{address} {why}.")
