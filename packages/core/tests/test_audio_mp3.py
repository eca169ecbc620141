"""MP3 files are read to their end whatever their first frame says, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sepkit.errors import AudioError
from sepkit.mp3 import count_frames
from sepkit.soundfiles import open_reader, open_writer


def noise(length_samples: int, channels: int = 2) -> np.ndarray:
    """Noise in bursts, so that the bit rate varies and a guess from the file's size is wrong."""
    rng = np.random.default_rng(length_samples)
    loud = np.arange(length_samples) < length_samples // 4
    return (rng.standard_normal((length_samples, channels)) * np.where(loud, 0.2, 0.0002)[:, np.newaxis]).astype("f4")


def mp3(path: Path, samples: np.ndarray, sample_rate: int) -> bytes:
    with open_writer(path, sample_rate, samples.shape[1]) as writer:
        writer.write(samples)
    return path.read_bytes()


def read(path: Path) -> np.ndarray:
    with open_reader(path) as reader:
        joined = np.concatenate(list(reader.blocks()))
    assert reader.length_samples in (None, len(joined))
    return joined


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_the_walk_finds_what_the_header_frame_promises(tmp_path, sample_rate, channels):
    path = tmp_path / "x.mp3"
    mp3(path, noise(50_000, channels), sample_rate)
    frames = count_frames(path)
    assert frames.truthful
    assert frames.found * (1152 if sample_rate >= 32_000 else 576) >= 50_000
    assert frames.end_byte == path.stat().st_size
    assert open_reader(path).length_samples == 50_000


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_a_file_without_header_frame_is_read_to_its_end(tmp_path, sample_rate):
    path = tmp_path / "x.mp3"
    data = mp3(path, noise(200_000), sample_rate)
    whole, frames = read(path), count_frames(path)
    path.write_bytes(data[frames.first_byte :])
    plain = read(path)
    assert len(plain) == frames.found * (1152 if sample_rate >= 32_000 else 576)
    # The same sound, later by the encoder's and the decoder's delay, which only the header frame tells.
    [delay] = {int(np.argmax(np.correlate(plain[:8_000, c], whole[:4_000, c], "valid"))) for c in range(2)}
    assert 0 < delay < 3_000
    np.testing.assert_allclose(plain[delay : delay + len(whole)], whole, atol=1e-6)


def test_joined_files_are_read_to_the_end_of_the_second(tmp_path):
    one, two = mp3(tmp_path / "1.mp3", noise(100_000), 44_100), mp3(tmp_path / "2.mp3", noise(300_000), 44_100)
    path = tmp_path / "joined.mp3"
    path.write_bytes(one + two)
    assert 400_000 <= len(read(path)) < 410_000


def test_tags_around_the_frames_do_not_matter(tmp_path):
    path = tmp_path / "x.mp3"
    data = mp3(path, noise(60_000), 44_100)
    expected = read(path)
    picture = bytes(range(256)) * 40 + b"\xff\xfb\x90\x64" * 3  # with what looks like frame headers
    size = len(picture)
    tag = b"ID3\x04\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + picture
    path.write_bytes(tag + data + b"TAG" + b"title".ljust(125, b"\0"))
    assert count_frames(path).truthful
    np.testing.assert_array_equal(read(path), expected)


def test_a_plain_stream_that_ends_within_a_frame_is_read_up_to_it(tmp_path):
    path = tmp_path / "x.mp3"
    data = mp3(path, noise(200_000), 44_100)
    path.write_bytes(data[count_frames(path).first_byte : -40])
    assert len(read(path)) == count_frames(path).found * 1152


def test_reading_may_stop_early(tmp_path):
    path = tmp_path / "x.mp3"
    data = mp3(path, noise(900_000), 44_100)
    path.write_bytes(data[count_frames(path).first_byte :])  # read through a pipe, whose feeder must end too
    with open_reader(path) as reader:
        assert len(next(reader.blocks(1000))) == 1000
        assert len(next(reader.blocks(1000))) == 1000


def test_a_file_cut_short_is_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "x.mp3"
    data = mp3(path, noise(200_000), 44_100)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(AudioError, match="cut short"):
        open_reader(path)
