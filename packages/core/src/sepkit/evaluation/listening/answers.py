"""What listeners said: webMUSHRA's result files read back, line by line, and told apart by listener."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ...errors import DatasetError, nearest
from .manifest import Manifest
from .presets import PRESETS, Preset
from .webmushra import RATER_FIELD

Cell = tuple[str, str]
"""A page's id and a stimulus's key."""

COLUMNS = {
    "mushra": ("rating_stimulus", "rating_score", "rating_time"),
    "likert_multi_stimulus": ("stimuli", "stimuli_rating", "rating_time"),
}
"""webMUSHRA's names for stimulus, score and time by page type (service/write.php)."""
NOT_RATED = ("", "NA")


class Sitting(NamedTuple):
    """All answers of one listener in one go; a score is None where the page was left without one."""

    rater: str
    scores: Mapping[Cell, float | None]
    place: str  # file and first line


class Answers(NamedTuple):
    """One sitting for each rater, the first; `repeated` are further sittings under the same code, `notes` say more."""

    sittings: tuple[Sitting, ...]
    repeated: tuple[Sitting, ...]
    notes: tuple[str, ...]


class _Line(NamedTuple):
    place: str
    session: str
    rater: str
    cell: Cell
    score: float | None
    time: str


def read_answers(paths: Sequence[Path], manifest: Manifest) -> Answers:
    """The answers in webMUSHRA's files (mushra.csv or lms.csv, as the preset has it) to the test of `manifest`.

    Listeners are told apart by the code that the last page asks for, and by the session where the file names it. The
    same answers sent twice count once. Raises DatasetError that names file and line for a line that is torn, of
    another test, or about a page or stimulus that the test has not.
    """
    if not paths:
        raise DatasetError(f"no file was given: name the {PRESETS[manifest.preset].results_file} of webMUSHRA.")
    sittings = [sitting for path in paths for sitting in _sittings(_lines(path, manifest))]
    if not sittings:
        raise DatasetError(f"{', '.join(map(str, paths))}: no answer to the test {manifest.name!r} is in there.")
    first: dict[str, Sitting] = {}
    repeated, notes = [], []
    for sitting in sittings:
        earlier = first.setdefault(sitting.rater, sitting)
        if earlier is sitting:
            continue
        if earlier.scores == sitting.scores:
            notes.append(f"{sitting.place}: the answers of {sitting.rater} were sent twice and count once")
        else:
            repeated.append(sitting)
    return Answers(tuple(first.values()), tuple(repeated), tuple(notes))


def _sittings(lines: Iterator[_Line]) -> list[Sitting]:
    """Lines as sittings: webMUSHRA writes each in one piece, so a repeated answer begins another."""
    scores: dict[str, dict[Cell, float | None]] = {}
    found: list[Sitting] = []
    for line in lines:
        if line.session not in scores or line.cell in scores[line.session]:
            scores[line.session] = {}
            found.append(Sitting(line.rater, scores[line.session], line.place))
        scores[line.session][line.cell] = line.score
    return found


def _lines(path: Path, manifest: Manifest) -> Iterator[_Line]:
    preset = PRESETS[manifest.preset]
    cells = {(page.id, stimulus.key) for page in manifest.pages for stimulus in page.stimuli}
    reader = csv.reader(_text(path).splitlines(keepends=True))
    header = next(reader, [])
    _check_header(path, header, preset)
    for fields in reader:
        place = f"{path}, line {reader.line_num}"
        if not fields or fields == header:  # an empty line, or files that were joined
            continue
        if len(fields) != len(header):
            raise DatasetError(
                f"{place}: {len(fields)} fields where {len(header)} are wanted: the line is torn; remove the lines "
                "of this sitting, or take the file from the server again."
            )
        row = dict(zip(header, fields, strict=True))
        if row["session_test_id"] != manifest.name:
            raise DatasetError(
                f"{place}: an answer to the test {row['session_test_id']!r}, and this one is {manifest.name!r}: "
                "give the results of this test."
            )
        if row["trial_id"].startswith(manifest.training.id):
            continue
        yield _line(place, row, header, preset, cells)


def _line(place: str, row: Mapping[str, str], header: Sequence[str], preset: Preset, cells: set[Cell]) -> _Line:
    stimulus, score, time = (row[name] for name in COLUMNS[preset.page_type])
    page, stimulus = row["trial_id"], stimulus.strip()
    if (page, stimulus) not in cells:
        pages, keys = {known for known, _ in cells}, {key for of, key in cells if of == page}
        wrong = f"no stimulus {stimulus!r} on page {page!r}; {nearest(stimulus, keys)}"
        if page not in pages:
            wrong = f"no page {page!r}; {nearest(page, pages)}"
        raise DatasetError(f"{place}: the manifest has {wrong} Read the results with the folder that was served.")
    rater, session = _rater(place, row, header)
    return _Line(place, session, rater, (page, stimulus), _score(place, score, preset), time)


def _rater(place: str, row: Mapping[str, str], header: Sequence[str]) -> tuple[str, str]:
    """A name for the listener, and what marks the sitting: the session where the file has it, else the name."""
    session = row.get("session_uuid", "").strip()
    name = row.get(RATER_FIELD, "").strip()
    if not name:
        asked = header[header.index("session_test_id") + 1 : header.index("trial_id")]
        name = session or ", ".join(row[field].strip() for field in asked if row[field].strip())
    if not name:
        raise DatasetError(
            f"{place}: nothing tells this listener from others (no {RATER_FIELD!r}, no session_uuid): keep the last "
            "page's question for a code, and fill it in here by hand where it is known."
        )
    return name, session or name


def _score(place: str, text: str, preset: Preset) -> float | None:
    text = text.strip()
    if text in NOT_RATED:
        return None
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not preset.lowest <= score <= preset.highest or (preset.steps and score != round(score)):
        what = "a whole number" if preset.steps else "a number"
        raise DatasetError(f"{place}: the score {text!r} is not {what} from {preset.lowest} to {preset.highest}.")
    return score


def _check_header(path: Path, header: Sequence[str], preset: Preset) -> None:
    wanted = ["session_test_id", "trial_id", *COLUMNS[preset.page_type]]
    missing = [name for name in wanted if name not in header]
    if missing:
        raise DatasetError(
            f"{path}: the first line has no column {missing[0]!r}: webMUSHRA's {preset.results_file} of a "
            f"{preset.page_type} page is wanted, with its first line (it has {', '.join(header) or 'nothing'})."
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise DatasetError(f"{path} cannot be read ({reason}): give webMUSHRA's CSV file.") from error
