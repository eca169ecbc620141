"""Where songs come from: public benchmarks that the user has, and songs made or rendered here, each a domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sepkit.config import Frozen
from sepkit.data.opening import open_dataset
from sepkit.data.track import Dataset
from sepkit.errors import DatasetError, SepkitError

KINDS: Mapping[str, str | None] = {
    "musdb18": "musdb",
    "medleydb": "medleydb",
    "saraga": "saraga",
    "synthetic": "synthetic",
    "rendered": "folder",
    "real": "folder",
}
"""Domains in the order of the tables, and the kind of dataset that a bare path to each is taken for."""
TITLES = {
    "musdb18": "MUSDB18's test songs",
    "medleydb": "MedleyDB",
    "saraga": "Saraga Carnatic",
    "synthetic": "songs made by our own code, test seeds",
    "rendered": "songs rendered from soundfonts and sung words, a seed of their own",
    "real": "real songs",
}
SYNTHETIC = "synthetic:4"
RENDER_SEED = 20_261_121  # not one of those that training sets are rendered from
RENDER_SECONDS = 30.0


class Domain(Frozen):
    """A set of songs, or the `reason` why it is not there."""

    name: str
    title: str
    spec: str | None
    reason: str | None = None
    songs: int = 0
    notes: tuple[str, ...] = ()


def open_domains(
    given: Mapping[str, str], out: Path, rendered: int, wanted: Sequence[str]
) -> list[tuple[Domain, Dataset | None]]:
    """Every wanted domain in order, with its songs where they are there; nothing is left out without its reason.

    Raises DatasetError for all that was given and cannot be read, before anything is rendered.
    """
    opened = {name: open_domain(name, given[name], out, rendered) for name in KINDS if name in wanted and name in given}
    wrong = [f"--data {domain.name}: {domain.reason}" for domain, songs in opened.values() if songs is None]
    if wrong:
        raise DatasetError("\n".join(wrong))
    others = {name: open_domain(name, None, out, rendered) for name in KINDS if name in wanted and name not in given}
    return [(opened | others)[name] for name in KINDS if name in wanted]


def open_domain(name: str, spec: str | None, out: Path, rendered: int) -> tuple[Domain, Dataset | None]:
    """One domain: what the user gave, made songs by default, or the reason why there are none."""
    title = TITLES[name]
    try:
        if spec is None and name == "synthetic":
            spec = SYNTHETIC
        if spec is None and name == "rendered":
            spec = render_songs(out, rendered)
        if spec is None:
            return Domain(name=name, title=title, spec=None, reason=f"not given: --data {name}=PATH"), None
        songs = open_dataset(spec, "test" if spec.partition(":")[0] in ("musdb", "synthetic") else None)
    except SepkitError as error:
        return Domain(name=name, title=title, spec=spec, reason=str(error)), None
    return Domain(name=name, title=title, spec=spec, songs=len(songs), notes=songs.notes), songs


def render_songs(out: Path, count: int) -> str:
    """Render songs below `out`, or find them there: a dataset spec.

    Raises SepkitError where soundfonts, fluidsynth or flite are missing, with what to install.
    """
    from sepkit.data.production import Ingredients
    from sepkit.data.render import RenderPlan, render
    from sepkit.data.soundfonts import find_soundfonts

    ingredients = Ingredients(seconds=RENDER_SECONDS, soundfonts=tuple(find_soundfonts()), made_chance=0.0)
    plan = RenderPlan(out / "rendered", ingredients, RENDER_SEED)
    render(plan, count, report=lambda line: None)
    return f"folder:{plan.out}"
