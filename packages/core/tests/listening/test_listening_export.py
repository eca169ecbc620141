"""Laws of an exported test: it tells listeners nothing, its sounds fit each other, and webMUSHRA knows every key."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from sepkit import Audio
from sepkit.cli.main import main
from sepkit.errors import DatasetError, MissingExtraError, OptionError, OutputExistsError, UnknownNameError
from sepkit.evaluation.listening.export import export
from sepkit.evaluation.listening.loudness import integrated_loudness
from sepkit.evaluation.listening.manifest import Manifest, Page, read_manifest
from sepkit.evaluation.listening.material import find_material
from sepkit.evaluation.listening.settings import ExportSettings
from sepkit.evaluation.listening.tokens import Tokens
from sepkit.evaluation.score import MethodFacts, ScoreLog

SHORT = ExportSettings(excerpts=2, seconds=1.0, seed=4)

# From doc/experimenter.md, lib/webmushra/pages/*.js and startup.js of audiolabs/webMUSHRA: required, then optional.
TOP = ({"testname", "testId", "bufferSize", "stopOnErrors", "showButtonPreviousPage", "remoteService", "pages"}, set())
PAGES = {
    "generic": ({"type", "id", "name", "content"}, set()),
    "volume": ({"type", "id", "name", "content", "stimulus", "defaultVolume"}, set()),
    "likert_multi_stimulus": ({"type", "id", "name", "stimuli"}, {"content", "mustRate", "mustPlayback", "response"}),
    "mushra": (
        {"type", "id", "name", "content", "reference", "createAnchor35", "createAnchor70", "stimuli"},
        {"showWaveform", "enableLooping", "strict", "randomize", "showConditionNames", "switchBack"},
    ),
    "finish": (
        {"type", "name", "content", "showResults", "writeResults"},
        {"popupContent", "showErrors", "questionnaire"},
    ),
}
BUFFER_SIZES = {256, 512, 1024, 2048, 4096, 8192, 16384}


@pytest.fixture(params=["rated", "mushra"])
def exported(request: pytest.FixtureRequest) -> tuple[Path, Manifest]:
    """A test of each kind."""
    return request.getfixturevalue(request.param)


def configuration(folder: Path, manifest: Manifest) -> dict:
    return yaml.safe_load((folder / "configs" / f"{manifest.name}.yaml").read_text(encoding="utf-8"))


def flat(pages: list) -> list[dict]:
    """The pages without the nesting that shuffles them."""
    found = []
    for page in pages:
        found.extend(flat(page[1:]) if isinstance(page, list) else [page])
    return found


def every_page(manifest: Manifest) -> list[Page]:
    return [*manifest.pages, manifest.training]


def test_webmushra_knows_every_key_and_finds_every_file(exported):
    folder, manifest = exported
    settings = configuration(folder, manifest)
    _check_keys(settings, *TOP)
    assert settings["bufferSize"] in BUFFER_SIZES
    pages = flat(settings["pages"])
    for page in pages:
        _check_keys(page, *PAGES[page["type"]])
        files = [*page.get("stimuli", {}).values(), *(page[key] for key in ("stimulus", "reference") if key in page)]
        assert all((folder / file).is_file() for file in files)
        assert all(isinstance(key, str) and key.replace("-", "").isalnum() for key in page.get("stimuli", {}))
    assert [page["type"] for page in pages[:2]] == ["generic", "volume"]
    assert pages[-1]["type"] == "finish"
    assert pages[-1]["writeResults"] is True
    ids = [page["id"] for page in pages if "id" in page]
    assert len(set(ids)) == len(ids)


def _check_keys(given: dict, required: set[str], optional: set[str]) -> None:
    assert required <= set(given), required - set(given)
    assert set(given) <= required | optional, set(given) - required - optional


def test_excerpts_are_shuffled_for_each_listener_and_the_rest_is_not(exported):
    folder, manifest = exported
    pages = configuration(folder, manifest)["pages"]
    [shuffled] = [page for page in pages if isinstance(page, list)]
    assert shuffled[0] == "random"
    assert [page["id"] for page in shuffled[1:]] == [page.id for page in manifest.pages]


def test_the_papers_scale_has_five_steps_a_hidden_reference_and_three_steps_of_training(rated):
    folder, manifest = rated
    pages = flat(configuration(folder, manifest)["pages"])
    training = [page for page in pages if page.get("id", "").startswith("training")]
    assert ["song" in training[0]["name"], "true" in training[1]["name"], "poor" in training[2]["name"]] == [True] * 3
    assert all("response" not in page and len(page["stimuli"]) == 1 for page in training)  # plays, stores nothing
    for page in (page for page in pages if page.get("id") in {page.id for page in manifest.pages}):
        assert [point["value"] for point in page["response"]] == ["1", "2", "3", "4", "5"]
        assert page["mustRate"] is True
        [own] = [one for one in manifest.pages if one.id == page["id"]]
        assert own.reference.key in page["stimuli"]
        assert len(page["stimuli"]) == len(manifest.methods) + 1


def test_mushra_pages_have_an_open_reference_and_our_anchors(mushra):
    folder, manifest = mushra
    for page in (page for page in flat(configuration(folder, manifest)["pages"]) if page["type"] == "mushra"):
        assert page["createAnchor35"] is page["createAnchor70"] is False
        assert "reference" not in page["stimuli"]  # webMUSHRA hides it among the conditions by itself
        assert page["reference"] not in page["stimuli"].values()
    roles = {stimulus.role for stimulus in manifest.pages[0].stimuli}
    assert roles == {"method", "reference", "low_anchor", "mid_anchor", "interference_anchor"}
    assert all(page.reference.key == "reference" for page in manifest.pages)


def test_nothing_but_the_manifest_says_who_is_who(exported, desk):
    folder, manifest = exported
    served = [*(folder / "configs").rglob("*"), *(folder / "wavs").rglob("*"), folder / "README.md"]
    names = [str(path.relative_to(folder)) for path in served]
    texts = [path.read_text(encoding="utf-8") for path in served if path.suffix in (".yaml", ".md")]
    assert len(texts) == 2
    for method in desk.methods:
        assert not any(method.lower() in text.lower() for text in [*names, *texts])
        assert any(one.method == method for one in manifest.pages[0].stimuli)
    for page in manifest.pages:
        assert [one.file for one in page.stimuli] == sorted(one.file for one in page.stimuli)


def test_names_come_in_any_order_begin_with_a_letter_and_are_never_words():
    orders = set()
    for seed in range(300):
        tokens = Tokens(seed)
        names = [tokens.next() for _ in range(4)]
        orders.add(tuple(np.argsort(names)))
        for name in names:
            assert name[0].isalpha()
            assert not set(name) & set("aeiouy")
    assert len(orders) == 24  # so the order of the files does not say who was written first


def test_all_sounds_of_a_page_have_one_rate_length_and_channel_count_and_none_clips(exported):
    folder, manifest = exported
    for page in every_page(manifest):
        for stimulus in page.stimuli:
            audio = Audio.read(folder / stimulus.file)
            assert (audio.sample_rate, audio.length_samples, audio.channels) == (44_100, 66_150, 2)
            assert float(audio.samples.abs().max()) <= 10 ** (-1 / 20) + 1e-4
            assert hashlib.sha256((folder / stimulus.file).read_bytes()).hexdigest() == stimulus.sha256


def test_the_manifest_tells_the_loudness_that_is_played(exported):
    folder, manifest = exported
    for page in every_page(manifest):
        for stimulus in page.stimuli:
            audio = Audio.read(folder / stimulus.file)
            assert integrated_loudness(audio.numpy(), 44_100) == pytest.approx(stimulus.loudness_lufs, abs=0.05)


def test_mushra_stimuli_are_equally_loud(mushra):
    folder, manifest = mushra
    for page in every_page(manifest):
        loudness = [integrated_loudness(Audio.read(folder / one.file).numpy(), 44_100) for one in page.stimuli]
        assert max(loudness) - min(loudness) < 0.1
        assert loudness[0] == pytest.approx(page.target_lufs, abs=0.05)


def test_every_method_is_heard_on_the_same_passage_at_one_level(rated, run):
    """Undoing the common gain gives the run's own samples back, to 16 bits."""
    folder, manifest = rated
    for page in manifest.pages:
        assert len({stimulus.gain_db for stimulus in page.stimuli}) == 1
        for stimulus in page.stimuli:
            root = run / ("stems/" + stimulus.method if stimulus.method else "references")
            source = Audio.read(root / page.track.replace("/", "_") / "vocals.wav").numpy()
            start = round(page.start_seconds * 44_100)
            played = Audio.read(folder / stimulus.file).numpy() / 10 ** (stimulus.gain_db / 20)
            np.testing.assert_allclose(played[:, 500:-500], source[:, start + 500 : start + 65_650], atol=1e-4)


def test_loud_stems_are_turned_down_together(desk, tmp_path):
    run = desk.write_run(tmp_path / "run", tracks=1, seconds=4.0, peak=1.5)
    manifest = export(run, tmp_path / "test", ExportSettings(excerpts=1, seconds=1.0))
    [page] = manifest.pages
    assert max(stimulus.peak_dbfs for stimulus in page.stimuli) == pytest.approx(-1.0, abs=0.01)
    assert {stimulus.gain_db for stimulus in page.stimuli} == {page.stimuli[0].gain_db}


def test_the_same_run_and_seed_give_the_same_bytes_and_another_seed_other_names(run, tmp_path):
    def contents(name: str, seed: int) -> dict[str, bytes]:
        export(run, tmp_path / name, SHORT.model_copy(update={"seed": seed}))
        return {
            str(path.relative_to(tmp_path / name)): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }

    first = contents("a", 4)
    assert contents("b", 4) == first
    assert not {name for name in contents("c", 5) if name.endswith(".wav")} & set(first)


def test_the_excerpts_do_not_depend_on_the_methods(run, tmp_path):
    all_methods = export(run, tmp_path / "a", SHORT)
    one = export(run, tmp_path / "b", SHORT.model_copy(update={"methods": ("noisy_net",)}))
    assert [(page.track, page.start_seconds) for page in one.pages] == [
        (page.track, page.start_seconds) for page in all_methods.pages
    ]
    assert one.methods == ("noisy_net",)


def test_other_rates_and_mono_become_one_studio_rate(desk, tmp_path):
    run = desk.write_run(tmp_path / "run", tracks=1, seconds=4.0, rate=22_050, channels=1)
    manifest = export(run, tmp_path / "test", ExportSettings(preset="mushra", excerpts=1, seconds=1.0, bits=24))
    audio = Audio.read(tmp_path / "test" / manifest.pages[0].stimuli[0].file)
    assert (audio.sample_rate, audio.channels, audio.length_samples) == (44_100, 1, 44_100)


def test_reference_points_are_heard_only_if_named(run, desk, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    with ScoreLog(copy / "scores.jsonl") as log:
        for track in range(3):
            log.append([desk.row("mixture", f"Song/{track}", facts=MethodFacts(kind="reference"))])
            shutil.copytree(
                copy / "references" / f"Song_{track}", copy / "stems" / "mixture@vocals+accompaniment" / f"Song_{track}"
            )
    assert find_material(copy, "vocals").methods == desk.methods
    material = find_material(copy, "vocals", ["mixture", "clean_net"])
    assert material.methods == ("mixture", "clean_net")
    assert "mixture@vocals+accompaniment" in str(material.tracks[0].estimates["mixture"])


def test_what_a_run_lacks_is_said(run, desk, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "stems" / "noisy_net" / "Song_1" / "vocals.wav").unlink()
    (copy / "references" / "Song_2" / "mixture.wav").unlink()
    material = find_material(copy, "vocals")
    assert [track.name for track in material.tracks] == ["Song/0", "Song/2"]
    assert material.notes == ("track 'Song/1' was left out: no vocals of noisy_net was kept",)
    with pytest.raises(DatasetError, match=r"'Song/2' has no mixture"):
        export(copy, tmp_path / "test", ExportSettings(preset="mushra", tracks=("Song/2",), excerpts=1, seconds=1.0))
    assert not (tmp_path / "test").exists()
    assert not list(tmp_path.glob(".test*"))
    shutil.rmtree(copy / "stems")
    with pytest.raises(DatasetError, match="repeat the run with its stems kept"):
        find_material(copy, "vocals")


def test_a_method_that_had_an_easier_task_or_another_truth_is_not_compared(run, desk, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    with ScoreLog(copy / "scores.jsonl") as log:
        for track in range(3):
            log.append(
                [
                    desk.row("spoilt", f"Song/{track}", mixture="own"),
                    desk.row("other_truth", f"Song/{track}", truth="vocals+choir"),
                ]
            )
    with pytest.raises(OptionError, match=r"mean different things by 'vocals' .*other_truth: vocals\+choir"):
        find_material(copy, "vocals")
    material = find_material(copy, "vocals", desk.methods)
    assert material.notes == ("spoilt was given the mixture of its own stems only",)
    with pytest.raises(OptionError, match="own stems only"):
        find_material(copy, "vocals", ["spoilt"])


def test_unknown_names_name_the_nearest(run, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'clean_net'"):
        find_material(run, "vocals", ["clean_nett"])
    with pytest.raises(UnknownNameError, match="did you mean 'vocals'"):
        find_material(run, "vocal")
    with pytest.raises(UnknownNameError, match="did you mean 'Song/1'"):
        find_material(run, "vocals", None, ["Song 1"])
    with pytest.raises(DatasetError, match=r"no scores\.jsonl"):
        find_material(tmp_path, "vocals")
    (tmp_path / "scores.jsonl").touch()
    with pytest.raises(DatasetError, match="has no score yet"):
        find_material(tmp_path, "vocals")


def test_nothing_is_overwritten_by_accident(run, tmp_path):
    out = tmp_path / "test"
    export(run, out, SHORT)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        export(run, out, SHORT)
    export(run, out, SHORT, overwrite=True)
    (out / "results").mkdir()
    with pytest.raises(OutputExistsError, match=r"holds more than an exported test \(results\)"):
        export(run, out, SHORT, overwrite=True)


def test_too_many_methods_for_one_page_are_refused(run, desk, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    with ScoreLog(copy / "scores.jsonl") as log:
        for number in range(11):
            shutil.copytree(copy / "stems" / "noisy_net", copy / "stems" / f"net_{number}")
            for track in range(3):
                log.append([desk.row(f"net_{number}", f"Song/{track}")])
    with pytest.raises(OptionError, match="14 methods and 2 anchors on one page"):
        export(copy, tmp_path / "test", ExportSettings(preset="mushra", excerpts=1, seconds=1.0))


def test_the_command_exports_and_a_damaged_manifest_is_named(run, tmp_path, capsys):
    out = tmp_path / "test"
    arguments = ["listening-test", "export", str(run), "--out", str(out), "--excerpts", "1", "--seconds", "1"]
    assert main([*arguments, "--methods", "noisy_net, clean_net", "--name", "Bad Name"]) == 2
    assert "'name' was given 'Bad Name'" in capsys.readouterr().err
    assert main([*arguments, "--methods", "noisy_net, clean_net"]) == 0
    assert read_manifest(out).methods == ("noisy_net", "clean_net")
    assert "Keep manifest.json off the server" in capsys.readouterr().err.replace("\n", " ")
    content = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps(content | {"bits": 12}))
    with pytest.raises(DatasetError, match=r"manifest\.json is not a manifest of this version \(bits"):
        read_manifest(out)
    with pytest.raises(DatasetError, match=r"has no manifest\.json"):
        read_manifest(tmp_path)


def test_without_a_writer_of_yaml_the_extra_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"sepkit\[eval\]"):
        export(run, tmp_path / "test", SHORT)
    assert not (tmp_path / "test").exists()
