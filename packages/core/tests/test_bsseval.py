"""BSS Eval: museval's stored numbers, its rules, and the limits of the engine's formulas."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, lfilter, sosfilt

from sepkit.errors import AudioError, OptionError
from sepkit.evaluation.bsseval import (
    Blocks,
    BssEval,
    MeaninglessFilters,
    bss_eval,
    evaluate,
    pad_estimates,
    sdr_windows,
)

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[4] / "shared" / "oracles" / "bsseval"
WINDOW = 4000
MEASURES = ("sdr", "isr", "sir", "sar")


def scene(sources: int = 2, channels: int = 2, samples: int = 10_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """References and estimates s t c: coloured noise, and the same filtered, leaked and noisy; 16 bit."""
    rng = np.random.default_rng(seed)
    r = np.stack(
        [lfilter([0.1], [1, -0.8 + 0.3 * s], rng.standard_normal((samples, channels)), axis=0) for s in range(sources)]
    )
    r += 0.3 * r[:, :, ::-1]
    e = lfilter([1, 0.05, -0.02], [1], r, axis=1) + 0.05 * r.sum(0) + 0.003 * rng.standard_normal(r.shape)
    return np.round(r * 2**15) / 2**15, np.round(e * 2**15) / 2**15


def largest_difference(a: BssEval, b: BssEval) -> float:
    assert all(np.array_equal(np.isfinite(x), np.isfinite(y)) for x, y in zip(a[:4], b[:4], strict=True))
    return max(float(np.max(np.abs(x - y)[np.isfinite(x)], initial=0)) for x, y in zip(a[:4], b[:4], strict=True))


def agree_with_museval(found: BssEval, wanted: list[np.ndarray]) -> None:
    """1e-6 dB below 100 dB, 0.1 dB up to 160 dB; above that museval itself is round-off."""
    for name, x, y in zip(MEASURES, found[:4], wanted, strict=True):
        assert np.array_equal(np.isnan(x), np.isnan(y)), name
        assert np.array_equal(x == np.inf, y == np.inf), name
        near = np.isfinite(y) & (y < 160)
        assert np.all(np.abs(x - y)[near] <= np.where(y[near] < 100, 1e-6, 0.1)), name
        assert np.all(x[np.isfinite(y) & (y >= 160)] > 160), name


def oracle(path: Path, mode: str) -> tuple[BssEval, list[np.ndarray], np.ndarray]:
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    stored = np.load(path)
    found = bss_eval(
        stored["references"] / 32768.0,
        stored["estimates"] / 32768.0,
        window=float(stored["window"]),
        hop=float(stored["hop"]),
        framewise_filters=mode == "v3",
    )
    return found, [stored[f"{mode}_{name.upper()}"] for name in MEASURES], stored[f"{mode}_perm"]


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        (DATA / "bsseval_c_3src_mono_8k_v3v4.npz", "v4"),
        (DATA / "bsseval_c_3src_mono_8k_v3v4.npz", "v3"),
        (DATA / "bsseval_d_2src_silent_windows_overlap.npz", "v4"),
        (SHARED / "a_4src_stereo_16k.npz", "v4"),
        (SHARED / "b_2src_stereo_44k.npz", "v4"),
    ],
)
def test_stored_numbers_of_museval(path: Path, mode: str):
    found, wanted, permutation = oracle(path, mode)
    agree_with_museval(found, wanted)
    assert np.array_equal(found.permutation, permutation)


def test_the_result_unpacks_into_five_arrays():
    r, e = scene()
    sdr, isr, sir, sar, permutation = bss_eval(r, e, window=WINDOW, hop=WINDOW)
    assert sdr.shape == isr.shape == sir.shape == sar.shape == (2, 2)
    assert permutation.tolist() == [[0], [1]]
    assert bss_eval(r, e, window=WINDOW, hop=WINDOW, framewise_filters=True).permutation.shape == (2, 2)


def test_sdr_is_its_closed_form_and_the_filterless_path_gives_it_too():
    r, e = scene()
    sdr = bss_eval(r, e, window=WINDOW, hop=3000.5).sdr
    for n, start in enumerate((0, 3000, 6001)[: sdr.shape[1]]):
        s, error = r[:, start : start + WINDOW], (e - r)[:, start : start + WINDOW]
        assert sdr[:, n] == pytest.approx(10 * np.log10((s**2).sum((1, 2)) / (error**2).sum((1, 2))), abs=1e-9)
    assert np.array_equal(sdr_windows(r, e, window=WINDOW, hop=3000.5), sdr)


@pytest.mark.parametrize("gain", [1e-3, 3.0, 1e3])
def test_a_common_gain_changes_nothing(gain: float):
    r, e = scene()
    plain = bss_eval(r, e, window=WINDOW, hop=WINDOW)
    assert largest_difference(plain, bss_eval(gain * r, gain * e, window=WINDOW, hop=WINDOW)) < 1e-8


@pytest.mark.parametrize("mode", [False, True])
def test_swapping_sources_swaps_rows(mode: bool):
    r, e = scene(3)
    plain = bss_eval(r, e, window=WINDOW, hop=WINDOW, filters_len=128, framewise_filters=mode)
    swapped = bss_eval(r[::-1], e[::-1], window=WINDOW, hop=WINDOW, filters_len=128, framewise_filters=mode)
    assert largest_difference(plain, BssEval(*(x[::-1] for x in swapped[:4]), plain.permutation)) < 1e-8


def test_a_filter_of_its_own_source_is_forgiven():
    r, _ = scene()
    taps = np.random.default_rng(1).standard_normal(300) * np.exp(-np.arange(300) / 40)
    filtered = np.pad(r, [(0, 0), (0, 600), (0, 0)])
    e = lfilter(taps, [1], filtered, axis=1)
    found = bss_eval(filtered, e, window=np.inf, hop=np.inf)
    assert found.sir.min() > 160
    assert found.sar.min() > 160
    assert np.all(np.isfinite(found.isr))
    assert np.all(np.abs(found.isr) < 40)


def test_appended_zeros_that_complete_no_window_change_nothing():
    r, e = scene(samples=2 * WINDOW)
    r, e = (np.pad(x, [(0, 0), (0, 3999), (0, 0)]) for x in (r, e))
    plain = bss_eval(r[:, :8000], e[:, :8000], window=WINDOW, hop=WINDOW)
    assert largest_difference(plain, bss_eval(r, e, window=WINDOW, hop=WINDOW)) < 1e-8


@pytest.mark.parametrize("hop", [WINDOW, 1500, 5000.5])
def test_threads_do_not_change_results(hop: float):
    r, e = scene()
    one = bss_eval(r, e, window=WINDOW, hop=hop, filters_len=256, threads=1)
    assert all(
        np.array_equal(x, y)
        for x, y in zip(one, bss_eval(r, e, window=WINDOW, hop=hop, filters_len=256, threads=3), strict=True)
    )


def test_v3_on_the_whole_track_is_v4_on_the_whole_track():
    r, e = scene()
    v3 = bss_eval(r, e, window=np.inf, hop=np.inf, framewise_filters=True)
    assert largest_difference(bss_eval(r, e, window=np.inf, hop=np.inf), v3) < 1e-9


def test_v3_is_v4_on_each_window_as_a_track():
    r, e = scene()
    v3 = bss_eval(r, e, window=WINDOW, hop=WINDOW, framewise_filters=True)
    one = bss_eval(r[:, WINDOW:8000], e[:, WINDOW:8000], window=np.inf, hop=np.inf)
    assert largest_difference(BssEval(*(x[:, 1:] for x in v3[:4]), one.permutation), one) < 1e-9


def test_pieces_and_kept_windows_do_not_change_results(monkeypatch: pytest.MonkeyPatch):
    r, e = scene(samples=21_000)
    whole = bss_eval(r, e, window=9000, hop=7000, filters_len=128)
    inside = bss_eval(r, e, window=np.inf, hop=np.inf, filters_len=128)
    monkeypatch.setattr("sepkit.evaluation.bsseval.windows.PIECE_SAMPLES", 2048)
    assert largest_difference(whole, bss_eval(r, e, window=9000, hop=7000, filters_len=128)) < 1e-9
    assert largest_difference(inside, bss_eval(r, e, window=np.inf, hop=np.inf, filters_len=128)) < 1e-9
    monkeypatch.setattr("sepkit.evaluation.bsseval.engine.KEPT_BYTES", 1)
    assert largest_difference(whole, bss_eval(r, e, window=9000, hop=7000, filters_len=128)) < 1e-9


def test_signals_may_be_read_in_blocks():
    r, e = scene()
    plain = bss_eval(r, e, window=WINDOW, hop=WINDOW)
    longest = []

    def reader(x: np.ndarray) -> Blocks:
        def read(start: int, stop: int) -> np.ndarray:
            longest.append(stop - start)
            return x[:, start:stop]

        return Blocks(x.shape, read)

    streamed = bss_eval(reader(r), reader(e), window=WINDOW, hop=WINDOW)
    assert all(np.array_equal(x, y) for x, y in zip(plain, streamed, strict=True))
    assert max(longest) <= WINDOW


def test_types_and_layouts_do_not_matter(tmp_path: Path):
    torch = pytest.importorskip("torch")
    r, e = scene()
    plain = bss_eval(r, e, window=WINDOW, hop=WINDOW, filters_len=64)
    np.save(tmp_path / "r.npy", r)
    others = [
        (r.transpose(2, 1, 0).copy().transpose(2, 1, 0), e),
        (torch.from_numpy(r), torch.from_numpy(e).requires_grad_()),
        (np.load(tmp_path / "r.npy", mmap_mode="r"), list(e)),
        (np.round(r * 2**15).astype(np.int16), np.round(e * 2**15).astype(np.int16)),
        (r.astype(np.float32), e.astype(np.float32)),
    ]
    for given in others:
        assert largest_difference(plain, bss_eval(*given, window=WINDOW, hop=WINDOW, filters_len=64)) < 1e-8
    flat = bss_eval(r[..., 0], e[..., 0], window=WINDOW, hop=WINDOW, filters_len=64)
    assert largest_difference(flat, bss_eval(r[..., :1], e[..., :1], window=WINDOW, hop=WINDOW, filters_len=64)) == 0


def test_one_source_has_no_interference():
    r, e = scene(1)
    found = bss_eval(r, e, window=WINDOW, hop=WINDOW)
    assert np.all(found.sir == np.inf)
    assert np.all(np.isfinite(found.sar))


def test_identical_signals():
    r, _ = scene()
    found = bss_eval(r, r.copy(), window=WINDOW, hop=WINDOW)
    assert np.all(found.sdr == np.inf)
    assert min(found.isr.min(), found.sir.min(), found.sar.min()) > 160


def test_the_mixture_as_estimate_has_no_artefacts():
    r, _ = scene()
    found = bss_eval(r, np.stack([r.sum(0)] * 2), window=WINDOW, hop=WINDOW)
    assert found.sar.min() > 160
    assert np.abs(found.sir - found.sdr).max() < 6


def test_a_scaled_reference_has_distortion_only():
    r, _ = scene()
    found = bss_eval(r, 0.5 * r, window=WINDOW, hop=WINDOW)
    assert found.isr == pytest.approx(np.full((2, 2), 20 * np.log10(2)), abs=1e-9)
    assert found.sdr == pytest.approx(found.isr, abs=1e-9)
    assert min(found.sir.min(), found.sar.min()) > 160


def test_two_equal_channels_are_singular_but_fine():
    r, e = scene()
    r[0, :, 1] = r[0, :, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(r, e, window=WINDOW, hop=WINDOW)
    assert all(np.all(np.isfinite(getattr(found, name))) for name in MEASURES)
    assert found.condition < 1e9
    copied = np.concatenate([r, r[:, :, :1]], axis=2)  # a third channel as the first one, in the estimates too
    wider = evaluate(copied, np.concatenate([e, e[:, :, :1]], axis=2), window=WINDOW, hop=WINDOW)
    assert np.all(np.isfinite(wider.sar))


@pytest.mark.parametrize(
    ("samples", "window", "hop", "count"),
    [
        (300, WINDOW, WINDOW, 1),
        (3999, WINDOW, WINDOW, 1),
        (8000, WINDOW, WINDOW, 2),
        (2000, 300, 300, 6),
        (10_000, 3000, 4500, 2),
        (10_000, 3000.7, 999.9, 8),
        (10_000, WINDOW, 1000, 7),
    ],
)
def test_windows_of_all_kinds(samples: int, window: float, hop: float, count: int):
    """Shorter than the filter, than the window, exact multiples, windows shorter than the filter, gaps, overlap."""
    r, e = scene(samples=samples)
    found = bss_eval(r, e, window=window, hop=hop)
    assert found.sdr.shape == (2, count)
    assert not any(np.isnan(x).any() for x in found[:4])
    if samples >= 2000:  # one source alone: then nothing but the filter's own projection is left
        single = bss_eval(r[:1], e[:1], window=window, hop=hop)
        assert single.isr == pytest.approx(found.isr[:1], abs=1e-7)


def test_estimates_are_cut_or_padded_to_the_references():
    r, e = scene()
    assert np.array_equal(pad_estimates(r, e[:, :9000])[:, 9000:], np.zeros((2, 1000, 2)))
    assert np.array_equal(pad_estimates(r[:, :9000], e), e[:, :9000])
    with pytest.raises(AudioError, match="pad_estimates"):
        bss_eval(r, e[:, :9000], window=WINDOW, hop=WINDOW)


def test_bad_input_is_refused_with_what_to_do():
    r, e = scene()
    for bad in (np.nan, np.inf):
        broken = e.copy()
        broken[1, 9999, 0] = bad  # in no window, but in the filters
        with pytest.raises(AudioError, match="estimate of source 1"):
            bss_eval(r, broken, window=WINDOW, hop=WINDOW)
    with pytest.raises(ValueError, match="for every reference"):
        bss_eval(r, e[:1], window=WINDOW, hop=WINDOW)
    with pytest.raises(ValueError, match="real numbers"):
        bss_eval(r.astype(complex), e, window=WINDOW, hop=WINDOW)
    with pytest.raises(ValueError, match="none of them empty"):
        bss_eval(r[:, :0], e[:, :0], window=WINDOW, hop=WINDOW)
    for window, hop in ((0, 1), (WINDOW, 0), (np.nan, 1), (WINDOW, np.inf)):
        with pytest.raises(OptionError):
            bss_eval(r, e, window=window, hop=hop)
    with pytest.raises(OptionError, match="did you mean 'museval'"):
        bss_eval(r, e, window=WINDOW, hop=WINDOW, silent="mus_eval")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 2, 40_000), (1, 2, 100), (40_000, 4), (300, 40_000)])
def test_axes_in_another_order_are_named_before_memory_is_asked_for(shape: tuple[int, ...]):
    x = np.zeros(shape, dtype=np.float32)
    for call in (bss_eval, evaluate, sdr_windows):
        with pytest.raises(AudioError, match=r"give \(s t c\)"):
            call(x, x, window=WINDOW, hop=WINDOW)
        with pytest.raises(AudioError, match=r"give \(s t c\)"):
            call(list(x), list(x), window=WINDOW, hop=WINDOW)


def test_settings_that_are_no_numbers_are_refused():
    r, e = scene(samples=4000)
    for bad in (None, "a", "4000", [1, 2]):
        for settings in ({"window": bad, "hop": 1000}, {"window": 1000, "hop": bad}):
            with pytest.raises(OptionError, match="number of samples"):
                bss_eval(r, e, **settings)
            with pytest.raises(OptionError, match="number of samples"):
                sdr_windows(r, e, **settings)
    for bad in (1.5, 0, -3, None, "512"):
        with pytest.raises(OptionError, match="whole number of taps"):
            bss_eval(r, e, window=1000, hop=1000, filters_len=bad)


def test_integers_will_do_but_not_against_floats():
    r, e = (np.round(8192 * x) for x in scene(samples=4000))
    framing = {"window": 1000, "hop": 1000}
    whole = [x.astype(np.int16) for x in (r, e)]
    assert sdr_windows(*whole, **framing) == pytest.approx(sdr_windows(r, e, **framing), abs=1e-9)
    with pytest.raises(AudioError, match="divide 16-bit PCM by 32768"):
        bss_eval(whole[0], e, **framing)


def test_an_empty_band_is_called_meaningless_and_regularization_bounds_it():
    r, e = scene(samples=20_000)
    low = [sosfilt(butter(16, 0.6, output="sos"), x, axis=1) for x in (r, e)]
    coarse = evaluate(*(np.round(x * 2**13) / 2**13 for x in low), window=WINDOW, hop=WINDOW)
    with pytest.warns(MeaninglessFilters, match="mean little"):
        found = evaluate(*low, window=WINDOW, hop=WINDOW)
    assert found.condition > 1e14
    assert found.meaningless
    assert coarse.meaningless is None
    assert found.sdr == pytest.approx(coarse.sdr, abs=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bounded = evaluate(*low, window=WINDOW, hop=WINDOW, regularization=1e-9)
    assert np.median(np.abs(bounded.sar - coarse.sar)) < 6 < np.median(np.abs(found.sar - coarse.sar))
