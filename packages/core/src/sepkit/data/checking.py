"""`sepkit data check`: what would spoil a training or an evaluation on a dataset, found before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Literal

from ..config import Frozen
from ..errors import DatasetError
from .audio_fingerprint import Fingerprint, fingerprint, same_recordings
from .opening import FOLDER_KINDS, KINDS, open_dataset
from .own_split import SPLITS
from .part_files import BadTrack
from .song_facts import SongFacts, heard_facts, plain_facts
from .track import Dataset, Track

LEVEL_DB = 0.1
"""A mixture further from its stems' sum than this in level is worth a word."""
LENGTH_SECONDS = 0.1
"""Files of one song that differ by more in length are worth a word."""

Severity = Literal["problem", "warning", "note"]
"""A problem spoils a training or its scores; a warning may; a note is for information."""
Watch = Callable[[int, int, str], None]
"""Called with (songs done, songs in all, the next one's name)."""


class Finding(Frozen):
    """Something to know about a song, or about the dataset where `song` is None."""

    severity: Severity
    kind: str  # one word, for programs
    text: str
    song: str | None = None


class DatasetReport(Frozen):
    """What `check_dataset` found; `ok` says that nothing would spoil a training."""

    dataset: str
    layout: str
    songs: tuple[SongFacts, ...]
    findings: tuple[Finding, ...]
    counts: dict[str, int]  # songs by split; "all" where there are no splits
    sample_rates: dict[int, int]  # Hz: songs
    stems: dict[str, int]  # songs that have it
    hours: float
    shortest_seconds: float
    median_seconds: float
    longest_seconds: float
    listened: bool

    @property
    def ok(self) -> bool:
        return not self.of("problem")

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)


def check_dataset(
    spec: str, splits: Sequence[str] = (), *, listen: bool = True, watch: Watch | None = None
) -> DatasetReport:
    """Open a dataset in all its splits (or those given), read every song once, and report.

    A song that cannot be read is a problem, and the others go on. Without `listen` only names and headers are read:
    no silence, no sums, no duplicates. Raises what `open_dataset` raises where there is no song at all.
    """
    opened, bad = _opened(spec, tuple(splits))
    songs: list[SongFacts] = []
    prints: list[Fingerprint | None] = []
    tracks = [(split, track) for split, dataset in opened for track in dataset]
    for split, track in tracks:
        if watch is not None:
            watch(len(songs), len(tracks), track.name)
        facts, sound = _facts(track, split, listen)
        songs.append(facts)
        prints.append(sound)
    if watch is not None:
        watch(len(tracks), len(tracks), "")
    songs = _with_missing(songs, [track.stems for _, track in tracks])
    notes = dict.fromkeys(note for _, dataset in opened for note in dataset.notes)
    findings = [
        *(Finding(severity="problem", kind="unreadable", text=b.reason, song=b.name) for b in bad),
        *(finding for song in songs for finding in _of_song(song)),
        *_copies(songs, prints),
        *_of_all(songs),
        *(Finding(severity="note", kind="aside", text=note) for note in notes),
    ]
    return _report(spec, opened, songs, findings, listen)


def _opened(spec: str, splits: tuple[str, ...]) -> tuple[list[tuple[str | None, Dataset]], list[BadTrack]]:
    """The dataset's splits that there are, or the whole of it where it has none; and what cannot be read."""
    bad: list[BadTrack] = []
    opened: list[tuple[str | None, Dataset]] = []
    made = spec.partition(":")[0] == "demo"
    for split in splits or (() if made else SPLITS):
        try:
            opened.append((split, open_dataset(spec, split, bad=bad)))
        except DatasetError:
            if splits:
                raise
    if not opened:
        opened = [(None, open_dataset(spec, bad=bad))]
    if not any(len(dataset) for _, dataset in opened):
        first = f" The first of {len(bad)}: {bad[0].name}: {bad[0].reason}" if bad else ""
        raise DatasetError(f"{spec} has no song that can be read.{first}")
    return opened, list(dict.fromkeys(bad))


def _facts(track: Track, split: str | None, listen: bool) -> tuple[SongFacts, Fingerprint | None]:
    if not listen:
        return plain_facts(track, split), None
    facts, mixture = heard_facts(track, split)
    return facts, None if facts.error else fingerprint(mixture, track.sample_rate)


def _with_missing(songs: list[SongFacts], stems: Sequence[tuple[str, ...]]) -> list[SongFacts]:
    """Each song with the stems that it lacks and most others have."""
    have = Counter(stem for names in stems for stem in names)
    usual = [stem for stem, count in have.items() if 2 * count > len(songs)]
    return [
        song.model_copy(update={"missing": tuple(stem for stem in usual if stem not in names)})
        for song, names in zip(songs, stems, strict=True)
    ]


def _of_song(song: SongFacts) -> list[Finding]:
    found: list[tuple[Severity, str, str]] = []
    if song.error is not None:
        found.append(("problem", "unreadable", song.error))
        return [Finding(severity=s, kind=kind, text=text, song=song.name) for s, kind, text in found]
    silent = [stem for stem, facts in song.stems.items() if facts.is_silent]
    if song.stems and len(silent) == len(song.stems):
        found.append(("problem", "silent", "every stem is silent"))
    else:
        found += [("warning", "silent", f"{stem} is silent throughout") for stem in silent]
    if song.missing:
        found.append(("warning", "missing", f"no {', '.join(song.missing)}, which most other songs have"))
    found += _of_mixture(song)
    if song.longest_difference_seconds > LENGTH_SECONDS:
        text = f"its files differ in length by {song.longest_difference_seconds:.2f} s: the shorter end in silence"
        found.append(("warning", "lengths", text))
    if len(song.file_rates) > 1:
        found.append(("warning", "rates", f"its files have several rates: {_listed(song.file_rates)} Hz"))
    if song.seconds == 0:
        found.append(("problem", "empty", "it is 0 samples long"))
    return [Finding(severity=s, kind=kind, text=text, song=song.name) for s, kind, text in found]


def _of_mixture(song: SongFacts) -> list[tuple[Severity, str, str]]:
    if song.mixture_error_db is None:
        return []
    error = f"mixture minus stems is {song.mixture_error_db:.1f} dB of the mixture"
    if song.complete is False:
        return [("note", "incomplete", f"{error}: there is no reference of what the stems leave")]
    if song.unexplained and song.mixed_anew:
        return [("warning", "mixture", f"{error}, as it has other gains: its accompaniment and other are not known")]
    if song.unexplained:
        text = f"{error}: a stem is missing, shifted or another recording"
        return [("problem", "mixture", text)]
    if song.mixture_level_db is not None and abs(song.mixture_level_db) > LEVEL_DB:
        level = f"{abs(song.mixture_level_db):.1f} dB {'louder' if song.mixture_level_db > 0 else 'quieter'}"
        return [("warning", "level", f"the mixture is {level} than its stems' sum")]
    return []


def _copies(songs: Sequence[SongFacts], prints: Sequence[Fingerprint | None]) -> list[Finding]:
    """Songs that are the same recording: across splits a problem, within one a warning."""
    with_sound = [i for i, found in enumerate(prints) if found is not None]
    matches = same_recordings([found for found in prints if found is not None])
    findings = []
    for match in matches:
        first, second = songs[with_sound[match.first]], songs[with_sound[match.second]]
        leak = first.split != second.split
        where = f" ({first.split})" if first.split else ""
        other = f"{second.name}{f' ({second.split})' if second.split else ''}"
        text = f"the same recording as {other}: {100 * match.different_bits:.0f} % of the fingerprint's bits differ"
        text += "; what is tested or validated was learnt" if leak else ""
        findings.append(
            Finding(
                severity="problem" if leak else "warning",
                kind="leak" if leak else "duplicate",
                text=f"{text}." if leak else text,
                song=f"{first.name}{where}",
            )
        )
    return findings


def _of_all(songs: Sequence[SongFacts]) -> list[Finding]:
    rates = Counter(song.sample_rate for song in songs)
    found = []
    if len(rates) > 1:
        text = f"songs have several rates: {', '.join(f'{n} of {rate} Hz' for rate, n in rates.most_common())}"
        found.append(Finding(severity="note", kind="rates", text=text))
    incomplete = sum(song.complete is False for song in songs)
    if incomplete:
        text = f"{incomplete} songs have no reference of the accompaniment: a training can use their stems only"
        found.append(Finding(severity="note", kind="incomplete", text=text))
    return found


def _report(
    spec: str,
    opened: Sequence[tuple[str | None, Dataset]],
    songs: Sequence[SongFacts],
    findings: Sequence[Finding],
    listened: bool,
) -> DatasetReport:
    seconds = [song.seconds for song in songs]
    stems = Counter(stem for _, dataset in opened for track in dataset for stem in track.stems)
    return DatasetReport(
        dataset=spec,
        layout=_layout(spec, opened),
        songs=tuple(songs),
        findings=tuple(sorted(findings, key=lambda f: ("problem", "warning", "note").index(f.severity))),
        counts={split or "all": len(dataset) for split, dataset in opened},
        sample_rates=dict(Counter(song.sample_rate for song in songs)),
        stems=dict(stems),
        hours=sum(seconds) / 3600,
        shortest_seconds=min(seconds),
        median_seconds=median(seconds),
        longest_seconds=max(seconds),
        listened=listened,
    )


def _layout(spec: str, opened: Sequence[tuple[str | None, Dataset]]) -> str:
    kind, _, path = spec.partition(":")
    layouts = dict.fromkeys(str(d.layout) for _, d in opened if hasattr(d, "layout"))
    if layouts:
        return " and ".join(layouts)
    if kind == "musdb":
        from .musdb import STEM_FILE

        return "MUSDB18" if any(Path(path).expanduser().glob(f"*/*{STEM_FILE}")) else "MUSDB18-HQ"
    return KINDS[kind] if kind in FOLDER_KINDS else "made or announced"


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))
