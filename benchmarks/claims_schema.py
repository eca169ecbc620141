"""The ledger of published numbers, `published.json`, as checked values: papers, tables of claims, differences.

A table holds a row for each system and a column for each measure; a claim is one cell, and its id is
`TABLE/ROW/COLUMN`. A relative claim names two cells and the difference that the paper's numbers have.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from sepkit.config import Frozen
from sepkit.errors import UnknownNameError, nearest
from sepkit.evaluation.recipe import Aggregate

LEDGER = Path(__file__).parent / "published.json"
PARAMETERS = "parameters"
"""The one metric that is no score: millions of trainable numbers, counted and not measured."""


class Paper(Frozen):
    """A source of numbers; `title` None where we know only what it is about."""

    about: str
    title: str | None
    authors: str
    venue: str
    arxiv: str | None
    methods: tuple[str, ...]


class PaperData(Frozen):
    """A dataset that papers score on; `kind` is ours (`open_dataset`), None where nobody can have it (`missing`)."""

    title: str
    split: str
    kind: str | None
    missing: str | None = None

    @model_validator(mode="after")
    def _kind_or_reason(self) -> Self:
        if (self.kind is None) != (self.missing is not None):
            raise ValueError("a dataset has either a kind or the reason why there is none")
        return self


class Ours(Frozen):
    """Which run here is the published system: method, options, quality; None of `quality` is any.

    `parameters` of the published network, so that weights of another one are not taken for it.
    """

    method: str
    options: dict[str, Any] = Field(default_factory=dict)
    quality: str | None = None
    parameters: int | None = None
    extra_training_data: bool = False


class Column(Frozen):
    """What a column measures: `metric` is ours, None with the reason where none fits; `equal` for counts."""

    id: str
    stem: str | None  # `mean` is the mean over stems
    measure: str
    unit: str
    metric: str | None
    better: Literal["higher", "lower", "equal"]
    reason: str | None = None

    @model_validator(mode="after")
    def _metric_or_reason(self) -> Self:
        if (self.metric is None) != (self.reason is not None):
            raise ValueError(f"column {self.id} has either a metric or the reason why there is none")
        return self


class Row(Frozen):
    """One system of a table and its numbers, None where the paper has none; ours, or why it is missing."""

    id: str
    model: str
    settings: dict[str, Any]
    values: tuple[float | None, ...]
    ours: Ours | None = None
    missing: str | None = None
    evidence: str | None = None

    @model_validator(mode="after")
    def _ours_or_reason(self) -> Self:
        if (self.ours is None) != (self.missing is not None):
            raise ValueError(f"row {self.id} has either a method of ours or the reason why there is none")
        return self


class PublishedTable(Frozen):
    """A published table; `evidence` says how we know it, `over_tracks` overrules the recipe's aggregation."""

    id: str
    paper: str
    title: str
    dataset: str | None
    evidence: str
    recipe: str | None
    over_tracks: Aggregate | None = None
    reason: str | None = None  # why no recipe fits
    aggregation: str
    caveats: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ValueError(f"{self.id}/{row.id} has {len(row.values)} values for {len(self.columns)} columns")
        scored = any(column.metric not in (None, PARAMETERS) for column in self.columns)
        if scored != (self.recipe is not None):
            raise ValueError(f"{self.id} has a recipe exactly where a column has a metric of one")
        return self

    def claims(self) -> Iterator[Claim]:
        """Every cell that has a number."""
        for row in self.rows:
            for column, value in zip(self.columns, row.values, strict=True):
                if value is not None:
                    yield Claim(table=self, row=row, column=column, value=value)


class Claim(Frozen):
    """One published number."""

    table: PublishedTable
    row: Row
    column: Column
    value: float

    @property
    def id(self) -> str:
        return f"{self.table.id}/{self.row.id}/{self.column.id}"

    @property
    def what(self) -> str:
        """In words: system and measure."""
        stem = f"{self.column.stem} " if self.column.stem else ""
        return f"{self.row.model}: {stem}{self.column.measure}"


class RelativeClaim(Frozen):
    """`first` scores `by` more than `second` (ids of claims); `similar` claims that it makes no odds."""

    id: str
    kind: Literal["greater", "similar"]
    first: str
    second: str
    by: float
    claim: str


class Statement(Frozen):
    """Something that a paper says without a number that could be tested, and why it is not tested."""

    id: str
    paper: str
    text: str
    missing: str


class Ledger(Frozen):
    """All of `published.json`; ids are unique across tables, relative claims, statements and papers."""

    papers: dict[str, Paper]
    datasets: dict[str, PaperData]
    tables: tuple[PublishedTable, ...]
    relative: tuple[RelativeClaim, ...]
    statements: tuple[Statement, ...]

    @model_validator(mode="after")
    def _ids_are_unique_and_known(self) -> Self:
        ids = [*self.papers, *self.claims, *(x.id for x in self.tables), *(x.id for x in self.relative)]
        ids += [x.id for x in self.statements]
        cells = sum(value is not None for table in self.tables for row in table.rows for value in row.values)
        twice = {one for one in ids if ids.count(one) > 1}
        if twice or cells != len(self.claims):
            raise ValueError(f"ids are there twice: {', '.join(sorted(twice)) or 'of claims within a table'}")
        for name, paper in [(x.id, x.paper) for x in self.tables] + [(x.id, x.paper) for x in self.statements]:
            if paper not in self.papers:
                raise ValueError(f"{name} is of the paper {paper!r}, which is not in the ledger")
        for table in self.tables:
            if table.dataset is not None and table.dataset not in self.datasets:
                raise ValueError(f"{table.id} is on {table.dataset!r}, which is not among the datasets")
        for relative in self.relative:
            self._check_relative(relative)
        return self

    def _check_relative(self, relative: RelativeClaim) -> None:
        for name in (relative.first, relative.second):
            if name not in self.claims:
                raise ValueError(f"{relative.id} names {name!r}: {nearest(name, self.claims)}")
        first, second = self.claims[relative.first], self.claims[relative.second]
        if abs(first.value - second.value - relative.by) > 5e-4:
            raise ValueError(f"{relative.id}: {first.value} - {second.value} is not {relative.by}")

    @cached_property
    def claims(self) -> dict[str, Claim]:
        """Every published number by its id."""
        return {claim.id: claim for table in self.tables for claim in table.claims()}

    @property
    def tables_by_id(self) -> dict[str, PublishedTable]:
        return {table.id: table for table in self.tables}

    def _near(self, name: str, known: set[str]) -> str:
        """The nearest ids, and of the hundreds that there are only the papers and tables."""
        close = get_close_matches(name, sorted(known), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        tables = ", ".join(sorted({*self.papers, *self.tables_by_id}))
        return f"{hint}Papers and tables: {tables}, all; a claim is TABLE/ROW/COLUMN."

    def chosen(self, names: str) -> Selection:
        """What `--paper` names: ids of papers, tables, claims, relative claims or statements, or `all`.

        A table brings the differences of which both sides are its own; a paper brings all that is its own.
        Raises UnknownNameError with the nearest id.
        """
        wanted = [name.strip() for name in names.split(",") if name.strip()]
        known = {"all", *self.papers, *self.tables_by_id, *self.claims, *(x.id for x in self.relative)}
        known |= {x.id for x in self.statements}
        for name in wanted or [names]:
            if name not in known:
                raise UnknownNameError(f"No published table or claim is named {name!r}: {self._near(name, known)}")
        asked = set(wanted)

        def of(paper: str) -> bool:
            return "all" in asked or paper in asked

        claims = [c for c in self.claims.values() if of(c.table.paper) or c.table.id in asked or c.id in asked]
        inside = {claim.id for claim in claims}
        relative = [r for r in self.relative if r.id in asked or {r.first, r.second} <= inside]
        statements = [s for s in self.statements if of(s.paper) or s.id in asked]
        return Selection(tuple(claims), tuple(relative), tuple(statements))


class Selection(NamedTuple):
    """Claims, relative claims and statements that were asked for."""

    claims: tuple[Claim, ...]
    relative: tuple[RelativeClaim, ...]
    statements: tuple[Statement, ...]


@lru_cache
def read_ledger(path: Path = LEDGER) -> Ledger:
    """The ledger, checked; raises pydantic's ValidationError for one that does not hold together."""
    return Ledger.model_validate_json(path.read_text(encoding="utf-8"))
