"""Laws of the report's file: it needs nothing else, believes no name, keeps to its size, and mixes no runs."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sepkit import Audio
from sepkit.cli.main import app
from sepkit.errors import DatasetError, UnknownNameError
from sepkit.evaluation.out_folder import file_name
from sepkit.evaluation.page.budget import SHORTEST_SECONDS, shares
from sepkit.evaluation.page.runs import load_run, sections_of
from sepkit.evaluation.page.writing import as_script
from sepkit.evaluation.recipe import RECIPES
from sepkit.evaluation.report import PageOptions, write_report, write_results
from sepkit.evaluation.score import EVERY_STEM, Score, ScoreLog

RATE = 8000
RECIPE = RECIPES["sdx23"]
STEMS = ("vocals", "other")
HOSTILE = "</script><img src=x onerror=alert(1)> & \"'\u2028"


def row(method: str = "a", track: str = "one", stem: str = "vocals", value: float = 1.0, **more: Any) -> Score:
    fields = {"metric": RECIPE.metrics[0], "recipe": RECIPE.name, "view": STEMS, "truth": stem, "dataset": "d"}
    return Score(**{**fields, "method": method, "track": track, "stem": stem, "value": value, **more})


def noise(seed: int, seconds: float = 6.0, gain: float = 0.1) -> np.ndarray:
    return gain * np.random.default_rng(seed).standard_normal((2, round(seconds * RATE))).astype(np.float32)


def write_run(
    folder: Path, methods=("a", "b"), tracks=("one",), *, sound: bool = True, seconds: float = 6.0, **more
) -> Path:
    """A run's folder: each method's stems are the truth times a gain of its own."""
    rows = []
    for number, track in enumerate(tracks):
        truths = {stem: noise(10 * number + i, seconds) for i, stem in enumerate(STEMS)}
        files = {f"references/{file_name(track)}/{stem}.wav": x for stem, x in truths.items()}
        files[f"references/{file_name(track)}/mixture.wav"] = sum(truths.values())
        for index, method in enumerate(methods):
            for stem, x in truths.items():
                files[f"stems/{file_name(method)}/{file_name(track)}/{stem}.wav"] = x * (index + 1) / 2
            rows += [row(method, track, stem, index + 1.0, **more) for stem in STEMS]
        for name, x in files.items() if sound else ():
            Audio(x, RATE).write(folder / name, overwrite=True)
    with ScoreLog(folder / "scores.jsonl") as log:
        log.append(rows)
    return folder


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, and the text of scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] == "script":
            name = self.elements[-1][1].get("id") or "code"
            self.scripts[name] = self.scripts.get(name, "") + data

    @property
    def data(self) -> dict[str, Any]:
        return json.loads(self.scripts["data"])

    def clips(self) -> list[np.ndarray]:
        """The sound of the page, t c as integers."""
        texts = [text for name, text in self.scripts.items() if name.startswith("clip-")]
        return [soundfile.read(BytesIO(b64decode(text)), dtype="int16")[0] for text in texts]


def report(folders, path: Path, **options: Any) -> Page:
    write_report(folders, path, PageOptions(**options))
    return Page(path.read_text(encoding="utf-8"))


def test_the_page_is_one_file_that_refers_to_nothing(tmp_path: Path):
    page = report([write_run(tmp_path / "run")], tmp_path / "out" / "page.html")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["page.html"]
    references = {
        value
        for tag, attributes in page.elements
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "poster", "data", "action", "background"}
    }
    assert all(value.startswith(("#", "data:")) for value in references), references
    code = page.text.replace("http://www.w3.org/2000/svg", "")  # the name of a namespace, not a place
    code = re.sub(r'<script type="text/plain"[^<]*', "", code)  # base64 may spell anything
    assert re.findall(r"https?:|[\"'`]//|@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|import\(", code) == []
    [policy] = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy


def test_no_name_becomes_markup(tmp_path: Path):
    page = report(
        [write_run(tmp_path / "run", (HOSTILE, "b"), (HOSTILE,), dataset=HOSTILE)], tmp_path / "p.html", title=HOSTILE
    )
    tags = [tag for tag, _ in page.elements]
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.data["tracks"][0]["name"] == HOSTILE
    assert {source["name"] for source in page.data["tracks"][0]["sources"]} >= {HOSTILE, "b"}


@given(st.recursive(st.text() | st.none() | st.floats(allow_nan=False, allow_infinity=False), st.lists, max_leaves=5))
def test_data_comes_back_and_cannot_end_its_script(value: Any):
    text = as_script([value, HOSTILE])
    assert "<" not in text
    assert json.loads(text) == [value, HOSTILE]


def test_sound_is_what_lies_in_the_run_to_a_step_and_equal_files_are_there_once(tmp_path: Path):
    page = report([write_run(tmp_path / "run", ("a", "b"))], tmp_path / "p.html", excerpt_seconds=3.0)
    [track] = page.data["tracks"]
    assert track["length"] == 3.0
    clips = page.clips()
    assert len(clips) == 5  # mixture, two stems, half of each: method b returns the truth itself
    start = round(track["start"] * RATE)
    files = [noise(0) + noise(1), noise(0), noise(1), noise(0) / 2, noise(1) / 2]
    for clip in clips:
        assert clip.shape == (3 * RATE, 2)
        errors = [np.abs(clip.T - 32768 * x[:, start : start + 3 * RATE]).max() for x in files]
        assert min(errors) <= 1.51
    sources = [source["name"] for source in track["sources"]]
    assert sources == ["mixture", "reference", "a", "b"]
    reference, b = sources.index("reference"), sources.index("b")
    for group in track["groups"]:
        clip = {int(source): track["files"][clip] for source, clip in group["clips"].items()}
        assert clip[reference] == clip[b]  # the very same sound, so their difference is silence


def test_a_track_beyond_full_scale_is_turned_down_as_a_whole(tmp_path: Path):
    folder = write_run(tmp_path / "run", ("a",), seconds=2.0)
    loud = 3.0 * np.ones((2, 2 * RATE), np.float32)
    Audio(loud, RATE).write(folder / "stems" / "a" / "one" / "vocals.wav", overwrite=True)
    page = report([folder], tmp_path / "p.html")
    assert page.data["tracks"][0]["gainDb"] == pytest.approx(20 * np.log10(0.999 / 3), abs=0.01)
    peaks = sorted(np.abs(clip.astype(float)).max() / 32768 for clip in page.clips())
    assert peaks[-1] == pytest.approx(0.999, abs=0.001)
    assert peaks[0] < 0.999 * np.abs(noise(0, 2.0)).max() / 3 + 0.001


@given(
    st.lists(st.tuples(st.floats(1e3, 1e7), st.floats(0.5, 60)), min_size=1, max_size=12),
    st.integers(0, 10**9),
)
def test_shares_keep_to_the_budget_and_to_the_shortest_excerpt(tracks: list[tuple[float, float]], budget: int):
    rates, lengths = [rate for rate, _ in tracks], [length for _, length in tracks]
    found = shares(rates, lengths, [1000] * len(rates), budget)
    assert sum(share.seconds * rate for share, rate in zip(found, rates, strict=True)) <= budget
    assert sum(share.bytes + 1000 * (share.seconds > 0) for share in found) <= budget
    kept = [share.seconds > 0 for share in found]
    assert kept == sorted(kept, reverse=True)  # the last ones go first
    for share, length in zip(found, lengths, strict=True):
        assert share.seconds <= length
        assert share.seconds == 0 or share.seconds >= min(SHORTEST_SECONDS, length) - 1e-6
    if budget >= 1.1 * sum(rate * length + 1000 for rate, length in tracks):
        assert [share.seconds for share in found] == lengths


@pytest.mark.parametrize(("megabytes", "audible"), [(4.2, 3), (2.5, 2), (0.4, 0)])
def test_the_page_keeps_to_its_size_and_says_what_that_cost(tmp_path: Path, megabytes: float, audible: int):
    run = write_run(tmp_path / "run", ("a",), ("one", "two", "three"), seconds=8.0)
    path = tmp_path / "p.html"
    written = write_report([run], path, PageOptions(budget_megabytes=megabytes))
    assert written.audible == audible
    assert path.stat().st_size == written.bytes
    if audible:
        assert written.bytes <= megabytes * 1e6
    said = " ".join(written.notes)
    assert ("were shortened to" in said) == (audible > 0)
    assert ("have no players" in said) == (audible < 3)
    text = path.read_text()
    assert all(note in text for note in written.notes)
    roomy = write_report([run], path, PageOptions())
    assert (roomy.audible, list(roomy.notes)) == (3, [])


def test_runs_that_share_a_dataset_share_tables_and_methods_keep_apart(tmp_path: Path):
    first = write_run(tmp_path / "first", ("a", "mixture"))
    second = write_run(tmp_path / "second", ("a", "mixture", "c"))
    [section] = sections_of([load_run(first), load_run(second)])
    assert {row.row.method for row in section.rows} == {"a (first)", "a (second)", "mixture", "c"}
    assert section.notes == ["equal in all runs, shown once: mixture"]
    page = report([first, second], tmp_path / "p.html")
    names = [source["name"] for source in page.data["tracks"][0]["sources"]]
    assert names == ["mixture", "reference", "a (first)", "mixture, as the estimate", "a (second)", "c"]


@pytest.mark.parametrize("change", [{"dataset": "other"}, {"quality": "best"}])
def test_other_datasets_and_qualities_never_share_a_table(tmp_path: Path, change: dict[str, str]):
    runs = [write_run(tmp_path / "first", ("a",)), write_run(tmp_path / "second", ("a",), **change)]
    sections = sections_of([load_run(run) for run in runs])
    assert len(sections) == len({section.title for section in sections}) == 2
    assert all(len({(r.dataset, r.quality) for r in section.scores}) == 1 for section in sections)
    page = report(runs, tmp_path / "p.html")
    assert [tag for tag, attributes in page.elements if attributes.get("class") == "dataset"] == ["section", "section"]
    keys = [track["key"] for track in page.data["tracks"]]
    assert len(set(keys)) == 2  # two tracks of one name have addresses of their own


def test_folders_of_one_name_are_told_apart(tmp_path: Path):
    runs = [write_run(tmp_path / side / "run", ("a",), sound=False) for side in ("left", "right")]
    [section] = sections_of([load_run(run) for run in runs])
    assert {row.row.method for row in section.rows} == {"a (left/run)", "a (right/run)"}


def test_what_was_not_kept_is_said(tmp_path: Path):
    bare = report([write_run(tmp_path / "bare", sound=False)], tmp_path / "bare.html")
    [track] = bare.data["tracks"]
    assert not track["audible"]
    assert "No sound was kept" in track["notes"][0]
    assert track["curves"] == []
    half = write_run(tmp_path / "half")
    for path in (half / "stems" / "b").rglob("*.wav"):
        path.unlink()
    Audio(noise(0, 1.0), RATE).write(half / "stems" / "a" / "one" / "vocals.wav", overwrite=True)
    notes = report([half], tmp_path / "half.html").data["tracks"][0]["notes"]
    assert any("a: vocals cannot be heard" in note and "8000 samples" in note for note in notes)
    assert "b: no stems were kept" in notes
    silent = report([half], tmp_path / "silent.html", audio="none")
    assert not silent.clips()
    assert any(name.startswith("picture-") for name in silent.scripts)
    assert "--audio none" in silent.text


def test_windows_become_curves_with_gaps(tmp_path: Path):
    run = write_run(tmp_path / "run", ("a",))
    frames = [{"time": t, "duration": 1.0, "metrics": {"SDR": v}} for t, v in ((0.0, 1.23456), (1.0, None), (2.0, 3.0))]
    frames[1]["metrics"]["SDR"] = float("nan")
    path = run / "windows" / RECIPE.name / "a" / "one.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"museval_version": "0", "targets": [{"name": "other", "frames": frames}]}))
    page = report([run], tmp_path / "p.html")
    [curve] = page.data["tracks"][0]["curves"]
    other = [group["stem"] for group in page.data["tracks"][0]["groups"]].index("other")
    assert (curve["times"], curve["duration"]) == ([0.0, 1.0, 2.0], 1.0)
    assert curve["values"] == {str(other): {"2": [1.235, None, 3.0]}}
    path.write_text("{")
    page = report([run], tmp_path / "p.html")
    assert page.data["tracks"][0]["curves"] == []
    assert any("windows of sdx23 cannot be read" in note for note in page.data["tracks"][0]["notes"])


def test_a_run_writes_its_page_by_itself(tmp_path: Path):
    run = write_run(tmp_path / "run")
    rows = [*load_run(run).rows, row("<b>", stem=EVERY_STEM, value=None, reason="it broke", view=(), truth="")]
    grids = write_results(run, rows, [RECIPE], {"dataset": "demo & more"})
    page = (run / "index.html").read_text()
    assert [grid.title for grid in grids] == [
        "sdr_mdx, dB, mean over tracks",
        "Differences in sdr_mdx, dB, mean over tracks",
        "Cost",
    ]
    assert "demo &amp; more" in page
    assert "&lt;b&gt; has no score on 1 of 1 track(s): it broke" in page
    assert "<b>" not in page.split("<body>")[1].split("</h2>")[1].split("<h3>")[1]
    assert 'id="clip-0"' in page
    assert "it broke" in (run / "summary.md").read_text()


def test_the_command_says_where_the_page_is(tmp_path: Path):
    run = write_run(tmp_path / "run")
    result = CliRunner().invoke(app, ["report", str(run), "--title", "mine", "--excerpt", "2"])
    assert result.exit_code == 0, result.output
    assert "players for 1 of 1 tracks" in result.stdout
    assert "<title>mine</title>" in (run / "report.html").read_text()
    for arguments, error, message in (
        ([str(tmp_path)], DatasetError, "no scores.jsonl"),
        ([str(run), "--tracks", "oen"], UnknownNameError, "did you mean 'one'"),
        ([str(run), "--excerpt", "0"], ValueError, "--excerpt"),
        ([str(run), "--audio", "mp3"], ValueError, "--audio"),
    ):
        result = CliRunner().invoke(app, ["report", *arguments])
        assert isinstance(result.exception, error)
        assert message in str(result.exception)
