"""m4a and mp4 are read by the `av` extra, and its absence is an error that names it."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sepkit import Audio
from sepkit.errors import AudioError, MissingExtraError
from sepkit.soundfiles import open_reader

SAMPLE_RATE = 44_100


def encoded(path: Path, codec: str, channels: int = 2, length_samples: int = 50_000) -> np.ndarray:
    """Write a faded sine per channel, and return it as c t."""
    av = pytest.importorskip("av", reason="PyAV (the av extra) is not installed")
    t = np.arange(length_samples) / SAMPLE_RATE
    sines = np.sin(2 * np.pi * (330 + 110 * np.arange(channels))[:, np.newaxis] * t)
    samples = (0.4 * np.hanning(length_samples) * sines).astype(np.float32)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=SAMPLE_RATE, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        resampler = av.AudioResampler(stream.format.name, layout, SAMPLE_RATE, frame_size=stream.frame_size or 4096)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return samples


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("name", "codec"), [("x.m4a", "aac"), ("x.mp4", "aac"), ("x.m4a", "alac"), ("x.mka", "aac")])
def test_sound_comes_out_where_it_went_in(tmp_path, name, codec, channels):
    samples = encoded(tmp_path / name, codec, channels)
    read = Audio.read(tmp_path / name)
    assert (read.channels, read.sample_rate) == (channels, SAMPLE_RATE)
    assert 0 <= read.length_samples - samples.shape[1] < 2_048  # AAC may end with a part of a frame of silence
    error = read.numpy()[:, : samples.shape[1]] - samples
    full_band = [c for c in range(channels) if (codec, c) != ("aac", 3)]  # AAC low-passes the subwoofer of 5.1
    assert np.abs(error[full_band]).max() < (1e-4 if codec == "alac" else 0.05)


def test_blocks_and_parts_are_those_of_the_whole(tmp_path):
    encoded(tmp_path / "x.m4a", "aac")
    with open_reader(tmp_path / "x.m4a") as reader:
        assert reader.length_samples is None
        whole = np.concatenate(list(reader.blocks(100_000)))
        blocks = list(reader.blocks(999))
        part = np.concatenate(list(reader.blocks(500, start_samples=7_000, length_samples=3_000)))
    assert {len(block) for block in blocks[:-1]} == {999}
    assert np.concatenate(blocks).tobytes() == whole.tobytes()
    assert part.tobytes() == whole[7_000:10_000].tobytes()


def test_an_mp4_is_known_by_its_content(tmp_path):
    encoded(tmp_path / "x.m4a", "aac")
    (tmp_path / "x.m4a").rename(tmp_path / "x.wav")
    assert Audio.read(tmp_path / "x.wav").channels == 2


def test_damaged_files_are_named(tmp_path):
    encoded(tmp_path / "x.m4a", "aac")
    whole = (tmp_path / "x.m4a").read_bytes()
    (tmp_path / "x.m4a").write_bytes(whole[: len(whole) // 2])  # the table of contents is at the end
    (tmp_path / "text.m4a").write_text("not a film")
    for name in ("x.m4a", "text.m4a"):
        with pytest.raises(AudioError, match=f"{name} cannot be decoded"):
            open_reader(tmp_path / name)


@pytest.mark.parametrize("name", ["x.m4a", "x.mp4", "renamed.wav"])
def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(b"\0\0\0\x20ftypM4A ")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sepkit\[av\]'"):
        open_reader(tmp_path / name)
