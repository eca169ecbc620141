"""Laws of the harness: everything is a row, failures and budgets too; a resumed run equals a fresh one."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch

from sepkit import Audio
from sepkit.data.track import Track, track_in_memory
from sepkit.errors import DatasetError, OptionError
from sepkit.evaluation.harness import RunSettings, evaluate
from sepkit.evaluation.methods import Method, available_methods, find_methods
from sepkit.evaluation.metrics import sdr_mdx
from sepkit.evaluation.museval_json import read_results, read_windows
from sepkit.evaluation.out_guard import alone_in
from sepkit.evaluation.recipe import RECIPES
from sepkit.evaluation.score import EVERY_STEM, read_scores
from sepkit.evaluation.views import FULL_VIEW, view_of

pytestmark = pytest.mark.timeout(900)  # every method starts a process, which a busy machine makes slow

RATE = 8000
FOUR = ("vocals", "drums", "bass", "other")
MDX = RECIPES["sdx23"]

FAKES = '''
import os, sys, time
import torch
from sepkit import Audio, SeparatorInfo, Stems

class Fake:
    """Every stem is a share of the mixture: the n-th of N stems gets 2n/N(N+1) of it, plus seed/1000."""
    def __init__(self, stems=("vocals", "drums", "bass", "other"), **options):
        self.info = SeparatorInfo(name="fake", stems=stems, sample_rate=8000, channels=2, licence="MIT",
                                  kind="generative", extra_training_data=True)
        self.options = options
    def separate(self, mixture, *, seed=0, quality="balanced", progress=None, **_):
        print("a method may print")
        sys.stdout.flush()
        os.write(1, b"and so may its C library\\n")
        quiet = float(mixture.samples.abs().max()) < 0.01
        if self.options.get("fails_when_quiet") and quiet:
            raise ArithmeticError("the song is too quiet")
        if self.options.get("dies_when_quiet") and quiet:
            os._exit(7)
        if "sleeps" in self.options:
            time.sleep(self.options["sleeps"])
        if "hog" in self.options:
            self.kept = torch.ones(self.options["hog"] * 250_000)
        if self.options.get("short"):
            mixture = Audio(mixture.samples[:, :-1], mixture.sample_rate)
        names, total = self.info.stems, len(self.info.stems) * (len(self.info.stems) + 1) / 2
        progress(mixture.seconds, mixture.seconds)
        return Stems({name: Audio(mixture.samples * ((n + 1) / total + seed / 1000), mixture.sample_rate)
                      for n, name in enumerate(names)})

def fake(**options):
    return Fake(**options)

def unbuildable():
    raise OSError("no weights here")
'''


class Silent:
    """A Watcher that keeps what it was told."""

    def __init__(self) -> None:
        self.items, self.done, self.audio = 0, [], 0.0

    def planned(self, items, seconds):
        self.items += items
        self.audio += seconds

    def progress(self, method, track, seconds): ...

    def finished(self, method, track, seconds, rows):
        self.done.append((method, track))


def fake(name: str, **options) -> Method:
    return Method(name=name, factory="evaluated_fakes:fake", options=options)


def tracks() -> list[Track]:
    made = []
    for index, gain in enumerate((0.1, 0.001)):
        generator = torch.Generator().manual_seed(index)
        stems = {stem: gain * torch.randn(2, RATE, generator=generator) for stem in FOUR}
        made.append(track_in_memory(f"song/{index}", stems, RATE))
    return made


def settings(**changes) -> RunSettings:
    return RunSettings(**{"dataset": "test", **changes})


@pytest.fixture(scope="module")
def fakes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fakes")
    (folder / "evaluated_fakes.py").write_text(FAKES)
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        patch.setenv("PYTHONPATH", path.rstrip(os.pathsep))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


METHODS = [
    fake("good"),
    fake("unlucky", fails_when_quiet=True, hog=400),
    fake("mortal", dies_when_quiet=True, short=True),
    fake("voiceless", stems=("drums", "bass", "piano")),
    Method(name="broken", factory="evaluated_fakes:unbuildable"),
    *find_methods(["mixture"]),
]


@pytest.fixture(scope="module")
def run(fakes, tmp_path_factory):
    """One run of everything: (rows by (method, track), folder, watcher)."""
    out = tmp_path_factory.mktemp("run")
    watch = Silent()
    rows = evaluate(METHODS, tracks(), [MDX], out, settings(), watch)
    grouped: dict[tuple[str, str], list] = {}
    for row in rows:
        grouped.setdefault((row.method, row.track), []).append(row)
    return grouped, out, watch


def test_every_method_and_track_has_rows(run):
    grouped, out, watch = run
    assert set(grouped) == {(method.name, track.name) for method in METHODS for track in tracks()}
    assert [row for rows in grouped.values() for row in rows] == read_scores(out / "scores.jsonl")
    assert watch.items == len(watch.done) == 2 * len(METHODS) + 2  # the mixture once more, on the voiceless view


def test_scores_are_those_of_the_metric_on_what_was_separated(run):
    grouped, out, _ = run
    for track in tracks():
        for row in grouped[("good", track.name)]:
            share = (FOUR.index(row.stem) + 1) / 10
            assert row.value == pytest.approx(float(sdr_mdx(track.load(row.stem), share * track.mixture)), abs=1e-4)
            written = Audio.read(out / "stems" / "good" / track.name.replace("/", "_") / f"{row.stem}.wav")
            assert torch.equal(written.samples, (track.mixture * share))
            truth = Audio.read(out / "references" / track.name.replace("/", "_") / f"{row.truth}.wav")
            assert torch.equal(truth.samples, track.load(row.stem))


def test_rows_carry_what_is_needed_to_read_them(run):
    row = run[0][("good", "song/0")][0]
    assert (row.dataset, row.seed, row.quality, row.recipe, row.metric) == ("test", 0, "balanced", "sdx23", "sdr_mdx")
    assert (row.view, row.mixture) == (FOUR, "full")
    assert (row.facts.kind, row.facts.extra_training_data, row.facts.licence) == ("generative", True, "MIT")
    assert row.cost.audio_seconds == 1.0
    assert row.cost.compute_seconds is not None
    assert 0 < row.cost.compute_seconds < 5


def test_peak_memory_is_the_methods_own(run):
    """400 MB that one method holds show in its row, and in no other's."""

    def above(method: str) -> float:
        cost = run[0][(method, "song/0")][0].cost
        return cost.peak_memory_megabytes - cost.baseline_megabytes

    assert 350 < above("unlucky") - above("good") < 450
    assert above("good") < 200


def test_a_failure_is_a_row_with_its_reason_and_the_other_tracks_go_on(run):
    grouped = run[0]
    assert [row.stem for row in grouped[("unlucky", "song/0")]] == list(FOUR)
    [row] = grouped[("unlucky", "song/1")]
    assert (row.stem, row.value, row.reason) == (EVERY_STEM, None, "ArithmeticError: the song is too quiet")
    [row] = grouped[("broken", "song/0")]
    assert row.reason == "OSError: no weights here"


def test_a_process_that_dies_is_a_row_too(run):
    [row] = run[0][("mortal", "song/1")]
    assert "exit code 7" in row.reason


def test_estimates_of_another_length_are_a_failure_not_a_score(run):
    [row] = run[0][("mortal", "song/0")]
    assert row.stem == EVERY_STEM
    assert "(2, 7999)" in row.reason


def test_stems_that_do_not_cover_the_track_are_scored_on_their_own_mixture(run):
    grouped, out, _ = run
    track = tracks()[0]
    own = track.load("drums") + track.load("bass")
    rows = {row.stem: row for row in grouped[("voiceless", track.name)]}
    assert {row.mixture for row in rows.values()} == {"own"}
    assert rows["drums"].value == pytest.approx(float(sdr_mdx(track.load("drums"), own / 6)), abs=1e-4)
    assert rows["piano"].reason == "the track has no piano"
    points = [row for row in grouped[("mixture", track.name)] if row.mixture == "own"]
    assert {row.view for row in points} == {("drums", "bass", "piano")}
    assert points[0].value == pytest.approx(float(sdr_mdx(track.load("drums"), own)), abs=1e-4)
    assert (out / "stems" / "mixture@drums+bass+piano").is_dir()


def test_what_methods_print_goes_to_their_log(run):
    log = (run[1] / "logs" / "good.log").read_text()
    assert "a method may print" in log
    assert "and so may its C library" in log


def test_a_run_that_goes_on_does_only_the_rest_and_equals_a_fresh_one(run, fakes, tmp_path):
    grouped, _, _ = run
    path = tmp_path / "scores.jsonl"
    half = grouped[("good", "song/0")] + grouped[("good", "song/1")][:2]
    path.write_text("".join(row.model_dump_json() + "\n" for row in half))
    watch = Silent()
    rows = evaluate([fake("good")], tracks(), [MDX], tmp_path, settings(), watch)
    assert watch.done == [("good", "song/1")]

    def plain(rows):
        return [(row.method, row.track, row.stem, row.metric, row.value, row.view) for row in rows]

    assert plain(rows) == plain(grouped[("good", "song/0")] + grouped[("good", "song/1")])
    watch = Silent()
    assert evaluate([fake("good")], tracks(), [MDX], tmp_path, settings(), watch) == rows
    assert watch.items == 0
    with pytest.raises(OptionError, match="--fresh"):
        evaluate([fake("good")], tracks(), [MDX], tmp_path, settings(seed=1), watch)


def test_over_budget_is_a_row_and_ends_the_method_politely(fakes, tmp_path):
    rows = evaluate(
        [fake("slow", sleeps=60)], tracks(), [MDX], tmp_path, settings(budget_seconds=0.2, save_stems=False), Silent()
    )
    assert [row.reason for row in rows] == ["over budget (> 0.2 s)", "not run: over budget on song/0"]
    assert all(row.cost.over_budget and row.cost.budget_seconds == 0.2 for row in rows)


def test_two_at_once_without_stems_give_the_same_scores_and_leave_no_sound(run, fakes, tmp_path):
    rows = evaluate([METHODS[0], METHODS[-1]], tracks(), [MDX], tmp_path, settings(jobs=2, save_stems=False), Silent())
    for row in rows:
        same = [r for r in run[0][(row.method, row.track)] if (r.stem, r.mixture) == (row.stem, row.mixture)]
        assert [r.value for r in same] == [row.value]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "scores.jsonl"]


def test_names_that_would_share_a_file_are_refused_and_so_is_a_folder_in_use(tmp_path):
    alike = [track_in_memory(name, {"vocals": torch.zeros(1, 8)}, RATE) for name in ("a?b", "a_b")]
    with pytest.raises(OptionError, match="would both be called 'a_b'"):
        evaluate([], alike, [MDX], tmp_path, settings(), Silent())
    with pytest.raises(OptionError, match="methods 'x/y' and 'x:y'"):
        evaluate([fake("x/y"), fake("x:y")], tracks(), [MDX], tmp_path, settings(), Silent())
    with alone_in(tmp_path), pytest.raises(OptionError, match=r"Another run \(process \d+\)"):
        evaluate([], tracks(), [MDX], tmp_path, settings(), Silent())


def test_no_track_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="no track"):
        evaluate([], [], [MDX], tmp_path, settings(), Silent())


def test_views_cover_accompaniment_other_and_what_is_missing():
    fine = ("vocals", "drums", "bass", "guitar", "piano", "strings")
    assert dict(view_of(("vocals", "accompaniment"), fine).parts)["accompaniment"] == fine[1:]
    assert dict(view_of(FOUR, fine).parts)["other"] == ("guitar", "piano", "strings")
    assert view_of(FOUR, fine).mixture == "full"
    assert view_of(("bass", "drums", "guitar", "piano"), fine).mixture == "own"
    assert view_of((*fine[:5], "other"), fine).truth_name("other") == "strings"
    assert view_of(FULL_VIEW, fine).mixture == "full"
    coarse = view_of(FOUR, ("vocals", "accompaniment"))
    assert (coarse.mixture, coarse.absent) == ("full", ("drums", "bass", "other"))
    with pytest.raises(DatasetError, match="none of its stems"):
        view_of(("speech",), fine)


def test_the_truths_of_a_view_sum_to_its_mixture():
    track = tracks()[0]
    for stems in (FOUR, ("vocals", "accompaniment"), ("bass", "drums")):
        view = view_of(stems, track.stems)
        total = sum(view.truth(stem, track) for stem in view.parts)
        np.testing.assert_allclose(total, view.mixture_of(track), atol=1e-6)


def test_methods_are_found_by_name_and_by_group():
    assert {"mixture", "silence", "ideal_ratio_mask", "wiener_oracle", "repet_hpss"} <= set(available_methods())
    found = find_methods(["mixture", "both"], {"both": ["silence", "mixture"]})
    assert [method.name for method in found] == ["mixture", "silence"]
    assert json.loads(found[0].model_dump_json())["facts"]["kind"] == "reference"


def test_windows_are_written_for_each_recipe_kept_by_a_resumed_run_and_cleared_by_a_fresh_one(fakes, tmp_path):
    recipes = [RECIPES["musdb18"], RECIPES["msdm_slakh"], MDX]
    only = settings(save_stems=False)
    rows = evaluate([METHODS[0], METHODS[-1]], tracks()[:1], recipes, tmp_path, only, Silent())
    windows = tmp_path / "windows"
    assert sorted(path.relative_to(windows).as_posix() for path in windows.rglob("*.json")) == [
        f"{recipe}/{method}/song_0.json" for recipe in ("msdm_slakh", "musdb18") for method in ("good", "mixture")
    ]
    for row in rows:
        if row.method == "good" and row.recipe == "musdb18":
            target = read_windows(windows / "musdb18" / "good" / "song_0.json")[row.stem]
            assert row.value == pytest.approx(target.metrics[row.metric[:3].upper()][0], abs=1e-9)
    found = {(row.method, row.stem, row.metric): row.value for row in rows if row.recipe == "musdb18"}
    for again in read_results(windows / "musdb18"):  # tracks have their files' names
        assert found[again.method, again.stem, again.metric] == again.value
    stale = windows / "musdb18" / "good" / "song_0.json"
    unlucky = fake("unlucky", fails_when_quiet=True)
    quiet = windows / "musdb18" / "unlucky" / "song_1.json"
    quiet.parent.mkdir()
    quiet.write_text("of a time when it did not fail")
    evaluate([unlucky], tracks(), recipes, tmp_path, only, Silent())
    assert [path.name for path in quiet.parent.iterdir()] == ["song_0.json"]
    stale.write_text("as it was")
    evaluate([METHODS[0]], tracks()[:1], recipes, tmp_path, only, Silent())
    assert stale.read_text() == "as it was"
    evaluate([METHODS[0]], tracks()[1:], [MDX], tmp_path, settings(save_stems=False, fresh=True), Silent())
    assert not windows.exists()
