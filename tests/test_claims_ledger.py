"""The ledger of published numbers: its shape, the rules of its verdicts, the pages that quote it, and `--paper`."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from typer.testing import CliRunner

from sepkit import get_separator
from sepkit.data.track import Dataset, track_in_memory
from sepkit.errors import OptionError
from sepkit.evaluation.methods import Method
from sepkit.evaluation.recipe import RECIPES
from sepkit.evaluation.score import MethodFacts, Score, ScoreLog
from sepkit.evaluation.statistics import Interval

TO_COME = {"ismir22_1s", "sisec18", "mdx21", "sdx23", "musdb18", "msdm_slakh"} - set(RECIPES)
SONGS = [f"song {index:02d}" for index in range(16)]


@pytest.fixture(scope="module", autouse=True)
def _benchmarks(repository):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository))
        yield


def module(name: str) -> ModuleType:
    return import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def ledger():
    return module("claims_schema").read_ledger()


# --- the ledger


def test_the_ledger_holds_the_tables_of_the_five_source_papers(ledger) -> None:
    assert {"ismir22", "lightsaft", "dmx25", "encodec25", "msdm", "latent-msdm"} <= set(ledger.papers)
    wanted = {"ismir22-table1", "lightsaft-table1", "dmx25-main", "dmx25-sampling", "msdm-slakh", "latent-msdm-slakh"}
    assert wanted <= {table.id for table in ledger.tables}
    assert ledger.claims["ismir22-table1/both-wiener/vocals-sdr"].value == 6.07
    assert ledger.claims["dmx25-sampling/t50-eta04-5k/vocals"].value == 8.77
    assert {statement.paper for statement in ledger.statements} >= {"encodec25"}  # whose tables nobody here has read


def test_every_metric_is_one_that_its_recipe_computes(ledger) -> None:
    known = {metric for recipe in RECIPES.values() for metric in recipe.metrics}
    for table in ledger.tables:
        if table.recipe in RECIPES:
            metrics = {column.metric for column in table.columns} - {None, "parameters"}
            assert metrics <= set(RECIPES[table.recipe].metrics), table.id
            assert metrics <= known
        elif table.recipe is not None:
            assert table.recipe in TO_COME, table.id


def test_means_that_papers_print_are_the_means_of_their_stems(ledger) -> None:
    """A slip of a digit in a table shows here: 26 rows have both."""
    checked = 0
    for table in ledger.tables:
        stems = [column.stem for column in table.columns]
        for row in table.rows:
            if "mean" in stems and len(stems) > 2 and None not in row.values:
                mean = np.mean([v for stem, v in zip(stems, row.values, strict=True) if stem != "mean"])
                assert row.values[stems.index("mean")] == pytest.approx(mean, abs=0.0151), f"{table.id}/{row.id}"
                checked += 1
    assert checked >= 19


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x["tables"].append(x["tables"][0]), "there twice"),
        (lambda x: x["tables"][0]["rows"][0]["values"].pop(), "values for"),
        (lambda x: x["relative"][0].update(by=0.9), "is not 0.9"),
        (lambda x: x["relative"][0].update(first="ismir22-table1/beta9/vocals-sdr"), "did you mean"),
        (lambda x: x["tables"][0].update(paper="ismir23"), "not in the ledger"),
        (lambda x: x["tables"][0].update(dataset="musdb19"), "not among the datasets"),
        (lambda x: x["tables"][0]["columns"][0].update(metric=None), "a metric or the reason"),
        (lambda x: x["tables"][0]["rows"][0].pop("ours"), "the reason why there is none"),
        (lambda x: x["tables"][0].update(pages=3), "Extra inputs"),
    ],
)
def test_a_ledger_that_does_not_hold_together_is_refused(ledger, change, message) -> None:
    content = json.loads(module("claims_schema").LEDGER.read_text(encoding="utf-8"))
    change(content)
    with pytest.raises(ValidationError, match=message):
        type(ledger).model_validate(content)


# --- verdicts


def interval(low: float, high: float, tracks: int = 50) -> Interval:
    return Interval((low + high) / 2, low, high, 0.95, tracks)


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        (interval(5.8, 6.4), "held"),  # holds the published 6.0
        (interval(5.76, 5.9), "held"),  # wholly within the tolerance below
        (interval(8.0, 9.0), "held"),  # exceeds it
        (interval(4.0, 5.7), "not held"),
        (interval(-9.0, 5.7), "not held"),  # wide, and wholly short
        (interval(5.0, 7.0), "underpowered"),  # wide, and across
        (interval(5.9, 9.0), "held"),  # wide, and wholly there
        (interval(5.9, 6.1, tracks=9), "underpowered"),
        (Interval(6.0, None, None, 0.95, 2, "2 track(s)"), "underpowered"),
    ],
)
def test_a_published_number_of_6_db(ours, verdict) -> None:
    judge = module("claims_verdict").judge_number
    assert judge(6.0, ours).verdict == verdict
    if ours.low is not None:  # the same of a number that ought to be low
        mirrored = Interval(-ours.estimate, -ours.high, -ours.low, 0.95, ours.tracks)
        assert judge(-6.0, mirrored, better="lower").verdict == verdict


def test_better_scores_and_more_tracks_never_turn_a_held_claim() -> None:
    """Over random intervals: moving ours up keeps `held`, moving it down keeps `not held`; so for differences."""
    rules, rng = module("claims_verdict"), np.random.default_rng(0)
    for _ in range(300):
        published, low, width, step = rng.uniform([-2, -5, 0, 0], [8, 9, 4, 3])
        tracks = int(rng.integers(2, 60))
        here, up, down = (interval(low + d, low + width + d, tracks) for d in (0, step, -step))
        for judge in (
            lambda x, p=published: rules.judge_number(p, x),
            lambda x, p=published: rules.judge_difference(abs(p), x, kind="greater", own_data=True),
            lambda x, p=published: rules.judge_difference(abs(p), x, kind="greater", own_data=False),
        ):
            if judge(here).verdict == "held":
                assert judge(up).verdict == "held"
            if judge(here).verdict == "not held":
                assert judge(down).verdict == "not held"


@pytest.mark.parametrize(
    ("ours", "own", "other"),
    [
        (interval(0.6, 1.2), "held", "held"),
        (interval(0.1, 0.4), "not held", "held"),  # the sign is there; the size, on the paper's own data, is not
        (interval(-0.1, 0.4), "not held", "underpowered"),
        (interval(-0.5, 2.0), "underpowered", "underpowered"),
        (interval(-2.0, -0.1), "not held", "not held"),
        (interval(0.6, 1.2, tracks=5), "underpowered", "underpowered"),
    ],
)
def test_a_published_difference_of_0_8_db(ours, own, other) -> None:
    judge = module("claims_verdict").judge_difference
    assert judge(0.8, ours, kind="greater", own_data=True).verdict == own
    assert judge(0.8, ours, kind="greater", own_data=False).verdict == other


def test_similar_systems_and_counts() -> None:
    rules = module("claims_verdict")
    similar = [
        rules.judge_difference(-0.04, interval(*ends), kind="similar", own_data=False).verdict
        for ends in ((-0.2, 0.25), (-0.2, 0.9), (0.4, 0.9))
    ]
    assert similar == ["held", "underpowered", "not held"]
    assert rules.judge_count(3.8, 3.87).verdict == "held"
    assert rules.judge_count(0.75, 2.3).verdict == "not held"


# --- runs


def fake_run(folder: Path, dataset: str, systems: dict[str, float], recipe: str, metric: str, **facts) -> Path:
    """A run folder in which every system scores its number on vocals, give or take 0.3 dB from song to song."""
    rng = np.random.default_rng(1)
    wobble = rng.normal(0, 0.3, len(SONGS))
    with ScoreLog(folder / "scores.jsonl") as log:
        for method, level in systems.items():
            for song, extra in zip(SONGS, wobble, strict=True):
                known = MethodFacts(kind="dedicated", trained=True, **facts)
                log.append([
                    Score(method=method, track=song, stem="vocals", metric=metric, value=level + extra, recipe=recipe,
                          dataset=dataset, view=("vocals",), facts=known)
                ])  # fmt: skip
    return folder


@pytest.fixture
def small(ledger, monkeypatch):
    """A ledger of one table whose systems are methods that are always here, under a recipe that is."""
    recipe = next(name for name, one in RECIPES.items() if one.metrics[0] == "sdr_mdx")
    table = {
        "id": "small-table", "paper": "ismir22", "title": "", "dataset": "musdb18", "evidence": "paper",
        "recipe": recipe, "over_tracks": "median", "aggregation": "", "caveats": ["small"],
        "columns": [{"id": "vocals", "stem": "vocals", "measure": "SDR", "unit": "dB", "metric": "sdr_mdx",
                     "better": "higher"}],
        "rows": [
            {"id": "good", "model": "A", "settings": {}, "values": [6.0], "ours": {"method": "ideal_ratio_mask"}},
            {"id": "bad", "model": "B", "settings": {}, "values": [5.0], "ours": {"method": "mixture"}},
            {"id": "theirs", "model": "C", "settings": {}, "values": [9.0], "missing": "not ours"},
        ],
    }  # fmt: skip
    relative = [
        {"id": "good-over-bad", "kind": "greater", "first": "small-table/good/vocals",
         "second": "small-table/bad/vocals", "by": 1.0, "claim": "A beats B"},
        {"id": "theirs-over-good", "kind": "greater", "first": "small-table/theirs/vocals",
         "second": "small-table/good/vocals", "by": 3.0, "claim": "C beats A"},
    ]  # fmt: skip
    content = {**ledger.model_dump(mode="json"), "tables": [table], "relative": relative}
    made = type(ledger).model_validate(content)
    monkeypatch.setattr(module("claims"), "read_ledger", lambda: made)
    return made, recipe


def paper(*arguments: object):
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(module("run").app, words, env={"COLUMNS": "200"})


def verdicts(out: Path) -> dict[str, dict]:
    return {row["id"]: row for row in json.loads((out / "claims.json").read_text(encoding="utf-8"))}


def test_numbers_are_tested_on_the_papers_data_only(small, tmp_path) -> None:
    _, recipe = small
    levels = {"ideal_ratio_mask": 6.1, "mixture": 4.0}
    fake_run(tmp_path / "own" / "a", "musdb:songs", levels, recipe, "sdr_mdx")
    fake_run(tmp_path / "other" / "a", "synthetic:16:test", levels, recipe, "sdr_mdx")
    result = paper("--paper", "small-table", "--out", tmp_path / "own")
    assert result.exit_code == 0, result.output
    own = verdicts(tmp_path / "own")
    assert own["small-table/good/vocals"]["verdict"] == "held"
    assert own["small-table/bad/vocals"]["verdict"] == "not held"
    assert own["small-table/theirs/vocals"]["verdict"] == "data missing"
    assert own["good-over-bad"]["verdict"] == "held"
    assert own["theirs-over-good"]["verdict"] == "data missing"
    ours = own["small-table/good/vocals"]
    assert ours["low"] < ours["ours"] < ours["high"]
    assert ours["difference"] == pytest.approx(ours["ours"] - 6.0)
    assert "1 not held" in result.output
    assert "method missing: not ours" in result.stdout

    assert paper("--paper", "small-table", "--out", tmp_path / "other").exit_code == 0
    other = verdicts(tmp_path / "other")
    assert {other[f"small-table/{row}/vocals"]["verdict"] for row in ("good", "bad", "theirs")} == {"data missing"}
    assert "--data musdb18=PATH" in other["small-table/good/vocals"]["reason"]
    assert other["good-over-bad"]["verdict"] == "held"
    assert "not the paper's data" in other["good-over-bad"]["data"]
    assert "not the paper's data" in (tmp_path / "other" / "claims.md").read_text(encoding="utf-8")


def test_weights_of_another_network_or_other_data_are_not_taken_for_the_papers(ledger, tmp_path) -> None:
    claims, runs = module("claims"), module("claims_runs")
    claim = ledger.claims["lasaft-musdb18/lasaft-large/vocals"]
    installed = {"lightsaft": Method(name="lightsaft", facts=MethodFacts(parameters=676_066))}
    for name, facts, words in (
        ("small", {"parameters": 676_066}, "of a network of 0.68 M"),
        ("elsewhere", {"parameters": 31_541_908, "extra_training_data": True}, "trained on other data"),
        ("theirs", {"parameters": 31_541_908, "extra_training_data": False}, "interval"),
    ):
        folder = fake_run(
            tmp_path / name, "musdb:x", {"lightsaft": 7.4}, claim.table.recipe, "sdr_bss4_median", **facts
        )
        bench = claims.Bench(ledger, {}, [runs.RunFolder(folder)], installed)
        assert words in bench.number(claim).reason
    assert bench.number(claim).verdict == "held"
    given = claims.Bench(ledger, {"musdb18": "musdb:y"}, [], installed)
    assert not given.worth_running(claim)  # hours for numbers that decide nothing
    assert "--checkpoint lightsaft=FOLDER" in given.number(claim).reason


def test_a_run_with_other_options_is_another_system(ledger, tmp_path) -> None:
    claims, runs, schema = module("claims"), module("claims_runs"), module("claims_schema")
    claim = ledger.claims["dmx25-main/irm/vocals"]
    ours = schema.Ours(method="ideal_ratio_mask", options={"power": 2})
    claim = claim.model_copy(update={"row": claim.row.model_copy(update={"ours": ours})})
    installed = {"ideal_ratio_mask": Method(name="ideal_ratio_mask")}
    folder = fake_run(tmp_path, "musdb:x", {"ideal_ratio_mask": 9.6}, "sdx23", "sdr_mdx")

    def finding(options: dict):
        method = Method(name="ideal_ratio_mask", options=options)
        (folder / "run.json").write_text(json.dumps({"methods": [method.model_dump(mode="json")]}), encoding="utf-8")
        return claims.Bench(ledger, {}, [runs.RunFolder(folder)], installed).number(claim)

    assert finding({"power": 2}).verdict == "held"
    assert finding({"power": 1}).verdict == finding({}).verdict == "data missing"


def test_options_in_the_ledger_are_ones_that_the_methods_have(ledger) -> None:
    """Each installed method is built with them; what else it may want (a second network, say) is another matter."""
    installed = import_module("sepkit.evaluation.methods").available_methods()
    asked = {
        (row.ours.method, json.dumps(row.ours.options, sort_keys=True))
        for table in ledger.tables
        for row in table.rows
        if row.ours is not None and row.ours.options and row.ours.method in installed
    }
    refused = []
    for method, options in sorted(asked):
        try:
            get_separator(method, untrained=True, device="cpu", **json.loads(options))
        except OptionError as error:
            refused.append(f"{method} {options}: {error}")
    unknown = [line for line in refused if "has no option" in line]
    assert unknown == [], "mend benchmarks/published.json"


def noise_songs(count: int) -> Dataset:
    """Songs of two noises, half a second long."""
    tracks = []
    for seed in range(count):
        drawn = torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(seed))
        stems = {"vocals": 0.1 * drawn[0], "other": 0.2 * drawn[1].cumsum(1).sin()}
        tracks.append(track_in_memory(f"song {seed}", stems, 8000))
    return Dataset("noise", tracks)


def test_runs_that_lack_are_made_where_the_data_is_there(small, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module("claims_runs"), "open_dataset", lambda spec, split=None: noise_songs(6))
    arguments = ("--paper", "good-over-bad", "--data", "substitute=synthetic:6", "--out", tmp_path)
    result = paper(*arguments)
    assert result.exit_code == 0, result.output
    found = verdicts(tmp_path)["good-over-bad"]
    assert found["verdict"] == "held"
    assert found["tracks"] == 6
    scores = sorted(tmp_path.glob("*/scores.jsonl"))
    assert len(scores) == 2
    before = [path.read_bytes() for path in scores]
    assert paper(*arguments).exit_code == 0
    assert [path.read_bytes() for path in scores] == before


def test_parameters_are_counted_without_any_data(tmp_path) -> None:
    assert paper("--paper", "lightsaft-sizes", "--out", tmp_path).exit_code == 0
    found = verdicts(tmp_path)
    assert found["lightsaft-sizes/lightsaft/size"]["verdict"] == "held"
    assert found["lightsaft-sizes/lasaft/size"]["verdict"] == "not held"


def test_everything_can_be_asked_for_and_everything_has_a_verdict_with_its_reason(
    ledger, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(module("claims"), "parameters_of", lambda ours: 1.0)
    assert paper("--paper", "all", "--out", tmp_path).exit_code == 0
    found = verdicts(tmp_path)
    assert set(found) == {*ledger.claims, *(x.id for x in ledger.relative), *(x.id for x in ledger.statements)}
    assert all(row["reason"] and row["verdict"] for row in found.values())
    assert "held" not in {row["verdict"] for row in found.values()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paper", "ismir22-tabel1"], "did you mean 'ismir22-table1'"),
        (["--paper", "all", "--data", "musdb=x"], "NAME one of"),
        (["--paper", "ismir22-table1", "--data", "musdb18"], "NAME=PATH"),
        (["--paper", "all", "--data", "mdx21-hidden=x"], "no reader for mdx21-hidden"),
    ],
)
def test_names_that_are_not_known_are_refused(arguments, message, tmp_path) -> None:
    result = paper(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


# --- the pages


def faults(text: str) -> list[str]:
    docs = module("claims_docs")
    return [fault.reason for fault in docs.faults_of("page.md", text, module("claims_schema").read_ledger())]


@pytest.mark.parametrize(
    "text",
    [
        "Cold diffusion has 5.63 dB on MUSDB18.",
        "Their paper gives\n5.63 dB.",  # a passage, not a line, is what counts
        "- one\n- Demucs v2 has 6.84 dB\n",
        "Scores of the paper:\n\n| method | vocals |\n|---|---|\n| cold | 5.63 |\n",
        "| method | vocals |\n|---|---|\n| Wave-U-Net | 4.97 |\n",
        "```\nMUSDB18: 5.63 dB\n```",
        "The paper has 3.8 M parameters.",
        "MUSDB18: 5.63 dB <!-- measured: -->",  # by no command
    ],
)
def test_a_quoted_number_needs_its_source(text) -> None:
    assert len(faults(text)) == 1
    assert "not from where" in faults(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "Cold diffusion has 5.63 dB on MUSDB18 [ismir22-table1].",
        "Cold diffusion has 5.6 dB on MUSDB18. <!-- ledger: ismir22-table1 -->",
        "Eight steps give the paper's 0.82 dB more [ismir22-8-over-1].",
        "Scores of the paper [ismir22-table1]:\n\n| method | vocals |\n|---|---|\n| cold | 5.63 |\n",
        "```\nMUSDB18: 5.63 dB\n```\n\n<!-- ledger: ismir22-table1/beta8/vocals-sdr -->\n",
        "On MUSDB18 ours has 1.23 dB. <!-- measured: python -m benchmarks.run -->",
        "The paper's 5.63 dB [ismir22-table1], ours 1.23 dB. <!-- measured: python -m benchmarks.run -->",
        "In `sdr_mdx`, the song has 1.23 dB.",  # names of recipes and presets name no benchmark
        "The paper's page.\n\nOurs has 1.23 dB.",
        "MUSDB18 is at 44.1 kHz, licence CC0 1.0, in 7 papers.",
    ],
)
def test_a_number_with_its_source_or_of_our_own_is_fine(text) -> None:
    assert faults(text) == []


def test_a_mark_is_checked_against_the_ledger() -> None:
    assert faults("The paper has 5.64 dB [ismir22-table1].") == ["5.64 is not in ismir22-table1"]
    assert faults("The paper has 5.63 dB [ismir22-table9].") == ["the ledger has no ismir22-table9"]


def test_every_number_that_the_pages_quote_is_in_the_ledger(repository, tracked) -> None:
    pages = [path for path in tracked if path.suffix == ".md"]
    assert len(pages) > 20
    assert [str(fault) for fault in module("claims_docs").check_pages(pages, repository)] == []


def test_the_rule_is_a_command_too(monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / "page.md").write_text("MUSDB18: 5.63 dB\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["claims_docs"])
    assert module("claims_docs").main() == 1
    assert "page.md:1" in capsys.readouterr().out
