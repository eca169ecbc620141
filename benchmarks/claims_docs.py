"""Which numbers of the pages are quoted, and whether the ledger has them: `python -m benchmarks.claims_docs`.

A *passage* is a paragraph, a list item, a table or a code block. One that names a paper, a benchmark or a published
system (WORDS) and holds a score or a size (NUMBERS) must say where its numbers are from, in itself or in a comment on
the line before or after it:

    [ismir22-table1], <!-- ledger: ismir22-table1 -->     from the ledger: every number is checked against it
    <!-- measured: python -m benchmarks.run … -->         measured here, by that command
    <!-- no published number: why -->                     neither (a definition, a rule)

A table belongs to the sentence right before it. With a ledger mark alone, every number has to be in the tables named;
beside a `measured` mark the others may be ours. Pages below benchmarks/results are made by commands that they name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .claims_schema import Ledger, read_ledger

WORDS = re.compile(
    r"MUSDB|\bMDX\b|\bSDX\b|SiSEC|Slakh|MedleyDB|Saraga|Music Demixing|\bleaderboard|\bpublished\b|\bpapers?\b|arXiv|"
    r"et al\b|Demucs|Conv-TasNet|Wave-U-Net|\bWaveNet\b|Open-Unmix|\bX?UMX\b|LaSAFT-Net|InstGlow|\bI?MSDM\b|Diff-DMX",
    re.IGNORECASE,
)
NUMBERS = re.compile(r"(?<![\w.+−-])([-−+]?\d+(?:\.\d+)?)\s*(?:dB|M)\b")
OTHER_UNITS = r"(?!\s*(?:k?Hz|s\b|ms\b|[MGk]B|%|hours?|h\b|times))"
CELL_NUMBERS = re.compile(r"(?<![\w.+−-])(?<!CC0 )([-−+]?\d+\.\d{1,3})(?![\w.])" + OTHER_UNITS)
MARKS = re.compile(r"\[([a-z0-9][a-z0-9-]*)\](?!\()|<!--\s*ledger:\s*([^>]*?)\s*-->")
MEASURED = re.compile(r"<!--\s*measured:\s*\S.*?-->", re.DOTALL)
NOT_PUBLISHED = re.compile(r"<!--\s*no published number:\s*\S.*?-->", re.DOTALL)
RESULTS = "benchmarks/results/"
FENCE = re.compile(r"^\s*(```|~~~)")


class Passage(NamedTuple):
    """Lines of a page that belong together, with the comment lines around them."""

    path: str
    line: int  # of its first line, from 1
    text: str
    marks: str  # comments around it

    @property
    def is_table(self) -> bool:
        return self.text.lstrip().startswith("|")


class Fault(NamedTuple):
    """A passage that quotes without saying from where, or what the ledger has not."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


def passages(path: str, text: str) -> list[Passage]:
    """The passages of a Markdown page, in order; a fenced block is one passage whatever lies in it."""
    blocks: list[tuple[int, list[str]]] = []
    open_fence, starts_anew = False, True
    for number, line in enumerate(text.splitlines(), start=1):
        fence = FENCE.match(line) is not None
        item = re.match(r"\s*(?:[-*]|\d+\.)\s", line) is not None and not open_fence
        comment = line.strip().startswith("<!--") and line.strip().endswith("-->") and not open_fence
        heading = line.startswith("#") and not open_fence
        if not line.strip() and not open_fence:
            starts_anew = True
            continue
        if starts_anew or (fence and not open_fence) or item or comment or heading:
            blocks.append((number, []))
        blocks[-1][1].append(line)
        open_fence ^= fence
        starts_anew = comment or heading or (fence and not open_fence)
    return list(_with_marks(path, [(number, "\n".join(lines)) for number, lines in blocks]))


def _with_marks(path: str, blocks: list[tuple[int, str]]) -> Iterator[Passage]:
    def is_comment(index: int) -> bool:
        return 0 <= index < len(blocks) and blocks[index][1].lstrip().startswith("<!--")

    for index, (line, text) in enumerate(blocks):
        if not is_comment(index):
            around = [blocks[other][1] for other in (index - 1, index + 1) if is_comment(other)]
            yield Passage(path, line, text, "\n".join(around))


def numbers_in(text: str) -> list[str]:
    """Scores and sizes: numbers before dB or M, and decimals in the cells of a table; inline code does not count."""
    plain = _without_code(text)
    found: list[str] = list(NUMBERS.findall(plain))
    for row in (line for line in plain.splitlines() if line.lstrip().startswith("|")):
        found += CELL_NUMBERS.findall(NUMBERS.sub(" ", row))
    return found


def faults_of(path: str, text: str, ledger: Ledger) -> list[Fault]:
    """Every fault of a page."""
    found: list[Fault] = []
    before: Passage | None = None
    for passage in passages(path, text):
        context = passage.text
        if passage.is_table and before is not None and not before.is_table:
            context = f"{before.text}\n{context}"  # the sentence that introduces a table
        found += _faults(passage, context, ledger)
        before = passage
    return found


def _faults(passage: Passage, context: str, ledger: Ledger) -> Iterator[Fault]:
    numbers = numbers_in(passage.text)
    if not numbers or not WORDS.search(_without_code(context)):
        return
    everything = f"{context}\n{passage.marks}"
    named = [name for match in MARKS.finditer(everything) for name in _names(match)]
    unknown = [name for name in named if not _values(name, ledger)]
    measured = MEASURED.search(everything) is not None
    if unknown:
        yield Fault(passage.path, passage.line, f"the ledger has no {', '.join(unknown)}")
    elif not named and not measured and not NOT_PUBLISHED.search(everything):
        shown = ", ".join(numbers[:4])
        yield Fault(
            passage.path, passage.line, f"says {shown} beside a paper's or benchmark's name, and not from where"
        )
    elif named and not measured:
        values = [value for name in named for value in _values(name, ledger)]
        for number in numbers:
            if not _is_among(number, values):
                yield Fault(passage.path, passage.line, f"{number} is not in {', '.join(dict.fromkeys(named))}")


def _names(match: re.Match[str]) -> list[str]:
    return [name.strip() for name in (match.group(1) or match.group(2)).split(",") if name.strip()]


def _values(name: str, ledger: Ledger) -> list[float]:
    """The numbers that an id stands for: of a table, of a claim, or a difference."""
    cells = [claim.value for claim in ledger.claims.values() if name in (claim.id, claim.table.id)]
    return cells + [relative.by for relative in ledger.relative if relative.id == name]


def _is_among(number: str, values: list[float]) -> bool:
    """Whether a number is one of the values at the digits that it is written with; signs of gains may be left out."""
    value, digits = float(number.replace("−", "-")), len(number.partition(".")[2])
    return any(abs(abs(value) - abs(round(one, digits))) < 1e-9 for one in values)


def _without_code(text: str) -> str:
    """Text without inline code: `lightsaft_mdx` names no benchmark."""
    return re.sub(r"`[^`\n]+`", " ", text)


def check_pages(pages: list[Path], root: Path) -> list[Fault]:
    """The faults of several pages."""
    ledger = read_ledger()
    own = [page for page in pages if RESULTS not in page.relative_to(root).as_posix()]
    return [
        fault
        for page in own
        for fault in faults_of(page.relative_to(root).as_posix(), page.read_text(encoding="utf-8"), ledger)
    ]


def main() -> int:
    """Print every fault of the Markdown pages below the current folder; 1 where there are some."""
    root = Path.cwd()
    hidden = {".venv", ".git", "runs", "site", "node_modules"}
    pages = [path for path in sorted(root.rglob("*.md")) if not hidden & set(path.relative_to(root).parts)]
    faults = check_pages(pages, root)
    print(
        "\n".join(map(str, faults)) or f"{len(pages)} pages: every quoted number is in the ledger or says its source."
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
