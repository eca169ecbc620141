"""Codecs: the latent frames in which a prior may live, and the way back to sound."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .encodec_codec import EncodecCodec as EncodecCodec
    from .encodec_codec import SegmentScales as SegmentScales
    from .encodec_settings import EncodecSettings as EncodecSettings
    from .fidelity import ceiling as ceiling
    from .fidelity import round_trip as round_trip
    from .lapped import Lapped as Lapped
    from .names import CodecSettings as CodecSettings
    from .names import codec_settings as codec_settings
    from .names import get_codec as get_codec
    from .names import list_codecs as list_codecs
    from .protocol import Codec as Codec
    from .protocol import Recentred as Recentred
    from .protocol import bound_to as bound_to
    from .protocol import recentred as recentred
    from .waveform import Waveform as Waveform

_FILES = {
    "encodec_codec": ("EncodecCodec", "SegmentScales"),
    "encodec_settings": ("EncodecSettings",),
    "fidelity": ("ceiling", "round_trip"),
    "lapped": ("Lapped",),
    "names": ("CodecSettings", "codec_settings", "get_codec", "list_codecs"),
    "protocol": ("Codec", "Recentred", "bound_to", "recentred"),
    "waveform": ("Waveform",),
}
_HOMES = {name: file for file, names in _FILES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that listing names stays free of torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
