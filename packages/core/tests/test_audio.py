"""Laws of the values `Audio` and `Stems`: checked where they are built, independent of their source, saved whole."""

from __future__ import annotations

import json
import os
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sepkit import Audio, Stems
from sepkit.errors import AudioError, OptionError, OutputExistsError, UnknownNameError
from sepkit.file_names import fill_template
from sepkit.soundfiles import ClippingWarning


def audio(channels: int = 2, length_samples: int = 100, sample_rate: int = 44_100, gain: float = 0.5) -> Audio:
    generator = torch.Generator().manual_seed(channels * length_samples)
    return Audio(gain * (2 * torch.rand(channels, length_samples, generator=generator) - 1), sample_rate)


@pytest.mark.parametrize(
    "kind", [np.float16, np.float32, np.float64, ">f4", torch.float16, torch.bfloat16, torch.float64]
)
def test_floats_of_any_kind_become_the_same_values_in_float32(kind):
    values = [[0.5, -0.25, 1.5]]
    samples = torch.tensor(values, dtype=kind) if isinstance(kind, torch.dtype) else np.array(values, dtype=kind)
    made = Audio(samples, 44_100)
    assert made.samples.dtype == torch.float32
    assert made.samples.tolist() == values


def test_one_axis_is_mono_and_facts_are_derived():
    made = Audio(np.zeros(22_050), 44_100)
    assert (made.channels, made.length_samples, made.seconds) == (1, 22_050, 0.5)
    assert repr(made) == "Audio(1 channels, 0.500 s, 44100 Hz)"
    assert Audio([0.0, 0.5], 44_100).samples.tolist() == [[0.0, 0.5]]


@pytest.mark.parametrize("length_samples", [0, 1])
def test_almost_nothing_is_audio_too(length_samples, tmp_path):
    made = audio(2, length_samples)
    made.write(tmp_path / "x.wav")
    assert torch.equal(Audio.read(tmp_path / "x.wav").samples, made.samples)
    assert made.resampled(88_200).length_samples == 2 * length_samples
    assert made.remixed(1).samples.shape == (1, length_samples)


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_neither_side_can_change_the_other(make):
    source = make([[0.1, 0.2]], dtype=(np if make is np.array else torch).float32)
    made = Audio(source, 44_100)
    source[:] = 0.9
    made.samples[0, 0] = 0.7
    made.numpy()[0, 1] = 0.7
    made.remixed(1).samples[0, 1] = 0.7
    assert made.samples.tolist() == [[np.float32(0.7), np.float32(0.2)]]
    assert source.tolist() == [[np.float32(0.9)] * 2]


def test_read_only_arrays_and_tensors_with_gradient_are_taken():
    array = np.zeros((1, 5), np.float32)
    array.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Audio(array, 44_100)
    assert not Audio(torch.zeros(1, 5, requires_grad=True), 44_100).samples.requires_grad


@pytest.mark.parametrize(
    ("samples", "sample_rate", "message"),
    [
        (np.zeros((1, 5), np.int16), 44_100, "samples / 32768"),
        (torch.zeros(1, 5, dtype=torch.int32), 44_100, "divide by"),
        (np.zeros((1, 5), complex), 44_100, "real floats"),
        (np.array(["a"]), 44_100, "real floats"),
        (np.zeros((1, 2, 5)), 44_100, r"\(channels, samples\) or \(samples,\)"),
        (np.float32(1.0), 44_100, r"shape \(\)"),
        (np.zeros((0, 5)), 44_100, r"shape \(0, 5\)"),
        (np.zeros((44_100, 2)), 44_100, r"pass the transpose, samples\.T"),
        (np.array([[0.0, np.nan]]), 44_100, r"nan at sample 1 \(0\.000 s\) of channel 0"),
        (np.array([[0.0] * 4, [0.0, 0.0, -np.inf, np.nan]]), 1, r"-inf at sample 2 \(2\.000 s\) of channel 1"),
        (np.array([[1e300]]), 44_100, "inf at sample 0"),
        (np.zeros((1, 5)), 0, "sample_rate=0"),
        (np.zeros((1, 5)), 44_100.5, "sample_rate=44100.5"),
        (np.zeros((1, 5)), "44100", "sample_rate='44100'"),
        (np.zeros((1, 5)), True, "sample_rate=True"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_is_no_audio_is_refused_with_what_to_do(samples, sample_rate, message):
    with pytest.raises(AudioError, match=message):
        Audio(samples, sample_rate)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(0, 2_000), st.sampled_from([8_000, 11_025, 44_100, 48_000, 96_000]))
def test_resampling_has_the_documented_length(channels, length_samples, sample_rate):
    made = audio(channels, length_samples).resampled(sample_rate)
    assert made.sample_rate == sample_rate
    assert made.samples.shape == (channels, round(length_samples * sample_rate / 44_100))


def test_writing_and_reading_a_part(tmp_path):
    made = audio(6, 5_000, 11_025, gain=3.0)
    assert made.write(tmp_path / "x.wav") == 0
    back = Audio.read(str(tmp_path / "x.wav"))
    assert back.sample_rate == 11_025
    assert torch.equal(back.samples, made.samples)
    part = Audio.read(tmp_path / "x.wav", start_samples=4_000, length_samples=2_000)
    assert torch.equal(part.samples, made.samples[:, 4_000:])
    assert Audio.read(tmp_path / "x.wav", start_samples=9_000).length_samples == 0


def test_clipping_is_counted_and_warned_of(tmp_path):
    made = Audio(np.array([[1.5, -2.0, 0.5]]), 44_100)
    with pytest.warns(ClippingWarning, match=r"x\.wav: 2 samples .* bits='float'"):
        assert made.write(tmp_path / "x.wav", bits=16) == 2


def test_a_format_that_cannot_hold_it_is_refused_before_writing(tmp_path):
    with pytest.raises(AudioError, match="mp3 cannot hold 6 channels"):
        audio(6).write(tmp_path / "x.mp3")
    with pytest.raises(AudioError, match="flac cannot hold 0 samples"):
        audio(2, 0).write(tmp_path / "x.flac")
    assert os.listdir(tmp_path) == []


# Stems


def stems(**options) -> Stems:
    one = audio()
    return Stems({"vocals": one, "drums": Audio(-one.samples, 44_100)}, **options)


def test_stems_are_a_mapping():
    made = stems(residual=audio(), provenance={"seed": 3})
    assert list(made) == ["vocals", "drums"]
    assert "vocals" in made
    assert "bass" not in made
    assert made.get("bass") is None
    assert len(made) == 2
    assert (made.sample_rate, made.provenance) == (44_100, {"seed": 3})
    assert repr(made) == "Stems(vocals, drums: Audio(2 channels, 0.002 s, 44100 Hz))"
    with pytest.raises(UnknownNameError, match="did you mean 'drums'"):
        made["drum"]


@pytest.mark.parametrize("other", [audio(1), audio(2, 99), audio(2, 100, 48_000)])
def test_stems_of_different_formats_are_refused(other):
    with pytest.raises(AudioError, match="'bass'"):
        Stems({"vocals": audio(), "bass": other})
    with pytest.raises(AudioError, match="'residual'"):
        Stems({"vocals": audio()}, residual=other)
    with pytest.raises(AudioError, match="at least one"):
        Stems({})


def test_saving_writes_stems_and_provenance(tmp_path):
    made = stems(residual=audio(), provenance={"method": "none", "path": tmp_path})
    paths = made.save(tmp_path / "out")
    assert paths == {"vocals": tmp_path / "out" / "vocals.wav", "drums": tmp_path / "out" / "drums.wav"}
    assert sorted(os.listdir(tmp_path / "out")) == ["drums.wav", "provenance.json", "vocals.wav"]
    for stem, path in paths.items():
        assert torch.equal(Audio.read(path).samples, made[stem].samples)
    note = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert note["method"] == "none"
    assert note["files"]["drums"] == {"file": "drums.wav", "clipped_samples": 0}
    assert "residual" in made.save(tmp_path / "all", residual=True)
    with pytest.raises(AudioError, match="residual"):
        stems().save(tmp_path / "none", residual=True)


def test_saving_follows_the_template(tmp_path):
    fields = {"track": "AC/DC", "model": "none"}
    paths = stems().save(tmp_path, "flac", 16, template="{model}/{track}_{stem}.{ext}", fields=fields)
    assert sorted(os.listdir(tmp_path / "none")) == ["AC_DC_drums.flac", "AC_DC_provenance.json", "AC_DC_vocals.flac"]
    assert paths["vocals"] == tmp_path / "none" / "AC_DC_vocals.flac"


def test_saving_refuses_everything_before_writing_anything(tmp_path):
    (tmp_path / "drums.wav").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"drums\.wav"):
        stems().save(tmp_path)
    with pytest.raises(OptionError, match="more than once"):
        stems().save(tmp_path, template="x.{ext}")
    with pytest.raises(AudioError, match="opus cannot hold"):
        stems().save(tmp_path, "opus")
    assert os.listdir(tmp_path) == ["drums.wav"]
    assert (tmp_path / "drums.wav").read_text() == "mine"
    stems().save(tmp_path, overwrite=True)
    assert Audio.read(tmp_path / "drums.wav").length_samples == 100


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{stem}.{suffix}", "Known: ext, stem"),
        ("{stem", "malformed"),
        ("{0}", "malformed"),
        ("{stem!x}", "malformed"),
        ("{stem:d}", "malformed"),
        ("{stem.name}", "malformed"),
        ("../{stem}.{ext}", "outside the output folder"),
        ("/{stem}.{ext}", "outside the output folder"),
        ("", "outside the output folder"),
    ],
)
def test_templates_that_cannot_be_filled_are_refused(template, message):
    with pytest.raises(OptionError, match=message):
        fill_template(template, {"stem": "vocals", "ext": "wav"})


def test_a_field_cannot_leave_the_folder():
    assert str(fill_template("{track}/{stem}.wav", {"track": "../../etc", "stem": "x"})) == ".._.._etc/x.wav"
    with pytest.raises(OptionError, match="outside"):
        fill_template("{track}/{stem}.wav", {"track": "..", "stem": "x"})
