"""Laws of streaming: equal to the whole bit for bit however it is cut, in memory that does not grow; files or none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sepkit import Audio, Stems
from sepkit.checked import CheckedSeparator
from sepkit.errors import AudioError, OptionError, OutputExistsError, SepkitError, UnknownNameError
from sepkit.file_separation import complement_name, separate_file
from sepkit.host import HostedSeparator
from sepkit.testing.fakes import Identity, Noisy, Split


def hosted(model: Any, **options: Any) -> HostedSeparator:
    return HostedSeparator(model, device="cpu", **options)


def sound(length_samples: int, channels: int = 2) -> Tensor:
    return 0.3 * torch.randn(channels, length_samples, generator=torch.Generator().manual_seed(length_samples))


def joined(pieces: list[Stems]) -> dict[str, Tensor]:
    names = [*pieces[0], "residual"]
    parts = [{**piece, "residual": piece.residual} for piece in pieces]
    return {name: torch.cat([part[name].samples for part in parts], dim=-1) for name in names}


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    sample_rate=st.sampled_from([8000, 11025, 44100, 5000]),
    channels=st.integers(1, 3),
    consistency=st.sampled_from(["none", "uniform", "energy"]),
    window_samples=st.sampled_from([None, 500, 1024]),
)
def test_a_stream_equals_the_whole_bit_for_bit_however_it_is_cut(
    cuts, sample_rate, channels, consistency, window_samples
):
    x = sound(sum(cuts), channels)
    separator = hosted(Noisy(window_samples=window_samples, overlap_samples=130 if window_samples else 0))
    options = {"seed": 4, "consistency": consistency}
    whole = separator.separate(x, sample_rate=sample_rate, **options)
    blocks = torch.split(x, cuts, dim=-1)
    streamed = joined(list(separator.separate_stream(blocks, sample_rate, channels, **options)))
    assert all(torch.equal(streamed[name], whole[name].samples) for name in whole)
    assert torch.equal(streamed["residual"], whole.residual.samples)


@pytest.mark.parametrize("buffer", [np.zeros((2, 100)), np.zeros((2, 100), np.float32), torch.zeros(2, 100)])
def test_blocks_may_be_of_any_float_and_reuse_one_buffer(buffer):
    x = sound(5000)

    def reused() -> Iterator[Any]:
        for block in x.split(100, dim=-1):
            buffer[:] = block if isinstance(buffer, Tensor) else block.numpy()
            yield buffer

    streamed = joined(list(hosted(Identity()).separate_stream(reused(), 8000, 2)))
    torch.testing.assert_close(streamed["everything"], x, rtol=0, atol=1e-6)


def test_stretches_come_as_soon_as_a_batch_is_full():
    taken = 0

    def blocks() -> Iterator[Tensor]:
        nonlocal taken
        while True:  # no end to wait for
            taken += 256
            assert taken < 100_000, "the stream has taken 100 windows and is still holding back"
            yield torch.zeros(2, 256)

    stream = hosted(Identity(), batch_windows=2).separate_stream(blocks(), 8000, 2)
    done = sum(next(stream).residual.length_samples for _ in range(10))
    assert taken - done <= 4 * 1024 + 3 * 256
    stream.close()


def test_an_empty_stream_yields_one_empty_stretch_with_provenance():
    for blocks in ([], [torch.zeros(2, 0)]):
        [only] = hosted(Split()).separate_stream(blocks, 44100, 2)
        assert only["low"].samples.shape == (2, 0)
        assert only.provenance["input"]["length_samples"] == 0


def test_provenance_is_complete_in_the_last_stretch():
    x = sound(20_000)
    pieces = list(hosted(Split(), batch_windows=1).separate_stream(x.split(1000, dim=-1), 8000, 2))
    assert len(pieces) > 3
    assert "length_samples" not in pieces[0].provenance["input"]
    assert pieces[-1].provenance["input"]["length_samples"] == 20_000
    assert pieces[-1].provenance["compute_seconds"] > 0


def test_options_are_checked_at_the_call_and_blocks_as_they_come():
    separator = hosted(Split())
    with pytest.raises(OptionError, match="consistency"):
        separator.separate_stream([], 8000, 2, consistency="some")
    for channels in (0, 1.5):
        with pytest.raises(SepkitError, match="channels"):
            separator.separate_stream([], 8000, channels)
    with pytest.raises(AudioError, match="sample_rate"):
        separator.separate_stream([], 0, 2)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (torch.zeros(3, 5), r"Block 1 .*\(3, 5\); wanted \(2, samples\)"),
        (torch.zeros(5), r"Block 1 .*\(5,\)"),
        (torch.zeros(2, 5, dtype=torch.int16), "int16; wanted floats"),
        (np.zeros((2, 5), int), "int64; wanted floats"),
        (torch.full((2, 5), float("nan")), "NaN"),
        ([0.0], "list"),
    ],
)
def test_a_bad_block_is_named(block, message):
    with pytest.raises(AudioError, match=message):
        list(hosted(Split()).separate_stream([torch.zeros(2, 5), block], 8000, 2))


def test_progress_knows_no_end_while_the_length_is_unknown():
    seen: list[tuple[float, float]] = []
    blocks = sound(5000).split(500, dim=-1)
    list(hosted(Split()).separate_stream(blocks, 8000, 2, progress=lambda *pair: seen.append(pair)))
    assert all(np.isnan(total) for _, total in seen)
    assert seen[-1][0] == 5000 / 8000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("sample_rate", [8000, 11025])
def test_memory_does_not_grow_with_the_track(sample_rate):
    """Four minutes of six channels: 46 MB or more of mixture and twice that in stems, if any of it were kept."""
    block = sound(8192, 6)
    separator = hosted(Split())

    def run(minutes: float) -> int:
        count = round(minutes * 60 * sample_rate / 8192)
        return max(resident_bytes() for _ in separator.separate_stream((block for _ in range(count)), sample_rate, 6))

    first = run(0.5)
    assert run(4) - first < 20e6


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    Audio(sound(30_000), 11025).write(path)
    return path


def samples_of(path: Path) -> Tensor:
    return Audio.read(path).samples


def test_files_hold_what_separate_gives_bit_for_bit(song: Path, tmp_path: Path):
    separator = hosted(Split())
    outputs = {name: tmp_path / "out" / f"{name}.wav" for name in ("low", "high", "residual")}
    result = separate_file(separator, song, outputs, seed=3, provenance_path=tmp_path / "out/how.json")
    whole = separator.separate(song, seed=3)
    for name, audio in {**whole, "residual": whole.residual}.items():
        assert torch.equal(samples_of(result.paths[name]), audio.samples)
    assert (result.sample_rate, result.channels, result.length_samples) == (11025, 2, 30_000)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"high.wav", "how.json", "low.wav", "residual.wav"}
    told = json.loads((tmp_path / "out/how.json").read_text())
    assert told == result.provenance
    assert told["source"] == "song.wav"
    assert told["input"]["length_samples"] == 30_000
    assert told["files"]["low"] == {"file": "low.wav", "clipped_samples": 0}


def test_two_stems_are_the_stem_and_exactly_what_it_leaves(song: Path, tmp_path: Path):
    outputs = {"low": tmp_path / "low.wav", "no_low": tmp_path / "no_low.wav"}
    separate_file(hosted(Split()), song, outputs, two_stems="low")
    assert torch.equal(samples_of(outputs["no_low"]), samples_of(song) - samples_of(outputs["low"]))


def test_the_complement_alone_can_be_asked_for(song: Path, tmp_path: Path):
    separate_file(hosted(Split()), song, {"no_high": tmp_path / "x.wav"}, two_stems="high")
    assert samples_of(tmp_path / "x.wav").shape == (2, 30_000)


def test_complements_have_the_names_that_people_use():
    assert complement_name("vocals") == "accompaniment"
    assert complement_name("drums") == "no_drums"


def test_clipped_samples_are_counted_by_file(tmp_path: Path):
    Audio(torch.full((1, 100), 1.5), 8000).write(tmp_path / "loud.wav")
    outputs = {"everything": tmp_path / "out.wav", "residual": tmp_path / "rest.wav"}
    result = separate_file(hosted(Identity()), tmp_path / "loud.wav", outputs, bits=16)
    assert result.clipped_samples == {"everything": 100, "residual": 0}


def test_an_empty_file_gives_empty_files(tmp_path: Path):
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 2)), 44100)
    result = separate_file(hosted(Split()), tmp_path / "empty.wav", {"low": tmp_path / "low.wav"})
    assert samples_of(result.paths["low"]).shape == (2, 0)


def test_a_separator_that_cannot_stream_is_called_once(song: Path, tmp_path: Path):
    class Whole:
        info = Split().info

        def separate(self, mixture: Any, **options: Any) -> Stems:
            return hosted(Split()).separate(mixture, **options)

    outputs = {"low": tmp_path / "low.wav"}
    separate_file(CheckedSeparator(Whole()), song, outputs)
    assert torch.equal(samples_of(outputs["low"]), hosted(Split()).separate(song)["low"].samples)


def test_a_budget_works_on_a_file(song: Path, tmp_path: Path):
    result = separate_file(hosted(Split()), song, {"low": tmp_path / "low.wav"}, quality="1h")
    assert result.provenance["quality"] == "best"


class Failing(Split):
    """Fails at the fourth batch: half of the files is written by then."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.calls = 0

    def separate_windows(self, windows: Tensor, starts: Sequence[int], **rest: Any) -> Tensor:
        self.calls += 1
        if self.calls == 4:
            raise self.error
        return super().separate_windows(windows, starts, **rest)


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_after_an_error_or_interruption_no_file_is_left(error, song: Path, tmp_path: Path):
    outputs = {name: tmp_path / "out" / f"{name}.wav" for name in ("low", "high")}
    (tmp_path / "out").mkdir()
    outputs["low"].write_text("an older result")
    with pytest.raises((SepkitError, KeyboardInterrupt, SystemExit)):
        separate_file(
            hosted(Failing(error), batch_windows=1),
            song,
            outputs,
            overwrite=True,
            provenance_path=tmp_path / "out/p.json",
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["low.wav"]
    assert outputs["low"].read_text() == "an older result"


@pytest.mark.parametrize(
    ("outputs", "options", "error", "message"),
    [
        ({}, {}, OptionError, "No outputs"),
        ({"residual": "r.wav"}, {}, OptionError, "Only the residual"),
        ({"lo": "lo.wav"}, {}, UnknownNameError, "did you mean 'low'"),
        ({"high": "h.wav"}, {"two_stems": "low"}, UnknownNameError, "Known: low, no_low"),
        ({"lo": "h.wav"}, {"two_stems": "lo"}, UnknownNameError, "did you mean 'low'"),
        ({"low": "a.wav", "high": "a.wav"}, {}, OptionError, "more than one output"),
        ({"low": "song.wav"}, {"overwrite": True}, OutputExistsError, "is being separated"),
        ({"low": "taken.wav"}, {}, OutputExistsError, "taken.wav"),
        ({"low": "low.xyz"}, {}, AudioError, "xyz"),
        ({"low": "low.opus"}, {}, AudioError, "11025"),
        ({"low": "low.wav"}, {"quality": "bset"}, OptionError, "did you mean 'best'"),
        ({"low": "song.wav/low.wav"}, {}, AudioError, "folder"),
    ],
)
def test_what_cannot_be_done_is_refused_before_separating(outputs, options, error, message, song: Path):
    (song.parent / "taken.wav").touch()
    before = sorted(song.parent.iterdir())
    model = Failing(RuntimeError())
    with pytest.raises(error, match=message):
        separate_file(hosted(model), song, {name: song.parent / path for name, path in outputs.items()}, **options)
    assert model.calls == 0
    assert sorted(song.parent.iterdir()) == before
