"""The page as one file: overview, sound and scripts, put together without holding all sound in memory."""

from __future__ import annotations

import json
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from pydantic import Field

from ...config import Frozen
from ...errors import SepkitError, UnknownNameError, nearest
from ...partial_files import replacing
from .budget import SHORTEST_SECONDS, Share, shares
from .listening import TrackSound, track_sound
from .media import PICTURE_BYTES, Media, base64_per_second, excerpt_of, track_media
from .overview import section_html
from .runs import ReportRun, Section, sections_of
from .sound import AudioKind, Excerpt
from .takes import SECTION, Take, take_data, take_sound, takes_html
from .track_data import source_colours, track_data, track_keys

SCRIPTS = (
    "start.js",
    "tables.js",
    "player.js",
    "mixing.js",
    "transport.js",
    "curves.js",
    "spectrograms.js",
    "tracks.js",
    "takes.js",
    "keys.js",
    "embedded.js",
)  # in this order
STYLES = ("report.css", "tracks.css")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
NOTHING = Share(0.0, 0)
SPARE_BYTES = 20_000  # for the words about what was left out

Progress = Callable[[str], None]


class PageOptions(Frozen):
    """What the page holds, and how much of it."""

    title: str | None = None
    excerpt_seconds: float = Field(default=30.0, gt=0)
    tracks: tuple[str, ...] = ()  # that get a page of their own; all when empty
    audio: AudioKind = "flac"
    budget_megabytes: float = Field(default=120.0, gt=0)  # 10^6 bytes
    only_player: bool = False  # of the one track that there is: no overview


@dataclass(frozen=True)
class Written:
    """What became of the page: its size, and what had to be left out."""

    path: Path
    bytes: int
    tracks: int
    audible: int
    notes: Sequence[str]


@dataclass
class _TrackPlan:
    """What is to be on the page of a track, or of a piece of generated music."""

    about: Section | Take
    sound: TrackSound
    key: str
    excerpt: Excerpt | None = None
    share: Share = NOTHING
    data: dict[str, Any] = field(default_factory=dict)

    def describe(self, media: Media | None, first_clip: int, colours: dict[str, str]) -> None:
        """Fill `data`, and `colours` with those of methods that are new."""
        if isinstance(self.about, Take):
            told = take_data(self.sound, self.about, media, first_clip)
        else:
            source_colours(self.about, colours)
            told = track_data(self.sound, self.about, media, first_clip, colours)
        self.data = {**told, "key": self.key}


def write_page(
    path: Path,
    runs: Sequence[ReportRun],
    options: PageOptions,
    progress: Progress | None = None,
    takes: Sequence[Take] = (),
) -> Written:
    """Write the report of `runs`, and of generated music, to `path`, which is replaced.

    Raises UnknownNameError for a track that neither has.
    """
    sections = sections_of(runs)
    plans = _plans(sections, takes, options)
    colours: dict[str, str] = {}
    for plan in plans:
        plan.describe(None, 0, colours)
    rest = len(_head(sections, plans, options, [], colours).encode())
    _share_out(plans, options, int(options.budget_megabytes * 1e6) - rest - SPARE_BYTES)
    with replacing(path, overwrite=True) as partial, tempfile.TemporaryFile(dir=partial.parent) as spool:
        count = 0
        for index, plan in enumerate(plans):
            if progress is not None:
                progress(f"track {index + 1} of {len(plans)}: {plan.sound.name}")
            media = _media(plan, options)
            plan.describe(media, count, colours)
            if media is not None:
                _write_media(spool, media, count, options.audio)
                count += len(_all_pictures(media))
        notes = _said(plans, options)
        with partial.open("wb") as page:
            page.write(_head(sections, plans, options, notes, colours).encode())
            spool.seek(0)
            shutil.copyfileobj(spool, page)
            page.write(b"</body></html>\n")
        size = partial.stat().st_size
    return Written(path, size, len(plans), sum(plan.data["audible"] for plan in plans), notes)


def _plans(sections: Sequence[Section], takes: Sequence[Take], options: PageOptions) -> list[_TrackPlan]:
    every: list[tuple[Section | Take, str]] = [(section, track) for section in sections for track in section.tracks]
    every += [(take, take.name) for take in takes]
    known = [track for _, track in every]
    for name in options.tracks:
        if name not in known:
            raise UnknownNameError(f"No track is named {name!r}: {nearest(name, set(known))}")
    chosen = [(about, track) for about, track in every if not options.tracks or track in options.tracks]
    titles = [(_title(about), track) for about, track in chosen]
    return [
        _TrackPlan(about, take_sound(about) if isinstance(about, Take) else track_sound(about, track), key)
        for (about, track), key in zip(chosen, track_keys(titles), strict=True)
    ]


def _title(about: Section | Take) -> str:
    return str(about.folder) if isinstance(about, Take) else about.title


def _share_out(plans: Sequence[_TrackPlan], options: PageOptions, left_bytes: int) -> None:
    """Give every track that has files its excerpt and its share of the budget; what cannot be read gets a note."""
    wanted: list[_TrackPlan] = []
    rates: list[float] = []
    for plan in plans:
        if not plan.sound.files:
            continue
        try:
            plan.excerpt = excerpt_of(plan.sound, options.excerpt_seconds)
            rate = base64_per_second(plan.sound, plan.excerpt, options.audio) if options.audio != "none" else 0.0
        except (SepkitError, OSError) as error:
            plan.excerpt = None
            plan.sound.notes.append(f"the sound of this track cannot be read: {error}")
            continue
        wanted.append(plan)
        rates.append(rate)
    lengths = [plan.excerpt.length_samples / plan.sound.sample_rate for plan in wanted if plan.excerpt is not None]
    pictures = [(len(plan.sound.files) + len(plan.sound.maps)) * PICTURE_BYTES for plan in wanted]
    for plan, share in zip(wanted, shares(rates, lengths, pictures, max(0, left_bytes)), strict=True):
        plan.share = share


def _media(plan: _TrackPlan, options: PageOptions) -> Media | None:
    if plan.excerpt is None or plan.share.seconds <= 0:
        return None
    try:
        return track_media(plan.sound, plan.excerpt, options.audio, plan.share)
    except (SepkitError, OSError) as error:
        plan.sound.notes.append(f"the sound of this track cannot be read: {error}")
        return None


def _said(plans: Sequence[_TrackPlan], options: PageOptions) -> list[str]:
    """What the budget and the options cost, in words; written on the page and on the terminal."""
    limit = f"so that the page stays below {options.budget_megabytes:g} MB (--max-megabytes)"
    seen = [plan for plan in plans if "picture" in plan.data]
    unseen = [plan for plan in plans if plan.excerpt is not None and "picture" not in plan.data]
    heard = [plan for plan in seen if plan.data["audible"]]
    found = ["no sound on this page: it was written with --audio none"] if options.audio == "none" else []
    full = [min(options.excerpt_seconds, plan.sound.seconds) for plan in heard]
    cut = [plan.data["length"] for plan, want in zip(heard, full, strict=True) if plan.data["length"] < want - 0.01]
    if cut:
        span = f"{min(cut):.1f}" if max(cut) - min(cut) < 0.1 else f"{min(cut):.1f} to {max(cut):.1f}"
        found.append(f"excerpts of {len(cut)} track(s) were shortened to {span} s {limit}")
    if unseen:
        names = ", ".join(plan.sound.name for plan in unseen[:5]) + (" …" if len(unseen) > 5 else "")
        found.append(
            f"{len(unseen)} track(s) have no players and no spectrograms {limit}, as excerpts are never shorter than "
            f"{SHORTEST_SECONDS:g} s: {names}; choose some with --tracks, or --audio ogg"
        )
    if options.audio == "ogg" and heard:
        found.append("sound is lossy (Vorbis): nulls also play what the encoding changed; --audio flac is exact")
    return found


def _write_media(spool: IO[bytes], media: Media, first: int, kind: AudioKind) -> None:
    for index, clip in enumerate(media.clips, first):
        spool.write(f'<script type="text/plain" id="clip-{index}" data-kind="{kind}">'.encode())
        spool.write(b64encode(clip) + b"</script>\n")
    for index, picture in enumerate(_all_pictures(media), first):
        spool.write(f'<script type="text/plain" id="picture-{index}">'.encode() + b64encode(picture) + b"</script>\n")


def _all_pictures(media: Media) -> list[bytes]:
    """Of the files, then of the maps of uncertainty."""
    return [*media.pictures, *(picture for picture in media.maps if picture is not None)]


def _head(
    sections: Sequence[Section],
    plans: Sequence[_TrackPlan],
    options: PageOptions,
    notes: Sequence[str],
    colours: Mapping[str, str],
) -> str:
    """Everything but the sound: it comes first, so that the page can be read while the rest is still loading."""
    takes = [(plan.about, plan.key) for plan in plans if isinstance(plan.about, Take)]
    shown = [*(section.title for section in sections), *([SECTION.lower()] if takes else [])]
    title = options.title or f"sepkit: {', '.join(dict.fromkeys(shown))}"
    style, script = (
        "\n".join(files(__package__).joinpath(name).read_text(encoding="utf-8") for name in names)
        for names in (STYLES, SCRIPTS)
    )
    keys = {(id(plan.about), plan.sound.name): plan.key for plan in plans}
    body = []
    for section in sections:
        own = {track: keys[(id(section), track)] for track in section.tracks if (id(section), track) in keys}
        heard = {p.sound.name: p.data["audible"] for p in plans if p.about is section}
        body.append(section_html(section, own, heard, colours))
    body.append(takes_html(takes))
    told = "".join(f"<li>{escape(note)}</li>" for note in notes)
    top = "" if options.only_player else f'<header id="top"><h1>{escape(title)}</h1></header>'
    data = {"tracks": [plan.data for plan in plans], "single": options.only_player}
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f'{top}<main><div id="overview">{f"<ul class=notes>{told}</ul>" if told else ""}{"".join(body)}</div>'
        '<div id="track" hidden></div></main>'
        f'<script type="application/json" id="data">{as_script(data)}</script>'
        f'<script>(() => {{ "use strict";\n{script}\n}})();</script>\n'
    )


def as_script(value: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever names are in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
