"""Laws of reading and writing sound files: nothing lost, nothing altered, nothing half-written, errors that help."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sepkit import wav
from sepkit.errors import AudioError, OutputExistsError
from sepkit.formats import FORMATS, FileFormat, check_writable, file_format
from sepkit.soundfiles import open_reader, open_writer
from sepkit.writers import quantised

QUICK = settings(max_examples=40, deadline=None)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def tone(length_samples: int, channels: int, sample_rate: int = 48_000) -> np.ndarray:
    """A different sine in every channel, t c."""
    t = np.arange(length_samples)[:, np.newaxis] / sample_rate
    return (0.3 * np.sin(2 * np.pi * (300 + 170 * np.arange(channels)) * t)).astype(np.float32)


def write(path: Path, samples: np.ndarray, sample_rate: int = 48_000, block_samples: int = 1000, **options) -> Path:
    with open_writer(path, sample_rate, samples.shape[1], **options) as writer:
        for start in range(0, len(samples), block_samples):
            writer.write(samples[start : start + block_samples])
    return path


def read(path: Path, block_samples: int = 777) -> np.ndarray:
    with open_reader(path) as reader:
        blocks = list(reader.blocks(block_samples))
        joined = np.concatenate(blocks) if blocks else np.zeros((0, reader.channels), np.float32)
    assert reader.length_samples in (len(joined), None)
    assert all(len(block) == block_samples for block in blocks[:-1])
    return joined


@QUICK
@given(
    samples=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40), elements=finite)
)
def test_float_wav_returns_the_same_bits(tmp_path_factory, samples):
    path = write(tmp_path_factory.mktemp("float") / "x.wav", samples)
    assert read(path).tobytes() == samples.tobytes()


def test_float_wav_keeps_what_is_beyond_full_scale(tmp_path):
    assert read(write(tmp_path / "x.wav", np.array([[1.5], [-7.0]], np.float32))).tolist() == [[1.5], [-7.0]]


@pytest.mark.parametrize(("suffix", "bits"), [("wav", 16), ("wav", 24), ("flac", 16), ("flac", 24)])
@QUICK
@given(data=st.data())
def test_integers_are_the_nearest_and_saturate(tmp_path_factory, suffix, bits, data):
    elements = st.one_of(st.floats(-1.5, 1.5, width=32), finite)
    samples = data.draw(hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=elements))
    steps = 2 ** (bits - 1)
    path = tmp_path_factory.mktemp("integers") / f"x.{suffix}"
    with open_writer(path, 44_100, samples.shape[1], bits=bits) as writer:
        writer.write(samples)
    exact = samples.astype(np.float64) * steps
    back = read(path).astype(np.float64) * steps
    inside = (exact <= steps - 0.5) & (exact >= -steps - 0.5)
    assert np.all(np.abs(back - exact)[inside] <= 0.5)
    assert np.all(back[~inside] == np.where(exact[~inside] > 0, steps - 1, -steps))
    assert writer.clipped_samples == np.count_nonzero(np.rint(exact) != back)
    assert soundfile.info(str(path)).subtype == f"PCM_{bits}"


def test_quantising_rounds_instead_of_truncating():
    integers, clipped = quantised(np.array([0.9999 / 32768, -0.9999 / 32768, 1.2, -1.2, 1.0, -1.0]), 16)
    assert integers.tolist() == [1, -1, 32767, -32768, 32767, -32768]
    assert clipped == 3  # 1.0 is one step above the largest integer; -1.0 is the smallest


HELD = [(suffix, channels) for suffix in FORMATS for channels in (1, 2, 6) if channels <= FORMATS[suffix].max_channels]


@pytest.mark.parametrize(("suffix", "channels"), HELD)
@pytest.mark.parametrize("length_samples", [0, 1, 2, 575, 1152, 4097, 20_011])
def test_what_was_written_is_read_with_the_same_length_and_in_place(tmp_path, suffix, channels, length_samples):
    samples = tone(length_samples, channels)
    if length_samples == 0 and not FORMATS[suffix].holds_empty:
        with pytest.raises(AudioError, match="0 samples"):
            write(tmp_path / f"x.{suffix}", samples)
        assert os.listdir(tmp_path) == []
        return
    back = read(write(tmp_path / f"x.{suffix}", samples))
    assert back.shape == samples.shape
    if length_samples > 2000:
        error = np.sum((back - samples) ** 2, axis=0)
        assert np.all(10 * np.log10(np.sum(samples**2, axis=0) / np.maximum(error, 1e-30)) > 15)


@pytest.mark.parametrize("suffix", FORMATS)
def test_blocks_do_not_change_what_is_written_or_read(tmp_path, suffix):
    rng = np.random.default_rng(3)
    samples = (0.1 * rng.standard_normal((30_001, 2))).astype(np.float32)
    one = write(tmp_path / f"one.{suffix}", samples, block_samples=30_001)
    many = write(tmp_path / f"many.{suffix}", samples, block_samples=311)
    if suffix not in ("ogg", "opus"):  # an Ogg stream carries a random serial number
        assert one.read_bytes() == many.read_bytes()
    whole = read(one, 30_001)
    assert whole.tobytes() == read(many, 997).tobytes()
    with open_reader(one) as reader:
        for start in (1, 12_345, 29_901):
            part = np.concatenate(list(reader.blocks(1000, start_samples=start, length_samples=3_000)))
            assert part.tobytes() == whole[start : start + 3_000].tobytes()
        assert list(reader.blocks(start_samples=40_000)) == []


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_parts_of_lossy_files_are_parts_of_the_whole(tmp_path, suffix):
    path = write(tmp_path / f"x.{suffix}", tone(176_523, 2, 44_100), 44_100)
    whole = read(path)
    with open_reader(path) as reader:
        for start in (5_000, 176_423):  # libsndfile's own seeking misses the first in MP3, the second in Vorbis
            part = np.concatenate(list(reader.blocks(start_samples=start, length_samples=3_000)))
            assert part.tobytes() == whole[start : start + 3_000].tobytes()


def test_a_huge_block_does_not_overflow_the_vorbis_encoder(tmp_path):
    silence = np.zeros((2_000_000, 2), np.float32)
    assert open_reader(write(tmp_path / "x.ogg", silence, 8_000, len(silence))).length_samples == len(silence)


RATES = (1, 4_000, 7_999, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 65_537, 88_200)
RATES += (96_000, 192_000, 200_000, 655_350, 655_360)


def library_round_trip(path: Path, kind: FileFormat, sample_rate: int, channels: int) -> None:
    soundfile.write(path, np.zeros((300, channels)), sample_rate, kind.codec, format=kind.container)
    soundfile.read(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_table_of_limits_is_what_libsndfile_does(tmp_path, suffix):
    kind = FORMATS[suffix]
    shapes = [(rate, 1) for rate in RATES] + [(48_000, channels) for channels in (2, 3, 6, 8, 9, 1024, 1025)]
    for rate, channels in shapes:
        try:
            check_writable(suffix, rate, channels, 300)
        except AudioError:
            ours = suffix in ("ogg", "opus") and (channels > 2 or rate > 200_000)  # tighter by choice, see formats.py
            if not ours:
                with pytest.raises(soundfile.LibsndfileError):
                    library_round_trip(tmp_path / "raw", kind, rate, channels)
        else:
            path = write(tmp_path / f"x.{suffix}", np.zeros((300, channels), np.float32), rate, overwrite=True)
            assert (open_reader(path).sample_rate, read(path).shape) == (rate, (300, channels))


@pytest.mark.parametrize(
    ("format", "audio", "able"),
    [
        ("mp3", {"sample_rate": 44_100, "channels": 6}, "wav or flac"),
        ("mp3", {"sample_rate": 96_000, "channels": 2}, "wav or flac or ogg"),
        ("opus", {"sample_rate": 44_100, "channels": 2}, "wav or flac or ogg or mp3"),
        ("opus", {"sample_rate": 48_000, "channels": 6}, "wav or flac"),
        ("flac", {"sample_rate": 44_100, "channels": 9}, "wav"),
        ("flac", {"sample_rate": 44_100, "channels": 2, "length_samples": 0}, "wav or ogg"),
        ("flac", {"sample_rate": 44_100, "channels": 2, "bits": "float"}, "wav"),
        ("mp3", {"sample_rate": 44_100, "channels": 2, "bits": 16}, "wav or flac"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_with_those_that_can(format, audio, able):
    with pytest.raises(AudioError, match=f"{format} cannot hold .*: write {able} instead") as caught:
        check_writable(format, **audio)
    for name in able.split(" or "):
        check_writable(name, **audio)
    assert "cannot hold" in str(caught.value)


def test_unknown_formats_name_the_known_ones():
    with pytest.raises(AudioError, match="did you mean 'flac'"):
        file_format("flacc")
    with pytest.raises(AudioError, match="no suffix"):
        open_writer("song", 44_100, 2)


# Headers of our own WAV files


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("length_samples", [0, 1, 333])
def test_small_wavs_are_plain_wavs(tmp_path, bits, length_samples):
    path = write(tmp_path / "x.wav", tone(length_samples, 1), bits=bits)
    assert path.read_bytes()[:4] == b"RIFF"
    assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8
    with wave.open(str(path)) as file:  # the standard library's reader, which knows plain PCM only
        found = (file.getnframes(), file.getsampwidth(), file.getframerate(), file.getnchannels())
    assert found == (length_samples, bits // 8, 48_000, 1)


@pytest.mark.parametrize("bits", ["float", 16, 24])
@pytest.mark.parametrize("beyond", [-1, 0, 1, 1000])
def test_wavs_become_rf64_just_above_4_gib_and_stay_readable(tmp_path, bits, beyond):
    frame_bytes = 6 * (4 if bits == "float" else bits // 8)
    header = wav.wav_header(96_000, 6, bits, 0)
    limit = (2**32 - 1 - (len(header) - 8)) // frame_bytes
    length = limit + beyond
    path = tmp_path / "sparse.wav"
    with path.open("wb") as file:
        file.write(wav.wav_header(96_000, 6, bits, length))
        file.truncate(len(header) + length * frame_bytes + length * frame_bytes % 2)  # a hole, read as silence
        file.seek(len(header) + (length - 1) * frame_bytes)
        file.write(bytes(frame_bytes - 1) + (b"\x40" if bits != "float" else b"\x3f"))  # one loud last value
    with path.open("rb") as file:
        assert file.read(4) == (b"RF64" if beyond > 0 else b"RIFF")
    with open_reader(path) as reader:
        assert reader.length_samples == length
        [end] = reader.blocks(start_samples=length - 3)
    assert end.shape == (3, 6)
    assert np.count_nonzero(end) == 1
    assert end[-1, -1] >= 0.5


def test_a_writer_that_passes_the_limit_ends_as_a_valid_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr(wav, "RIFF_LIMIT_BYTES", 5_000)
    samples = tone(3_000, 2)
    path = write(tmp_path / "x.wav", samples)
    assert path.read_bytes()[:4] == b"RF64"
    assert soundfile.info(str(path)).format == "RF64"
    assert read(path).tobytes() == samples.tobytes()


@pytest.mark.slow
def test_a_real_file_above_4_gib(tmp_path):
    block = tone(1_000_000, 8)
    with open_writer(tmp_path / "x.wav", 48_000, 8) as writer:
        for _ in range(136):
            writer.write(block)
    with open_reader(tmp_path / "x.wav") as reader:
        assert reader.length_samples == 136_000_000
        [end] = reader.blocks(2_000_000, start_samples=135_000_000)
    assert end.tobytes() == block.tobytes()


# Nothing half-written, nothing replaced unasked


class Stop(Exception):
    pass


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("interruption", [Stop, KeyboardInterrupt, SystemExit])
def test_an_interrupted_file_leaves_nothing(tmp_path, suffix, interruption):
    path = tmp_path / f"x.{suffix}"
    with pytest.raises(interruption), open_writer(path, 48_000, 1) as writer:  # noqa: PT012
        writer.write(tone(9_000, 1))
        [partial] = os.listdir(tmp_path)
        assert partial.startswith(".x.partial-")
        assert partial.endswith(f".{suffix}")
        raise interruption
    assert os.listdir(tmp_path) == []


def test_a_failed_replacement_keeps_the_old_file(tmp_path):
    path = write(tmp_path / "x.wav", tone(10, 1))
    before = path.read_bytes()
    with pytest.raises(Stop), open_writer(path, 48_000, 1, overwrite=True) as writer:  # noqa: PT012
        writer.write(tone(20, 1))
        raise Stop
    assert path.read_bytes() == before
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        open_writer(path, 48_000, 1)
    write(path, tone(20, 1), overwrite=True)
    assert os.listdir(tmp_path) == ["x.wav"]
    assert len(read(path)) == 20


def test_a_name_taken_meanwhile_is_not_replaced(tmp_path):
    with pytest.raises(OutputExistsError), open_writer(tmp_path / "x.wav", 48_000, 1) as writer:  # noqa: PT012
        writer.write(tone(20, 1))
        (tmp_path / "x.wav").write_text("mine")
    assert os.listdir(tmp_path) == ["x.wav"]
    assert (tmp_path / "x.wav").read_text() == "mine"


def test_two_writers_of_one_name_do_not_share_a_partial_file(tmp_path):
    path = tmp_path / "x.wav"
    with open_writer(path, 48_000, 1, overwrite=True) as one, open_writer(path, 48_000, 1, overwrite=True) as two:
        one.write(tone(5, 1))
        two.write(tone(50, 1))
    assert len(read(path)) == 5  # the outer one finished last


def test_folders_are_made_and_long_names_fit(tmp_path):
    path = write(tmp_path / "a" / "b" / ("ß" * 120 + ".wav"), tone(5, 1))
    assert len(read(path)) == 5


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AudioError, match=r"cannot write .*file"):
        write(tmp_path / "file" / "x.wav", tone(5, 1))
    (tmp_path / "x.wav").mkdir()
    with pytest.raises(OutputExistsError, match="is a folder"):
        open_writer(tmp_path / "x.wav", 48_000, 1, overwrite=True)


FULL_DISK = """
import resource, signal, sys, numpy as np
from sepkit.soundfiles import open_writer
from sepkit.errors import AudioError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
noise = np.random.default_rng(0).uniform(-0.5, 0.5, (200_000, 1)).astype("f4")
try:
    with open_writer(sys.argv[1], 48_000, 1) as writer:
        writer.write(noise)
except AudioError as error:
    print("AudioError", error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_FSIZE to play a full disk")
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("AudioError"), done.stderr
    assert str(path) in done.stdout
    assert os.listdir(tmp_path) == []


# What must not get in


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("suffix", FORMATS)
def test_non_finite_samples_are_never_written(tmp_path, suffix, bad):
    samples = tone(100, 2)
    samples[70, 1] = bad
    with pytest.raises(AudioError, match=r"sample 1070 .* of channel 1"):  # noqa: PT012, SIM117
        with open_writer(tmp_path / f"x.{suffix}", 48_000, 2) as writer:
            writer.write(tone(1000, 2))
            writer.write(samples)
    assert os.listdir(tmp_path) == []


def test_non_finite_samples_in_a_file_are_named(tmp_path):
    samples = np.zeros((5_000, 2), np.float32)
    samples[4_410, 1] = np.nan
    soundfile.write(tmp_path / "x.wav", samples, 44_100, "FLOAT")
    with pytest.raises(AudioError, match=r"x\.wav has nan at sample 4410 \(0\.100 s\) of channel 1"):
        read(tmp_path / "x.wav", 1000)


@pytest.mark.parametrize("block", [np.zeros((2, 5), np.float32), np.zeros(5, np.float32), np.zeros((5, 3), np.int16)])
def test_blocks_of_a_wrong_shape_or_type_are_refused(tmp_path, block):
    with (
        pytest.raises(AudioError, match=r"shape \(samples, 3\) are wanted"),
        open_writer(tmp_path / "x.wav", 48_000, 3) as writer,
    ):
        writer.write(block)


@pytest.mark.parametrize(
    ("suffix", "bits"), [("wav", "float"), ("wav", 24), ("flac", 16), ("ogg", None), ("mp3", None)]
)
def test_the_writer_leaves_blocks_alone_and_lets_them_be_reused(tmp_path, suffix, bits):
    samples = tone(9_000, 2)
    buffer = np.zeros((1000, 2), np.float32)
    with open_writer(tmp_path / f"reused.{suffix}", 48_000, 2, bits=bits) as writer:
        for start in range(0, 9_000, 1000):
            buffer[:] = samples[start : start + 1000]
            writer.write(buffer)
            assert buffer.tobytes() == samples[start : start + 1000].tobytes()
            buffer[:] = 0.9
    plain = write(tmp_path / f"plain.{suffix}", samples, bits=bits)
    assert read(tmp_path / f"reused.{suffix}").tobytes() == read(plain).tobytes()


def test_float64_blocks_are_taken(tmp_path):
    assert read(write(tmp_path / "x.wav", np.full((4, 1), 0.1))).tolist() == [[np.float32(0.1)]] * 4


def test_memory_does_not_grow_with_the_length(tmp_path):
    def peak_bytes(seconds: int) -> int:
        second = tone(48_000, 2)
        with open_writer(tmp_path / f"{seconds}.wav", 48_000, 2, bits=16) as writer:
            for _ in range(seconds):
                writer.write(second)
        tracemalloc.start()
        with (
            open_reader(tmp_path / f"{seconds}.wav") as reader,
            open_writer(tmp_path / f"{seconds}.flac", 48_000, 2) as writer,
        ):
            for block in reader.blocks(10_000):
                writer.write(block)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak_bytes(40) < 1.15 * peak_bytes(4)


# What cannot be read


def test_what_is_no_sound_file_says_why(tmp_path):
    (tmp_path / "text.wav").write_text("these are the lyrics")
    (tmp_path / "text.mp3").write_text("these are the lyrics")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "headerless.raw").write_bytes(bytes(100))
    os.mkfifo(tmp_path / "pipe.wav")
    reasons = {
        "pipe.wav": "is a pipe",
        "text.wav": "begins with b'these are the ly'",
        "text.mp3": "begins with b'these are the ly'",
        "empty.wav": "0 bytes",
        "folder.wav": "is a folder",
        "missing.wav": "does not exist",
        "headerless.raw": "cannot be read as a sound file",
    }
    for name, reason in reasons.items():
        with pytest.raises(AudioError, match=reason) as caught:
            open_reader(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert ": " in str(caught.value)  # the next step follows a colon


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
@pytest.mark.parametrize("kept", [0.3, 0.6])
def test_a_file_cut_short_is_an_error_and_not_a_shorter_song(tmp_path, suffix, kept):
    rng = np.random.default_rng(0)
    path = write(tmp_path / f"x.{suffix}", (0.1 * rng.standard_normal((200_000, 2))).astype(np.float32))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(AudioError, match=f"{path}.* get a complete copy"):
        read(path)


@pytest.mark.parametrize("placeholder", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF024])
def test_a_wav_written_to_a_pipe_is_read_to_its_end(tmp_path, placeholder):
    samples = tone(50_000, 2)
    soundfile.write(tmp_path / "x.wav", samples, 48_000, "PCM_16")
    data = bytearray((tmp_path / "x.wav").read_bytes())
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = placeholder.to_bytes(4, "little")
    (tmp_path / "x.wav").write_bytes(data)
    np.testing.assert_allclose(read(tmp_path / "x.wav"), samples, atol=1 / 32768)


@pytest.mark.parametrize("container", ["AIFF", "AU", "CAF", "RF64", "W64", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_other_containers_are_read_too(tmp_path, container, subtype):
    samples = np.rint(tone(5_000, 6) * 32768) / 32768
    soundfile.write(tmp_path / "x", samples, 11_025, subtype, format=container)
    assert np.array_equal(read(tmp_path / "x"), samples)
    with open_reader(tmp_path / "x") as reader:
        [part] = reader.blocks(start_samples=4_990)
    assert np.array_equal(part, samples[4_990:])


def test_sound_files_need_no_torch():
    code = "import sys, sepkit.soundfiles; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    samples = tone(150_001, 2)
    path = write(tmp_path / "x.flac", samples)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO: the count of samples is the low half of byte 21 and the next four
    data[22:26] = bytes(4)
    expected = read(path)
    path.write_bytes(data)
    assert open_reader(path).length_samples is None
    assert read(path).tobytes() == expected.tobytes()


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
@pytest.mark.parametrize(("first", "second"), [(48_000, 96_000), (96_000, 48_000), (150_000, 250_000)])
def test_joined_ogg_files_are_refused_and_not_cut(tmp_path, suffix, first, second):
    one, two = (write(tmp_path / f"{n}.{suffix}", tone(n, 2)) for n in (first, second))
    one.write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(AudioError, match="joined"):
        read(one)
