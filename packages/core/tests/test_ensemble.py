"""An ensemble is the sum of what its members give: nothing of a member is lost, and how it is run plays no part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from sepkit import Audio, get_separator, list_separators
from sepkit.cli.main import main
from sepkit.data.track import track_in_memory
from sepkit.ensemble import EnsembleSeparator
from sepkit.ensemble_config import DEFAULT_MEMBERS, write_ensemble
from sepkit.ensemble_fitting import fit_weights
from sepkit.ensemble_streams import CONSISTENCY_WINDOW_SECONDS
from sepkit.errors import CheckpointError, DatasetError, OptionError, PluginError, UnknownNameError
from sepkit.evaluation.command import method_groups
from sepkit.licences import allows_commercial, combined_licence
from sepkit.registry import register
from sepkit.separator import WindowSettings
from sepkit.testing import SeparatorConformance
from sepkit.testing.broken_separators import WholeSeparator
from sepkit.testing.fakes import Fake, Noisy, Split

RATE = 22050


class Slow(Split):
    """Another rate, other windows, another number of channels, and a stem less."""

    promise: ClassVar[dict[str, Any]] = {
        "stems": ("low", "middle"), "sample_rate": 11_025, "channels": 1, "window_samples": 6000,
        "overlap_samples": 1000, "licence": "CC-BY-NC-4.0", "kind": "generative",
    }  # fmt: skip


class Halver(Fake):
    """Gives half of what it is given, so that a cascade shows in the level; begins at an estimate if asked to."""

    promise: ClassVar[dict[str, Any]] = {"stems": ("low",), "licence": "CC-BY-4.0"}

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        return 0.5 * windows[:, None]


class Blender(Halver):
    """Has a refiner: (1 - strength) of the estimate and strength of the mixture, less 0.1 of the other given stem."""

    def refiner(self, strength: float) -> Any:
        return BlenderFromEstimate(strength)


class BlenderFromEstimate(Fake):
    promise: ClassVar[dict[str, Any]] = {"stems": ("low",), "channels": 6, "window_samples": 500, "overlap_samples": 50}
    given = ("low", "high")

    def __init__(self, strength: float):
        super().__init__()
        self.strength = strength

    def separate_windows(
        self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: WindowSettings
    ) -> Tensor:
        mixture, low, high = windows.split(2, dim=1)
        found = (1 - self.strength) * low + self.strength * mixture - 0.1 * high
        return torch.cat([found, torch.zeros_like(windows[:, 2:])], dim=1)[:, None]


MODELS = {"low_high": Split, "noisy": Noisy, "slow": Slow, "halver": Halver, "blender": Blender}


def taken(kind: type[Fake]) -> Any:
    def build(*, checkpoint: object = None, untrained: bool = False, gain: float = 1.0) -> Any:
        return kind(trained=not untrained) if gain == 1.0 else kind(name=f"gain {gain}")

    return build


@pytest.fixture(autouse=True, scope="module")
def methods() -> Iterator[None]:
    """The fakes by name, and one whole separator, for as long as this file runs."""
    registered = [register(name, taken(kind)) for name, kind in MODELS.items()]
    registered.append(register("whole", lambda **options: WholeSeparator()))
    yield
    for one in registered:
        one.undo()


def ensemble(members: Any, weights: Any = None, **options: Any) -> EnsembleSeparator:
    given = {"members": members} | ({} if weights is None else {"weights": weights})
    made = get_separator("ensemble", device="cpu", **given, **options)
    assert isinstance(made, EnsembleSeparator)
    return made


def sound(seconds: float = 1.0, channels: int = 2) -> Audio:
    generator = torch.Generator().manual_seed(5)
    return Audio(0.3 * torch.randn(channels, round(seconds * RATE), generator=generator), RATE)


def alone(name: str, stem: str, audio: Audio, **options: Any) -> Tensor:
    return get_separator(name, device="cpu").separate(audio, **options)[stem].samples


class TestEnsembleConformance(SeparatorConformance):
    """Averages, another rate, a complement, a cascade of each kind, and a random member."""

    name = "ensemble"
    options: ClassVar[dict[str, Any]] = {
        "members": {
            "low": ["low_high", "slow", {"first": "low_high", "then": "blender"}],
            "no_low": "slow",
            "noise": "noisy",
            "high": {"first": {"name": "slow", "stem": "middle"}, "then": "low_high", "how": "separate"},
        },
        "weights": {"low": [0.5, 0.3, 0.2]},
    }


def test_one_member_is_that_member_bit_for_bit() -> None:
    audio = sound()
    found = ensemble({"noise": "noisy", "rest": "noisy"}).separate(audio, seed=7)
    for stem in found:
        assert torch.equal(found[stem].samples, alone("noisy", stem, audio, seed=7))
    assert found.provenance["members"][0]["method"] == "noisy"
    assert len(found.provenance["members"]) == 1  # one separation, though it serves two stems


def test_weights_are_those_of_the_members_in_their_order() -> None:
    audio = sound()
    one, two = (alone(name, "low", audio) for name in ("low_high", "slow"))
    for weights in ([0.75, -0.5], {"slow": -0.5, "low_high": 0.75}):
        found = ensemble({"low": ["low_high", "slow"]}, {"low": weights}).separate(audio)
        assert torch.allclose(found["low"].samples, 0.75 * one - 0.5 * two, atol=1e-7)
    equal = ensemble({"low": ["low_high", "slow"]}).separate(audio)
    assert torch.allclose(equal["low"].samples, (one + two) / 2, atol=1e-7)


def test_a_complement_is_what_the_stem_leaves() -> None:
    audio = sound()
    found = ensemble({"no_low": "slow", "low": "slow"}).separate(audio)
    assert torch.allclose(found["no_low"].samples, audio.samples - alone("slow", "low", audio), atol=1e-6)


def test_a_cascade_separates_the_estimate() -> None:
    audio = Audio(sound().samples, 8000)
    found = ensemble({"low": {"first": "low_high", "then": "halver"}}).separate(audio)
    assert torch.allclose(found["low"].samples, 0.5 * alone("low_high", "low", audio), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_cascade_begins_at_the_estimates_where_the_second_can(channels: int) -> None:
    audio = Audio(sound(channels=channels).samples, 8000)  # the members' own rate: nothing is resampled
    found = ensemble({"low": {"first": "low_high", "then": "blender", "strength": 0.25}}).separate(audio)
    low, high = (alone("low_high", stem, audio) for stem in ("low", "high"))
    wanted = 0.75 * low + 0.25 * audio.samples - 0.1 * high
    assert torch.allclose(found["low"].samples, wanted, atol=1e-6)
    asked = ensemble({"low": {"first": "low_high", "then": "blender", "how": "separate"}}).separate(audio)
    assert torch.allclose(asked["low"].samples, 0.5 * low, atol=1e-6)


def test_only_the_members_that_are_needed_run() -> None:
    separator = ensemble({"low": "low_high", "noise": "noisy"})
    found = separator.separate(sound(), stems=["noise"])
    assert [member["method"] for member in found.provenance["members"]] == ["noisy"]
    both = separator.separate(sound(), stems=["noise"], consistency="uniform")
    assert len(both.provenance["members"]) == 2  # what is left is shared by all stems


@pytest.mark.parametrize("consistency", ["uniform", "energy"])
def test_consistency_holds_over_many_windows(consistency: Any) -> None:
    audio = sound(2.6 * CONSISTENCY_WINDOW_SECONDS, 1)
    found = ensemble({"low": ["slow"], "noise": "noisy"}).separate(audio, consistency=consistency)
    assert torch.allclose(found["low"].samples + found["noise"].samples, audio.samples, atol=1e-6)


def test_what_waits_between_members_does_not_grow_with_the_track(monkeypatch: pytest.MonkeyPatch) -> None:
    from sepkit import windows

    most = 0
    push = windows.SampleQueue.push

    def counted(queue: Any, block: Tensor) -> None:
        nonlocal most
        push(queue, block)
        most = max(most, len(queue))

    monkeypatch.setattr(windows.SampleQueue, "push", counted)
    separator = ensemble({"low": ["low_high", "slow", {"first": "slow", "then": "blender", "how": "separate"}]})

    def waiting(seconds: int) -> int:
        nonlocal most
        most = 0
        blocks = (torch.full((2, 4000), 0.1) for _ in range(seconds * 2))
        assert (
            sum(piece["low"].length_samples for piece in separator.separate_stream(blocks, 8000, 2)) == 8000 * seconds
        )
        return most

    assert abs(waiting(24) - waiting(12)) < 2000  # blocks of 4000 fall differently onto the windows


def test_a_whole_separator_may_be_a_member() -> None:
    audio = Audio(sound().samples, 8000)
    with get_separator("ensemble", members={"low": ["whole", "low_high"], "high": "whole"}) as separator:
        found = separator.separate(audio)
        assert torch.allclose(found["low"].samples, alone("low_high", "low", audio), atol=1e-6)
        with pytest.raises(OptionError, match="'whole' hosts itself"):
            separator.separate(audio, quality="60s")  # whose time nobody can tell
    with pytest.raises(OptionError, match="'whole' hosts itself and cannot be given device"):
        ensemble({"low": "whole"})


def test_the_strictest_licence_holds() -> None:
    info = ensemble({"low": ["low_high", "slow", "halver"]}).info
    assert info.licence == "CC-BY-NC-4.0 AND CC-BY-4.0 AND MIT"
    assert not allows_commercial(info.licence)
    assert (info.sample_rate, info.channels, info.kind, info.random) == (11_025, 2, "combined", False)
    assert combined_licence(["CC0-1.0", "CC0-1.0"]) == "CC0-1.0"
    assert combined_licence(["CC0-1.0", "MIT"]) == "MIT"
    assert not allows_commercial(combined_licence(["MIT", "my own words"]))


def test_stems_sum_to_the_mixture_where_every_members_do_and_weights_sum_to_one() -> None:
    both = ["low_high", {"name": "low_high", "quality": "best"}]
    assert ensemble({"low": both, "high": both}).info.sums_to_mixture
    assert not ensemble({"low": both, "high": both}, {"low": [0.9, 0.2], "high": [0.9, 0.2]}).info.sums_to_mixture
    assert not ensemble({"low": both, "high": "low_high"}, {"low": [0.3, 0.7]}).info.sums_to_mixture
    assert not ensemble({"low": "low_high"}).info.sums_to_mixture


def test_it_is_saved_and_loaded_again(tmp_path: Path) -> None:
    made = ensemble({"low": ["low_high", {"name": "slow", "quality": "fast"}]}, {"low": [0.4, 0.5]})
    folder = made.save(tmp_path / "both")
    again = get_separator("ensemble", checkpoint=folder, device="cpu")
    assert again.config == made.config
    audio = sound(0.3)
    assert torch.equal(again.separate(audio)["low"].samples, made.separate(audio)["low"].samples)
    with pytest.raises(OptionError, match="weights was given with the checkpoint"):
        get_separator("ensemble", checkpoint=folder, weights={})
    (folder / "ensemble.json").write_text(json.dumps({"format": "another"}))
    with pytest.raises(CheckpointError, match="'another'"):
        get_separator("ensemble", checkpoint=folder)
    with pytest.raises(CheckpointError, match=r"no ensemble\.json"):
        get_separator("ensemble", checkpoint=tmp_path)


def test_checkpoints_inside_the_folder_move_with_it(tmp_path: Path) -> None:
    from sepkit.ensemble_config import Member, ensemble_config, read_ensemble, write_ensemble

    here, elsewhere = tmp_path / "both" / "own", tmp_path / "far"
    hub, published = "hf://owner/name", "download"
    given = [{"name": "slow", "checkpoint": str(place)} for place in (here, elsewhere, hub, published)]
    write_ensemble(ensemble_config({"low": given}), tmp_path / "both")
    (tmp_path / "both").rename(tmp_path / "moved")
    parts = read_ensemble(tmp_path / "moved").routes["low"].parts
    found = [part.checkpoint for part in parts if isinstance(part, Member)]
    assert found == [str(tmp_path / "moved" / "own"), str(elsewhere), hub, published]


@pytest.mark.parametrize(
    ("members", "weights", "error", "words"),
    [
        ({"low": "low_hihg"}, None, UnknownNameError, "did you mean 'low_high'"),
        ({"low": "ensemble"}, None, OptionError, "name its members"),
        ({"vocals": "low_high"}, None, UnknownNameError, "'vocals' that it does not have"),
        ({"low": {"name": "low_high", "stem": "lo"}}, None, UnknownNameError, "did you mean 'low'"),
        ({"low": []}, None, OptionError, "a list of them"),
        ({}, None, OptionError, "stem -> methods"),
        ("low_high", None, OptionError, "stem -> methods"),
        ({"low": {"first": "low_high"}}, None, OptionError, "'then'"),
        ({"low": {"nmae": "low_high"}}, None, OptionError, "with name"),
        ({"low": {"name": "low_high", "qualty": "best"}}, None, OptionError, "did you mean 'quality'"),
        ({"low": {"name": "low_high", "options": {"gian": 2}}}, None, OptionError, "did you mean 'gain'"),
        ({"low": {"first": "slow", "then": "halver", "how": "refine"}}, None, OptionError, "no refiner"),
        ({"low": ["low_high", "slow"]}, {"low": [1.0]}, OptionError, "1 for 2 members"),
        ({"low": ["low_high", "slow"]}, {"low": {"low_high": 1.0}}, OptionError, "slow in 'low' is None"),
        ({"low": ["low_high", "slow"]}, {"low": {"lo": 1.0}}, OptionError, "did you mean"),
        ({"low": ["low_high", "slow"]}, {"high": [1.0]}, OptionError, "did you mean|Known: low"),
        ({"low": ["low_high", "slow"]}, {"low": [1.0, float("nan")]}, OptionError, "nan"),
        ({"low": ["slow", "slow"]}, {"low": {"slow": 1.0}}, OptionError, "as a list"),
    ],
)
def test_what_does_not_fit_is_named(members: Any, weights: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ensemble(members, weights)


def test_a_budget_is_for_all_members_together() -> None:
    separator = ensemble({"low": ["low_high", "slow"]})
    found = separator.separate(sound(), quality="60s")
    assert found.provenance["quality"] == "best"
    assert found.provenance["budget_fits"]
    with pytest.raises(OptionError, match="length"):
        separator.separate_stream([], RATE, 2, quality="60s")


def test_a_member_has_its_own_options_quality_and_weights() -> None:
    separator = ensemble({"low": [{"name": "slow", "options": {"gain": 2}, "untrained": True}, "slow"]})
    assert not ensemble({"low": "slow"}, untrained=True).info.trained
    methods = [member["method"] for member in separator.separate(sound(0.2)).provenance["members"]]
    assert methods == ["gain 2", "slow"]
    with pytest.raises(OptionError, match="'bset'"):
        ensemble({"low": {"name": "slow", "quality": "bset"}}).separate(sound(0.2))


def test_fitted_weights_find_how_the_truth_was_mixed(tmp_path: Path) -> None:
    """The true stem is a sum of the estimates, so that no error is left; a track without it changes nothing."""
    separator = ensemble({"low": ["low_high", "slow", "low_high"], "high": "low_high"})
    tracks = []
    for number, channels in enumerate((2, 1)):
        audio = Audio(sound(1 + number, channels).samples, RATE)
        truth = 0.8 * alone("low_high", "low", audio) - 0.3 * alone("slow", "low", audio)
        tracks.append(track_in_memory(f"song {number}", {"low": truth}, RATE, audio.samples, complete=False))
    silent = track_in_memory("silent", {"low": 0 * truth, "high": truth}, RATE)
    config, [fitted] = fit_weights(separator, [*tracks, silent], facts={"dataset": "made"})
    assert fitted.weights == pytest.approx((0.4, -0.3, 0.4), abs=1e-4)  # one and the same shares its weight
    assert fitted.after_db > 60 > fitted.before_db
    assert fitted.tracks == 2
    assert config.routes["low"].weights == fitted.weights
    assert config.routes["high"] == separator.config.routes["high"]
    assert config.fitted is not None
    assert config.fitted["tracks"] == ["song 0", "song 1", "silent"]
    again = get_separator("ensemble", checkpoint=write_ensemble(config, tmp_path), device="cpu")
    assert again.config == config
    with pytest.raises(DatasetError, match="None of the 1 tracks"):
        fit_weights(separator, [silent])
    with pytest.raises(OptionError, match="two members"):
        fit_weights(ensemble({"low": "low_high"}), tracks)


def test_the_command_writes_an_ensemble_that_the_method_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stem, samples in {"vocals": sound(0.5).samples, "other": 0.2 * sound(0.5).samples.flip(1)}.items():
        Audio(samples, RATE).write(tmp_path / "songs" / "one" / f"{stem}.wav")
    members = {"vocals": [{"name": "low_high", "stem": "low"}, {"name": "slow", "stem": "low"}]}
    line = ["ensemble", str(tmp_path / "out"), "-O", f"members={json.dumps(members)}"]
    assert main([*line, "--fit", str(tmp_path / "songs")]) == 0
    shown = capsys.readouterr()
    assert "vocals" in shown.out
    assert "separating one" in shown.err
    assert get_separator("ensemble", checkpoint=tmp_path / "out", device="cpu").config.fitted["dataset"] == "songs"
    separate = ["separate", str(tmp_path / "songs" / "one" / "vocals.wav"), "-m", "ensemble", "-o", str(tmp_path)]
    assert main([*separate, "--checkpoint", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "with ensemble on cpu (asked for" in capsys.readouterr().err
    assert main(line) == 2  # an ensemble that was fitted is not lost by a slip
    assert "overwrite" in capsys.readouterr().err


def test_the_list_knows_the_default_without_loading_it_and_groups_leave_it_out() -> None:
    [summary] = [one for one in list_separators() if one.name == "ensemble"]
    if summary.stems is None:
        pytest.skip("the default's methods are not installed")
    assert summary.stems == tuple(DEFAULT_MEMBERS)
    assert summary.licence == "CC0-1.0"
    assert "ensemble" not in method_groups()["all"] + method_groups()["methods"]


def test_a_name_that_stands_for_another_plugin_is_not_this_one() -> None:
    with pytest.raises(PluginError, match="there already"):
        register("ensemble", taken(Split))
