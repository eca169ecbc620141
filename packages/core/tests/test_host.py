"""Laws of the host: any audio in and the same format out, a model's mistakes named, and every run on record."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sepkit import Audio, Separator, Stems, devices
from sepkit.checked import CheckedSeparator
from sepkit.errors import (
    AudioError,
    CheckpointError,
    DeviceError,
    NonFiniteOutput,
    OptionError,
    PluginError,
    SepkitError,
    UnknownNameError,
)
from sepkit.filters.consistency import make_consistent
from sepkit.host import HostedSeparator
from sepkit.separator import WindowSettings
from sepkit.testing.fakes import Fake, Identity, Noisy, Split


def hosted(model: Any, **options: Any) -> HostedSeparator:
    return HostedSeparator(model, device="cpu", **options)


def sound(length_samples: int, channels: int = 2, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(channels, length_samples, generator=torch.Generator().manual_seed(seed))


def tone(hz: float, sample_rate: int, seconds: float = 1.0) -> Tensor:
    t = torch.arange(round(seconds * sample_rate), dtype=torch.float64) / sample_rate
    return (0.5 * torch.sin(2 * torch.pi * hz * t)).float()[None]


class Recorder(Identity):
    """Identity that remembers how it was called."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.calls: list[tuple[tuple[int, ...], list[int]]] = []

    def separate_windows(self, windows: Tensor, starts: Sequence[int], **rest: Any) -> Tensor:
        self.calls.append((tuple(windows.shape), list(starts)))
        return super().separate_windows(windows, starts, **rest)


class Scripted(Fake):
    """Two stems by a function of the windows b c t."""

    promise: ClassVar[dict[str, Any]] = {"stems": ("vocals", "other")}

    def __init__(self, function: Any, **changes: Any) -> None:
        super().__init__(**changes)
        self.function = function

    def separate_windows(self, windows: Tensor, starts: Sequence[int], **rest: Any) -> Tensor:
        return self.function(windows)


def halves(windows: Tensor) -> Tensor:
    return torch.stack([windows * 0.5, windows * 0.25], dim=1)


# --- format ----------------------------------------------------------------------------------------------------------


def test_a_hosted_model_is_a_separator():
    assert isinstance(hosted(Identity()), Separator)


def test_path_audio_numpy_and_torch_are_the_same_mixture(tmp_path: Path):
    x = sound(3000)
    Audio(x, 8000).write(tmp_path / "x.wav")
    separator = hosted(Split())
    wanted = separator.separate(x)
    for mixture in (tmp_path / "x.wav", str(tmp_path / "x.wav"), Audio(x, 8000), x.numpy(), x.double()):
        stems = separator.separate(mixture)
        assert all(torch.equal(stems[name].samples, wanted[name].samples) for name in wanted)


@settings(max_examples=40, deadline=None)
@given(
    length_samples=st.sampled_from([0, 1, 2, 97, 1023, 1024, 1025, 1792, 1793, 5003]),
    channels=st.integers(1, 6),
    sample_rate=st.sampled_from([8000, 11025, 44100, 4000]),
    model_channels=st.integers(1, 3),
)
def test_rate_channels_and_length_come_back_and_nothing_is_lost(length_samples, channels, sample_rate, model_channels):
    x = sound(length_samples, channels)
    stems = hosted(Split(channels=model_channels)).separate(x, sample_rate=sample_rate)
    assert tuple(stems) == ("low", "high")
    for audio in (*stems.values(), stems.residual):
        assert audio.samples.shape == x.shape
        assert audio.sample_rate == sample_rate
    summed = stems["low"].samples + stems["high"].samples + stems.residual.samples
    torch.testing.assert_close(summed, x, rtol=0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    length_samples=st.integers(1, 4000),
    window=st.integers(1, 600),
    overlap=st.floats(0, 0.99),
    channels=st.integers(1, 3),
    batch_windows=st.integers(1, 5),
)
def test_an_identity_model_gives_the_input_back(length_samples, window, overlap, channels, batch_windows):
    separator = hosted(
        Identity(overlap_samples=0), segment_seconds=window / 8000, overlap=overlap, batch_windows=batch_windows
    )
    x = sound(length_samples, channels)
    torch.testing.assert_close(separator.separate(x)["everything"].samples, x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sample_rate", [44100, 48000, 96000, 22050, 11025, 5512])
def test_what_the_model_can_hold_survives_the_way_there_and_back(sample_rate):
    x = tone(1000, sample_rate)
    out = hosted(Identity()).separate(x, sample_rate=sample_rate)["everything"].samples
    inner = slice(sample_rate // 10, -sample_rate // 10)
    torch.testing.assert_close(out[:, inner], x[:, inner], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("consistency", "other"), [("none", True), ("uniform", True), ("uniform", False)])
def test_content_above_the_models_nyquist_is_never_lost(consistency, other):
    x = tone(10_000, 44100)
    names = ("vocals", "other") if other else ("vocals", "drums")
    stems = hosted(Scripted(halves, stems=names)).separate(x, sample_rate=44100, consistency=consistency)
    inner = slice(2000, -2000)
    share = {"none": (0.0, 0.0), "uniform": (0.0, 1.0) if other else (0.5, 0.5)}[consistency]
    for name, part in zip(names, share, strict=True):
        torch.testing.assert_close(stems[name].samples[:, inner], part * x[:, inner], rtol=0, atol=1e-3)
    if consistency == "none":
        torch.testing.assert_close(stems.residual.samples[:, inner], x[:, inner], rtol=0, atol=1e-3)


def test_without_resampling_mono_goes_through_a_stereo_model_as_twins():
    model = Recorder()
    stems = hosted(model).separate(sound(1000, 1))
    assert model.calls[0][0][1] == 2
    torch.testing.assert_close(stems["everything"].samples, sound(1000, 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("consistency", ["uniform", "energy", "wiener"])
@pytest.mark.parametrize(("sample_rate", "channels"), [(8000, 2), (44100, 1), (6000, 3)])
def test_consistent_stems_sum_to_the_mixture(consistency, sample_rate, channels):
    x = sound(4001, channels)
    stems = hosted(Scripted(halves)).separate(x, sample_rate=sample_rate, consistency=consistency)
    summed = stems["vocals"].samples + stems["other"].samples
    torch.testing.assert_close(summed, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("consistency", ["none", "uniform", "energy", "wiener"])
def test_a_consistency_is_applied_to_each_window(consistency):
    x = sound(1024)
    stems = hosted(Scripted(halves)).separate(x, consistency=consistency)
    [wanted] = make_consistent(halves(x[None]), x[None], consistency)
    for stem, samples in zip(stems.values(), wanted, strict=True):
        torch.testing.assert_close(stem.samples, samples, rtol=0, atol=1e-5)


def test_an_empty_track_gives_empty_stems_without_a_call():
    model = Recorder()
    stems = hosted(model).separate(np.zeros((2, 0), np.float32), quality="30s")
    assert stems["everything"].samples.shape == (2, 0)
    assert stems.provenance["input"]["length_samples"] == 0
    assert model.calls == []


@pytest.mark.parametrize("mixture", [{"vocals": 1}, [0.0, 1.0], None, 3])
def test_other_inputs_are_refused(mixture):
    with pytest.raises(AudioError, match="wanted a path"):
        hosted(Identity()).separate(mixture)


def test_stems_are_no_mixture():
    stems = hosted(Split()).separate(sound(10))
    with pytest.raises(AudioError, match=r"stems\['vocals'\]"):
        hosted(Identity()).separate(stems)


def test_a_rate_that_contradicts_the_audio_is_refused():
    with pytest.raises(AudioError, match="44100 Hz, but sample_rate=8000"):
        hosted(Identity()).separate(Audio(sound(10), 44100), sample_rate=8000)


# --- windows and batches ---------------------------------------------------------------------------------------------


def test_windows_lie_on_the_grid_and_go_in_batches_in_order():
    model = Recorder(window_samples=100, overlap_samples=25)
    hosted(model, batch_windows=2).separate(sound(351))
    assert model.calls == [((2, 2, 100), [0, 75]), ((2, 2, 100), [150, 225]), ((1, 2, 100), [300])]


def test_channel_groups_share_the_batch_and_their_starts():
    model = Recorder(window_samples=100, overlap_samples=0)
    hosted(model, batch_windows=5).separate(sound(200, 4))
    assert model.calls == [((4, 2, 100), [0, 0, 100, 100])]


def test_a_model_without_a_window_gets_the_whole_track_at_once():
    model = Recorder(window_samples=None, overlap_samples=0)
    x = sound(12345)
    assert torch.equal(hosted(model).separate(x)["everything"].samples, x)
    assert model.calls == [((1, 2, 12345), [0])]


class Overlapping(Recorder):
    """Its `fast` asks for an overlap of its own."""

    def settings(self, quality: str | int) -> WindowSettings:
        return WindowSettings(overlap=0.5 if quality == "fast" else None)


@pytest.mark.parametrize(
    ("options", "quality", "wanted"),
    [
        ({}, "balanced", (1024, 768)),
        ({}, "fast", (1024, 512)),
        ({"overlap": 0.75}, "fast", (1024, 256)),
        ({"segment_seconds": 0.1}, "balanced", (800, 600)),
        ({"segment_seconds": 0.1, "overlap": 0.0}, "fast", (800, 800)),
    ],
)
def test_the_hosts_options_go_before_the_qualitys_and_those_before_the_infos(options, quality, wanted):
    told = hosted(Overlapping(), **options).separate(sound(100), quality=quality).provenance
    assert (told["window_samples"], told["hop_samples"]) == wanted


def test_a_whole_track_method_can_be_given_a_window():
    model = Recorder(window_samples=None, overlap_samples=0)
    hosted(model, segment_seconds=0.5).separate(sound(8000))
    assert {shape[-1] for shape, _ in model.calls} == {4000}


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ({"segment_seconds": 1.0}, {"fixed_window": True}, "one window length only"),
        ({"overlap": 0.5}, {"window_samples": None, "overlap_samples": 0}, "whole track at once"),
        ({"segment_seconds": 0}, {}, "above 0"),
        ({"segment_seconds": float("inf")}, {}, "above 0"),
        ({"overlap": 1.0}, {}, "below 1"),
        ({"overlap": True}, {}, "below 1"),
        ({"batch_windows": 0}, {}, "at least 1"),
        ({"precision": "fp8"}, {}, "bf16"),
    ],
)
def test_options_outside_their_range_are_refused_at_once(options, changes, message):
    with pytest.raises(OptionError, match=message):
        hosted(Identity(**changes), **options)


@pytest.mark.parametrize("batch_windows", [1, 2, 3, 7])
def test_results_do_not_depend_on_the_batch_size(batch_windows):
    x = sound(9000)
    one, many = (hosted(Noisy(), batch_windows=n).separate(x, seed=5) for n in (1, batch_windows))
    torch.testing.assert_close(one["noise"].samples, many["noise"].samples, rtol=0, atol=1e-6)


# --- what a model can get wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (lambda w: torch.zeros(len(w), 3, 2, 1024), r"\(1, 3, 2, 1024\)"),
        (lambda w: torch.zeros(len(w), 2, 2, 1000), r"\(1, 2, 2, 1000\)"),
        (lambda w: w, r"\(1, 2, 1024\)"),
        (lambda w: torch.zeros(len(w), 2, 2, 1024, dtype=torch.int32), "int32"),
        (lambda w: None, "NoneType"),
    ],
)
def test_a_wrong_shape_is_named_with_what_was_wanted(output, shown):
    with pytest.raises(PluginError, match=rf"{shown}.*wanted a float tensor.*\(1, 2, 2, 1024\).*vocals, other"):
        hosted(Scripted(output)).separate(sound(10))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_non_finite_output_names_stem_window_and_time(bad):
    def spoil(windows: Tensor) -> Tensor:
        stems = halves(windows)
        if len(windows) == 3:  # the windows 4, 5 and 6, in the second batch of four
            stems[1, 1, 0, 160] = bad
        return stems

    with pytest.raises(
        NonFiniteOutput, match=rf"{bad} for stem 'other' in window 5 at 0\.500 s \(window from 0\.480 s"
    ):
        hosted(Scripted(spoil, overlap_samples=256)).separate(sound(1024 + 6 * 768))


def test_an_exception_of_the_model_names_method_and_window_and_keeps_the_cause():
    def fail(windows: Tensor) -> Tensor:
        raise ZeroDivisionError("oh")

    with pytest.raises(PluginError, match=r"'scripted' failed on window 0 .*ZeroDivisionError: oh") as caught:
        hosted(Scripted(fail)).separate(sound(10))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("error", [CheckpointError("x"), KeyboardInterrupt()])
def test_named_errors_and_interruptions_pass_unchanged(error):
    def fail(windows: Tensor) -> Tensor:
        raise error

    with pytest.raises(type(error)) as caught:
        hosted(Scripted(fail)).separate(sound(10))
    assert caught.value is error


def test_a_model_cannot_change_the_users_audio_or_the_mixture_that_the_host_keeps():
    def vandal(windows: Tensor) -> Tensor:
        stems = halves(windows)
        windows.zero_()
        return stems

    x = sound(5000)
    copy = x.clone()
    for window_samples in (1024, None):
        changes = {"window_samples": window_samples, "overlap_samples": 0}
        stems = hosted(Scripted(vandal, **changes)).separate(x, consistency="energy")
        assert torch.equal(x, copy)
        torch.testing.assert_close(stems["vocals"].samples + stems["other"].samples, x, rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Out of memory")
def test_a_model_that_reuses_its_output_buffer_does_no_harm():
    buffer = torch.zeros(1, 2, 2, 1024)

    def reuse(windows: Tensor) -> Tensor:
        return buffer.copy_(small_memory(1)(windows))

    x = sound(5000)
    stems = hosted(Scripted(reuse), batch_windows=4).separate(x)
    torch.testing.assert_close(stems["vocals"].samples, 0.5 * x, rtol=0, atol=1e-6)


def test_results_are_ordinary_tensors_made_without_gradients():
    weight = torch.ones(1, requires_grad=True)
    modes = []

    def separate(windows: Tensor) -> Tensor:
        modes.append(torch.is_inference_mode_enabled())
        return halves(windows) * weight

    stems = hosted(Scripted(separate)).separate(sound(100))
    assert modes == [True]
    samples = stems["vocals"].samples
    assert not samples.is_inference()
    assert not samples.requires_grad
    (samples * torch.ones(1, requires_grad=True)).sum().backward()  # would raise for an inference tensor


def test_global_random_state_is_left_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    hosted(Noisy()).separate(sound(3000), seed=1, quality="10s", consistency="wiener")
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]


def test_the_default_dtype_of_the_user_does_not_leak_in():
    torch.set_default_dtype(torch.float64)
    try:
        stems = hosted(Split()).separate(sound(3000), sample_rate=11025, consistency="wiener")
    finally:
        torch.set_default_dtype(torch.float32)
    assert stems["low"].samples.dtype == torch.float32


def test_the_seed_decides_and_only_the_seed():
    separator, x = hosted(Noisy()), sound(3000)
    one, again, other = (separator.separate(x, seed=seed)["noise"].samples for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("seed", [1.5, "1", True, None])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(OptionError, match="seed"):
        hosted(Noisy()).separate(sound(10), seed=seed)


@pytest.mark.parametrize("model", [object(), None, Identity])
def test_what_is_no_window_model_is_refused(model):
    with pytest.raises(PluginError, match="WindowModel"):
        hosted(model)


def test_an_info_that_contradicts_itself_is_refused():
    with pytest.raises(PluginError, match="overlap_samples 1024"):
        hosted(Identity(overlap_samples=1024))


# --- memory and precision --------------------------------------------------------------------------------------------


def small_memory(limit: int) -> Any:
    def separate(windows: Tensor) -> Tensor:
        if len(windows) > limit:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return halves(windows)

    return separate


def test_out_of_memory_shrinks_the_batch_once_and_for_good_and_says_so():
    x = sound(20_000)
    separator = hosted(Scripted(small_memory(2)), batch_windows=8)
    with pytest.warns(RuntimeWarning, match="batch_windows=") as caught:
        stems = separator.separate(x)
    assert [str(w.message).split(" windows")[0].split()[-1] for w in caught] == ["8", "4"]
    torch.testing.assert_close(stems["vocals"].samples, 0.5 * x, rtol=0, atol=1e-6)
    assert stems.provenance["batch_windows"] == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        separator.separate(x)


@pytest.mark.parametrize(("fixed", "advice"), [(False, "--segment"), (True, "device 'cpu'")])
def test_out_of_memory_with_one_window_names_a_way_out(fixed, advice):
    separator = hosted(Scripted(small_memory(0), fixed_window=fixed), batch_windows=1)
    with pytest.raises(DeviceError, match=advice) as caught:
        separator.separate(sound(5000))
    assert ("--segment" in str(caught.value)) is not fixed


def test_a_model_that_cannot_move_is_used_on_the_cpu_only(monkeypatch):
    monkeypatch.setattr("sepkit.devices._missing", lambda device: None)
    monkeypatch.setattr("sepkit.devices._device_name", lambda device: "")
    with pytest.raises(DeviceError, match="CPU only"):
        HostedSeparator(Identity(), device="cuda")


class Moving(Scripted):
    """A model with a weight that has to be where the windows are."""

    def __init__(self) -> None:
        super().__init__(lambda windows: halves(windows) * self.weight)
        self.weight = torch.ones(1)

    def to(self, device: torch.device) -> None:
        self.weight = self.weight.to(device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_gives_what_the_cpu_gives(precision):
    x = sound(20_000)
    stems = HostedSeparator(Moving(), device="auto", precision=precision).separate(x, consistency="energy")
    assert stems.provenance["device"] == "cuda"
    wanted = hosted(Moving()).separate(x, consistency="energy")
    torch.testing.assert_close(stems["vocals"].samples, wanted["vocals"].samples, rtol=0, atol=1e-2)


def test_a_model_is_moved_to_its_device():
    moved = []
    model = Moving()
    model.to = moved.append
    hosted(model)
    assert moved == [torch.device("cpu")]


class Linear(Fake):
    """A matrix product, which autocast lowers; with `left` below 1 its rounding stands against a smaller signal."""

    promise: ClassVar[dict[str, Any]] = {"stems": ("vocals",)}

    def __init__(self, left: float) -> None:
        super().__init__()
        self.left = left

    def separate_windows(self, windows: Tensor, starts: Sequence[int], **rest: Any) -> Tensor:
        product = torch.einsum("dc,bct->bdt", torch.eye(2), windows)
        return (product.float() - (1 - self.left) * windows)[:, None]


def test_a_lower_precision_is_used_where_its_error_is_small_and_recorded():
    x = sound(3000)
    lowered, full = (hosted(Linear(left=1.0), precision=precision).separate(x) for precision in ("bf16", "fp32"))
    assert lowered.provenance["precision"] == "bf16"
    assert -70 < lowered.provenance["precision_error_db"] < -40
    assert full.provenance["precision_error_db"] is None
    assert 0 < (lowered["vocals"].samples - full["vocals"].samples).abs().max() < 0.02


def test_a_lower_precision_is_refused_where_its_error_is_large():
    with pytest.raises(DeviceError, match=r"by -?\d+\.\d dB relative to fp32"):
        hosted(Linear(left=0.001), precision="bf16").separate(sound(3000))


# --- options of a run ------------------------------------------------------------------------------------------------


def test_chosen_stems_are_those_of_a_full_run_and_the_residual_is_what_they_leave():
    separator, x = hosted(Scripted(halves)), sound(3000)
    full, one = (
        separator.separate(x, consistency="energy"),
        separator.separate(x, stems=["other"], consistency="energy"),
    )
    assert tuple(one) == ("other",)
    assert torch.equal(one["other"].samples, full["other"].samples)
    torch.testing.assert_close(one.residual.samples, x - one["other"].samples, rtol=0, atol=0)
    assert tuple(separator.separate(x, stems=("other", "vocals"))) == ("other", "vocals")
    assert tuple(separator.separate(x, stems="vocals")) == ("vocals",)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"stems": ["vocal"]}, UnknownNameError, "did you mean 'vocals'"),
        ({"stems": []}, OptionError, "No stems"),
        ({"quality": "bset"}, OptionError, "did you mean 'best'"),
        ({"consistency": "enery"}, OptionError, "did you mean 'energy'"),
    ],
)
def test_misspelt_options_get_the_nearest(options, error, message):
    with pytest.raises(error, match=message):
        hosted(Scripted(halves)).separate(sound(10), **options)


class Stepped(Fake):
    """A method whose qualities differ in network calls; counts them."""

    promise: ClassVar[dict[str, Any]] = {"stems": ("vocals", "other")}

    class Settings(WindowSettings):
        steps: int

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def settings(self, quality: str | int) -> Settings:
        return self.Settings(
            steps=quality if isinstance(quality, int) else {"fast": 1, "balanced": 10, "best": 1000}[quality]
        )

    def network_calls(self, settings: Settings) -> int:
        return settings.steps

    def separate_windows(self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: Settings) -> Tensor:
        self.calls += settings.steps
        *_, last = self.iterate_windows(windows, starts, seed=seed, settings=settings)
        return last

    def iterate_windows(self, windows: Tensor, starts: Sequence[int], *, seed: int, settings: Settings) -> Any:
        for step in range(settings.steps):
            yield halves(windows) * (1 - 0.5 ** (step + 1))


def test_steps_reach_the_model_and_the_record():
    stems = hosted(Stepped()).separate(sound(100), quality=3)
    assert stems.provenance["quality"] == 3
    assert stems.provenance["settings"]["steps"] == 3


def test_a_budget_chooses_what_fits_records_it_and_can_be_repeated(monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr("sepkit.runner.time.perf_counter", lambda: float(next(clock)))  # every call takes one second
    model = Stepped()
    separator, x = hosted(model), sound(1024)
    stems = separator.separate(x, quality="60s")
    told = stems.provenance
    assert told["quality"] == "balanced"
    assert told["budget_seconds"] == 60.0
    assert told["budget_fits"] is True
    assert list(told["budget_estimates_seconds"]) == ["fast", "balanced", "best"]
    again = separator.separate(x, quality=told["quality"])
    assert torch.equal(again["vocals"].samples, stems["vocals"].samples)
    assert separator.separate(x, quality="0.1s").provenance["budget_fits"] is False


def test_a_budget_times_the_cheapest_only_where_the_model_counts_its_calls():
    model = Stepped()
    hosted(model).separate(sound(1024), quality="1h")
    assert model.calls <= 2 + 1000  # a warm-up and a timing of `fast`, then the run itself at `best`


def test_a_budget_needs_the_length():
    with pytest.raises(OptionError, match="length_samples"):
        hosted(Identity()).separate_stream([], 8000, 2, quality="30s")


def test_estimates_improve_and_the_last_is_what_separate_gives():
    separator, x = hosted(Stepped(), batch_windows=2), sound(5000)
    estimates = list(separator.separate_iter(x, sample_rate=11025, quality=4, consistency="none"))
    final = separator.separate(x, sample_rate=11025, quality=4)
    assert len(estimates) == 4
    distances = [float((e["vocals"].samples - final["vocals"].samples).abs().max()) for e in estimates]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == 0
    for estimate in estimates:
        whole = estimate["vocals"].samples + estimate["other"].samples + estimate.residual.samples
        torch.testing.assert_close(whole, x, rtol=0, atol=1e-6)
    assert estimates[-1].provenance["settings"]["steps"] == 4


def test_a_method_that_cannot_improve_yields_its_one_estimate():
    separator, x = hosted(Split()), sound(3000)
    [only] = separator.separate_iter(x)
    assert torch.equal(only["low"].samples, separator.separate(x)["low"].samples)


def test_iterating_without_an_estimate_is_the_plugins_fault():
    class Mute(Stepped):
        def iterate_windows(self, *_: Any, **__: Any) -> Any:
            return iter(())

    with pytest.raises(PluginError, match="no estimate"):
        list(hosted(Mute()).separate_iter(sound(100)))


@pytest.mark.parametrize("sample_rate", [8000, 44100])
def test_progress_rises_to_the_whole_length(sample_rate):
    seen: list[tuple[float, float]] = []
    hosted(Identity()).separate(sound(30_000), sample_rate=sample_rate, progress=lambda *pair: seen.append(pair))
    done = [pair[0] for pair in seen]
    assert done == sorted(done)
    assert seen[-1] == (30_000 / sample_rate, 30_000 / sample_rate)


# --- record and end --------------------------------------------------------------------------------------------------


def test_provenance_is_plain_json_and_names_what_a_repetition_needs():
    model = Split()
    model.provenance = {"weights_sha256": "abc", "checkpoint": Path("x")}
    model.parameters = 7
    stems = hosted(model, batch_windows=3).separate(sound(3000), sample_rate=11025, seed=9, consistency="uniform")
    told = json.loads(json.dumps(stems.provenance, allow_nan=False))
    assert told["method"] == "split"
    assert told["model"] == {"weights_sha256": "abc", "checkpoint": "x", "parameters": 7}
    assert told["versions"]["torch"] == str(torch.__version__)
    assert (told["device"], told["precision"], told["seed"], told["quality"]) == ("cpu", "fp32", 9, "balanced")
    assert (told["consistency"], told["batch_windows"], told["settings"]) == ("uniform", 3, {"overlap": None})
    assert (told["window_samples"], told["hop_samples"]) == (1024, 768)
    assert told["input"] == {"sample_rate": 11025, "channels": 2, "length_samples": 3000, "seconds": 3000 / 11025}
    assert told["compute_seconds"] > 0


def test_a_closed_separator_is_of_no_use_and_says_so():
    class Closing(Identity):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    model = Closing()
    with hosted(model) as separator:
        separator.separate(sound(10))
    separator.close()
    assert model.closed == 1
    with pytest.raises(SepkitError, match="closed"):
        separator.separate(sound(10))


# --- a third party's whole separator ---------------------------------------------------------------------------------


class Whole:
    """A whole Separator, whose result a test may spoil."""

    def __init__(self, spoil: Any = lambda stems: stems) -> None:
        self.inner = hosted(Scripted(halves))
        self.info = self.inner.info
        self.spoil = spoil

    def separate(self, mixture: Any, **options: Any) -> Any:
        return self.spoil(self.inner.separate(mixture, **options))


def test_a_third_partys_separator_is_checked_and_recorded():
    x = sound(2000)
    stems = CheckedSeparator(Whole()).separate(x, sample_rate=11025, seed=3)
    torch.testing.assert_close(stems["vocals"].samples + stems["other"].samples + stems.residual.samples, x)
    assert stems.provenance["method"] == "scripted"
    assert stems.provenance["seed"] == 3
    assert stems.provenance["plugin_provenance"]["seed"] == 3
    assert CheckedSeparator(Whole()).separate(np.zeros((2, 0)))["vocals"].length_samples == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda stems: None, "NoneType"),
        (lambda stems: {"vocals": stems["vocals"]}, "the stems vocals; wanted a mapping with vocals, other"),
        (lambda stems: dict.fromkeys(stems, 1), "int as stem 'vocals'"),
        (lambda stems: dict.fromkeys(stems, Audio(sound(1999), 8000)), "1999 samples.*2000 samples"),
        (lambda stems: dict.fromkeys(stems, Audio(sound(2000), 44100)), "44100 Hz.*8000 Hz"),
        (lambda stems: dict.fromkeys(stems, Audio(sound(2000, 1), 8000)), "1 channels.*2 channels"),
        (lambda stems: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_third_partys_broken_promise_is_named(spoil, message):
    with pytest.raises(PluginError, match=message):
        CheckedSeparator(Whole(spoil)).separate(sound(2000))


def test_a_third_partys_consistency_is_checked():
    def without_sum(stems: Stems) -> Any:
        return dict.fromkeys(stems, stems["vocals"])

    with pytest.raises(PluginError, match="sum to it"):
        CheckedSeparator(Whole(without_sum)).separate(sound(2000), consistency="uniform")
    CheckedSeparator(Whole()).separate(sound(2000), consistency="uniform")


def test_auto_leaves_a_model_that_cannot_be_moved_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = devices.DeviceChoice(torch.device("cuda"), "auto: pretended")
    monkeypatch.setattr(devices, "_best_device", lambda: gpu)
    model = Identity()
    assert not hasattr(model, "to")
    separator = HostedSeparator(model)
    assert separator.device.type == "cpu"
    assert separator.provenance()["device_reason"] == "auto: the method runs on the CPU only"
