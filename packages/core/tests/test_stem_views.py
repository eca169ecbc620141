"""Laws of what a notebook shows of stems: players that hold the sound, and spectrograms on one scale."""

from __future__ import annotations

import base64
import io
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch

from sepkit import Audio, Stems
from sepkit.errors import AudioError, MissingExtraError
from sepkit.stem_players import level_of
from sepkit.testing.signals import music

RATE = 8000
HOSTILE = '"><script>alert(1)</script> & $x'


class Page(HTMLParser):
    """What a browser would make of it: tags, cells, and the sources of the players by their label."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.players: dict[str, str] = {}
        self.said = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")
        if tag == "audio":
            found = dict(attrs)
            self.players[str(found["aria-label"])] = str(found["src"])

    def handle_data(self, data: str) -> None:
        self.said += data
        if self.tags and self.tags[-1] == "td":
            self.cells[-1] += data

    def heard(self, stem: str) -> tuple[np.ndarray, int]:
        """Samples (t c) and rate of a player."""
        kind, _, content = self.players[stem].partition(",")
        assert re.fullmatch(r"data:audio/\w+;base64", kind)
        return soundfile.read(io.BytesIO(base64.b64decode(content)), dtype="float32", always_2d=True)


def noise(seconds: float, channels: int = 1, rate: int = RATE, gain: float = 0.1) -> Audio:
    generator = torch.Generator().manual_seed(0)
    return Audio(gain * torch.randn(channels, round(seconds * rate), generator=generator), rate)


def sine(hz: float, amplitude: float = 1.0, rate: int = 16_000) -> Audio:
    return Audio(amplitude * torch.sin(2 * torch.pi * hz * torch.arange(2 * rate) / rate), rate)


def page_of(stems: Stems) -> Page:
    return Page(stems._repr_html_())


# Players


def test_a_player_holds_its_stem() -> None:
    drums = Audio(music(44_100, 2, 44_100), 44_100)
    page = page_of(Stems({"drums": drums, "vocals": Audio(drums.samples.flip(1), 44_100)}))
    assert list(page.players) == ["drums", "vocals"]
    for stem, truth in {"drums": drums.samples, "vocals": drums.samples.flip(1)}.items():
        samples, rate = page.heard(stem)
        assert (rate, samples.shape) == (44_100, (44_100, 2))
        error = np.square(samples.T - truth.numpy()).sum() / np.square(truth.numpy()).sum()
        assert error < 0.03  # lossy
    assert page.cells[:2] == ["drums", "1.0 s"]
    assert "first" not in page.said


def test_names_are_text_and_never_markup() -> None:
    page = page_of(Stems({HOSTILE: noise(0.1)}, provenance={"method": HOSTILE, "quality": "<i>", "seed": 3}))
    assert "script" not in page.tags
    assert "i" not in page.tags
    assert list(page.players) == [HOSTILE]
    assert page.cells[0] == HOSTILE
    assert f"{HOSTILE}, quality <i>, seed 3" in page.said


def test_of_a_long_result_the_first_minute_is_there_and_this_is_said() -> None:
    minute, longer = noise(60.0, rate=2000), noise(61.0, rate=2000)
    whole, cut = Stems({"bass": minute}), Stems({"bass": longer})
    assert "first" not in page_of(whole).said
    page = page_of(cut)
    assert "the first 60 s" in page.said
    assert "61.0 s" in page.cells
    samples, rate = page.heard("bass")
    assert len(samples) == 60 * rate
    assert len(cut._repr_html_()) < 1.1 * len(whole._repr_html_())


def test_many_stems_get_shorter_players() -> None:
    one = noise(31.0, rate=2000)
    page = page_of(Stems({f"stem {number}": one for number in range(8)}))
    samples, rate = page.heard("stem 7")
    assert len(samples) == 30 * rate
    assert "the first 30 s" in page.said


def test_stems_beyond_full_scale_are_turned_down_alike() -> None:
    loud, quiet = sine(440.0, 2.0), sine(440.0, 0.5)
    page = page_of(Stems({"loud": loud, "quiet": quiet}))
    peaks = [np.abs(page.heard(stem)[0]).max() for stem in ("loud", "quiet")]
    assert peaks[0] == pytest.approx(1.0, abs=0.03)
    assert peaks[0] / peaks[1] == pytest.approx(4.0, rel=0.05)
    assert "turned down by 6.0 dB" in page.said


def test_more_channels_and_a_higher_rate_than_browsers_play_are_brought_down() -> None:
    page = page_of(Stems({"all": noise(0.5, channels=8, rate=96_000)}))
    samples, rate = page.heard("all")
    assert (rate, samples.shape) == (48_000, (24_000, 1))
    assert "96000 Hz · 8 channels" in page.said


def test_levels_are_of_full_scale() -> None:
    square = torch.full((2, 3_000_000), 0.5)
    square[1] = -0.5
    assert level_of(square) == (pytest.approx(0.5), 0.5)
    page = page_of(Stems({"half": Audio(square[:, :800], RATE), "nothing": Audio(torch.zeros(2, 800), RATE)}))
    assert page.cells[2:4] == ["−6.0 dBFS", "−6.0 dBFS"]
    assert page.cells[7:9] == ["silent", "silent"]


def test_stems_of_no_length_have_no_player() -> None:
    page = page_of(Stems({"bass": Audio(torch.zeros(1, 0), RATE)}))
    assert page.players == {}
    assert page.cells[:4] == ["bass", "0.0 s", "silent", "silent"]


# Spectrograms


def test_the_mixture_is_what_stems_and_residual_make() -> None:
    one, two, left = noise(0.1), noise(0.1, gain=0.3), noise(0.1, gain=-0.2)
    known = Stems({"one": one, "two": two}, residual=left)
    assert torch.allclose(known.mixture.samples, one.samples + two.samples + left.samples)
    assert Stems({"one": one, "two": two}).mixture is None


def test_all_panels_have_one_scale_of_time_frequency_and_level() -> None:
    pytest.importorskip("matplotlib")
    low, high = sine(100.0, 1.0), sine(3000.0, 0.1)
    figure = Stems({"low": low, HOSTILE: high}, residual=Audio(0 * low.samples, 16_000)).plot()
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in panels] == ["mixture", "low", HOSTILE]
    assert len({(axes.get_xlim(), axes.get_ylim(), axes.images[0].get_clim()) for axes in panels}) == 1
    assert panels[0].get_xlim() == (0.0, 2.0)
    for axes, hz, level_db in ((panels[1], 100.0, 0.0), (panels[2], 3000.0, -20.0)):
        picture = np.asarray(axes.images[0].get_array())
        row = picture[:, picture.shape[1] // 2].argmax()
        low_end, high_end = axes.get_ylim()
        found_hz = 10 ** (high_end - (row + 0.5) / len(picture) * (high_end - low_end))
        assert found_hz == pytest.approx(hz, rel=0.1)
        assert picture.max() == pytest.approx(level_db, abs=1.5)


def test_a_plot_needs_neither_pyplot_nor_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it would fail
    monkeypatch.delenv("DISPLAY", raising=False)
    figure = Stems({"bass": noise(0.2)}).plot()
    assert len([axes for axes in figure.axes if axes.images]) == 1  # no mixture: the residual is not known
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("length", [1, 2, 63, 4097])
def test_the_shortest_stems_can_be_drawn(length: int) -> None:
    pytest.importorskip("matplotlib")
    figure = Stems({"mixture": Audio(torch.ones(1, length), RATE)}, residual=Audio(torch.ones(1, length), RATE)).plot()
    assert len([axes for axes in figure.axes if axes.images]) == 1  # a stem of that name stands for itself


def test_what_cannot_be_drawn_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(AudioError, match="at least one sample"):
        Stems({"bass": Audio(torch.zeros(1, 0), RATE)}).plot()
    monkeypatch.delitem(sys.modules, "sepkit.spectrogram_figure", raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sepkit\[eval\]'"):
        Stems({"bass": noise(0.1)}).plot()
