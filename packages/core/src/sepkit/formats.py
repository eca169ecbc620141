"""What each sound file format can hold, checked before any work is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .errors import AudioError, nearest

Bits = Literal["float", 16, 24]
"""Sample type of a lossless file: 32-bit float, or integers of 16 or 24 bits."""

_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


@dataclass(frozen=True, slots=True)
class FileFormat:
    """Limits of one format as libsndfile 1.2 writes it (tests compare them with the library).

    `bits`: sample types it can store, the first is the default; empty for lossy codecs. `rates`: the only sample
    rates (Hz), or None for any up to `max_rate`. `compression`: libsndfile's level, 0 best to 1 smallest.

    Every format gives back exactly the length that was written; mp3 by its header frame, so that a player which
    ignores that frame hears up to two frames (2304 samples) of silence more.
    """

    name: str
    suffixes: tuple[str, ...]
    container: str
    codec: str | None
    bits: tuple[Bits, ...]
    max_channels: int
    max_rate: int
    rates: tuple[int, ...] | None = None
    holds_empty: bool = True
    compression: float | None = None
    reason_for_channels: str = ""


_ROLES = ", as its further channels have fixed loudspeaker roles and the sixth would be low-passed as a subwoofer"

# The lossy levels give roughly 250 kbit/s for stereo. libsndfile crashes on Vorbis above 200 kHz.
FORMATS: Mapping[str, FileFormat] = {
    kind.name: kind
    for kind in (
        FileFormat("wav", ("wav", "wave"), "WAV", None, ("float", 16, 24), 1024, 2**31 - 1),
        FileFormat("flac", ("flac",), "FLAC", None, (24, 16), 8, 655_350, holds_empty=False),
        FileFormat("ogg", ("ogg", "oga"), "OGG", "VORBIS", (), 2, 200_000, compression=0.2, reason_for_channels=_ROLES),
        FileFormat(
            "opus",
            ("opus",),
            "OGG",
            "OPUS",
            (),
            2,
            48_000,
            rates=_OPUS_RATES,
            holds_empty=False,
            compression=0.5,
            reason_for_channels=_ROLES,
        ),
        FileFormat(
            "mp3",
            ("mp3",),
            "MP3",
            "MPEG_LAYER_III",
            (),
            2,
            48_000,
            rates=_MPEG_RATES,
            holds_empty=False,
            compression=0.0,
        ),
    )
}


def file_format(name: str) -> FileFormat:
    """The format of a name or suffix such as `wav`, `.FLAC` or `oga`; raises AudioError that lists the known ones."""
    wanted = name.lower().lstrip(".")
    for kind in FORMATS.values():
        if wanted == kind.name or wanted in kind.suffixes:
            return kind
    raise AudioError(f"sound files cannot be written as {name!r}: {nearest(wanted, FORMATS)}")


def format_of(path: str | Path) -> FileFormat:
    """The format that a file name's suffix asks for; raises AudioError where there is none or it cannot be written."""
    suffix = Path(path).suffix
    if not suffix:
        raise AudioError(f"{path} has no suffix to tell the format from: end it in .wav, .flac, .ogg, .opus or .mp3.")
    return file_format(suffix)


def check_writable(
    format: str, sample_rate: int, channels: int, length_samples: int | None = None, bits: Bits | None = None
) -> None:
    """Raise AudioError unless `format` can hold such audio; the message names formats that can.

    `length_samples` None means not known yet; `bits` None means the format's default. Nothing is written.
    """
    wanted = file_format(format)
    problem = _problem(wanted, sample_rate, channels, length_samples, bits)
    if problem is None:
        return
    able = [k.name for k in FORMATS.values() if _problem(k, sample_rate, channels, length_samples, None) is None]
    if bits is not None:
        able = [name for name in able if _problem(FORMATS[name], sample_rate, channels, length_samples, bits) is None]
    advice = f"write {' or '.join(able)} instead" if able else "change the audio, as no format here can hold it"
    raise AudioError(f"{wanted.name} cannot hold {problem}: {advice}.")


def _problem(
    kind: FileFormat, sample_rate: int, channels: int, length_samples: int | None, bits: Bits | None
) -> str | None:
    """What of the given audio `kind` cannot hold, in words; None if it can hold all of it."""
    if not 1 <= channels <= kind.max_channels:
        return f"{channels} channels (1 to {kind.max_channels}{kind.reason_for_channels})"
    if kind.rates is not None and sample_rate not in kind.rates:
        return f"a sample rate of {sample_rate} Hz (only {', '.join(map(str, kind.rates))})"
    if not 1 <= sample_rate <= kind.max_rate:
        return f"a sample rate of {sample_rate} Hz (1 to {kind.max_rate})"
    if kind.name == "flac" and sample_rate > 65_535 and sample_rate % 10:
        return f"a sample rate of {sample_rate} Hz (above 65535 only multiples of 10)"
    if length_samples == 0 and not kind.holds_empty:
        return "0 samples (it needs at least one)"
    if bits is not None and bits not in kind.bits:
        allowed = " or ".join(map(str, kind.bits))
        return f"bits={bits!r} ({f'bits may be {allowed}' if allowed else 'a lossy format: leave bits out'})"
    return None
