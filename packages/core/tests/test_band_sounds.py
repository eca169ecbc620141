"""Our own guitar and piano obey the physics that they are made from: pitch, decay, nodes, stiffness, touch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sepkit.data.arranging import Note
from sepkit.data.band_guitar import Guitar, play_guitar, pluck_burst, plucked_string, random_guitar
from sepkit.data.band_piano import Piano, play_piano, random_piano, struck_string
from sepkit.data.dice import Dice

RATE = 44100
ACOUSTIC = Guitar("acoustic", 3.0, 0.2, 0.2, 0.8, 0.0, 0.05, (105.0, 210.0, 400.0), 5000.0)
DRIVEN = dataclasses.replace(ACOUSTIC, kind="driven", drive=12.0)
GRAND = Piano("strings", 6.0, 0.0, 4e-4, 0.11, 0.8, 0.0, 0.1, 0.5)


def _peak_hz(x: np.ndarray, low_hz: float, high_hz: float) -> float:
    """The strongest frequency of a range, between bins by a parabola through the logarithms."""
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)), size))
    lo, hi = (round(f * size / RATE) for f in (low_hz, high_hz))
    k = lo + int(np.argmax(spectrum[lo:hi]))
    a, b, c = np.log(spectrum[k - 1 : k + 2] + 1e-12)
    return float((k + 0.5 * (a - c) / (a - 2 * b + c)) * RATE / size)


def _energy(x: np.ndarray, hz: float, width_hz: float = 8.0) -> float:
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    return float(power[np.abs(f - hz) < width_hz].sum())


@pytest.mark.parametrize("hz", [41.2, 110.0, 329.6, 987.8])
@pytest.mark.parametrize("damping", [0.1, 0.5])
def test_plucked_strings_are_in_tune(hz: float, damping: float) -> None:
    burst = pluck_burst(max(8, int(RATE / hz - 2)), 1.0, 0.2, Dice(1))
    y = plucked_string(hz, burst, RATE, RATE, 4.0, damping)
    assert abs(1200 * np.log2(_peak_hz(y, 0.8 * hz, 1.25 * hz) / hz)) < 2.5


def test_a_plucked_string_decays_as_told() -> None:
    y = plucked_string(200.0, pluck_burst(int(RATE / 200 - 2), 1.0, 0.2, Dice(1)), 2 * RATE, RATE, 2.0, 0.2)
    block = round(0.1 * RATE)
    early, late = (_energy(y[k : k + 4 * block], 200.0) for k in (0, round(1.5 * RATE)))
    assert 10 * np.log10(early / late) == pytest.approx(60 * 1.5 / 2.0, abs=1.5)


def test_the_block_loop_is_the_recursion_sample_by_sample() -> None:
    burst = pluck_burst(40, 1.0, 0.3, Dice(2))
    fast = plucked_string(900.0, burst, 400, RATE, 1.0, 0.3)
    period = RATE / 900.0 - 0.3
    whole, keep = int(period), 10 ** (-3 / 900.0)
    taps = keep * np.convolve([0.7, 0.3], [1 - (period - whole), period - whole])
    slow = np.zeros(400 + whole + 2)
    for k in range(400):
        slow[whole + 2 + k] = (burst[k] if k < len(burst) else 0) + sum(taps[i] * slow[2 + k - i] for i in range(3))
    # The loop starts to feed back after one whole period.
    np.testing.assert_allclose(fast, slow[whole + 2 :], atol=1e-12)


def test_the_pick_leaves_out_the_partials_with_a_node_there() -> None:
    y = np.tile(pluck_burst(441, 0.5, 0.25, Dice(3)), 20)
    kept, gone = (np.mean([_energy(y, n * 100.0) for n in rows]) for rows in ((3, 5, 7), (4, 8)))
    assert gone < 1e-6 * kept


def test_strings_meet_in_the_amplifier_but_not_in_the_wood() -> None:
    fifth = [Note(0.0, 0.9, 52, 0.9), Note(0.0, 0.9, 59, 0.9)]
    for guitar, meets in ((ACOUSTIC, False), (DRIVEN, True)):
        both, *alone = (play_guitar(guitar, notes, RATE, RATE, Dice(5))[0] for notes in (fifth, fifth[:1], fifth[1:]))
        f = 440 * 2 ** ((np.array([52, 59]) - 69) / 12)
        difference = 2 * f[0] - f[1]  # 82 Hz: in neither string
        assert (_energy(both, difference) > 30 * sum(_energy(x, difference) for x in alone)) == meets


def test_notes_end_when_they_are_released() -> None:
    for seconds, at, lost_db in ((0.09, 0.35, 30), (0.5, 0.8, 40), (1.5, 0.8, -1)):
        y = play_guitar(ACOUSTIC, [Note(0.0, seconds, 45, 0.9)], 2 * RATE, RATE, Dice(1))
        start, later = (np.std(y[:, round(t * RATE) : round((t + 0.05) * RATE)]) for t in (0.0, at))
        fallen = 20 * np.log10(start / (later + 1e-12))
        assert fallen > lost_db if lost_db > 0 else fallen < 35


def test_the_palm_stops_a_string_before_its_end_does() -> None:
    slow = dataclasses.replace(ACOUSTIC, release_seconds=2.0)
    palmed, open_ = (play_guitar(slow, [Note(0.0, s, 45, 0.9)], RATE, RATE, Dice(1)) for s in (0.10, 0.12))
    assert np.std(palmed[:, RATE // 2 :]) < 0.05 * np.std(open_[:, RATE // 2 :])


def test_piano_partials_are_stiff() -> None:
    t = np.arange(RATE) / RATE
    soft, bright = struck_string(GRAND, 48, t, RATE, Dice(1))
    f0 = 440 * 2 ** ((48 - 69) / 12)
    stiff = GRAND.stiffness * 2 ** ((48 - 60) / 9)
    for n, part in ((1, soft), (4, soft), (8, bright), (13, bright)):
        wanted = n * f0 * np.sqrt(1 + stiff * n * n)
        assert abs(_peak_hz(part, wanted - 40, wanted + 40) - wanted) < 1.0  # the line is as wide as it decays
    assert 13 * f0 * (np.sqrt(1 + stiff * 169) - 1) > 20  # Hz: so it is not just harmonic


def test_a_piano_sounds_twice_fast_then_slow_and_stops_when_released() -> None:
    y = play_piano(GRAND, [Note(0.0, 2.0, 60, 0.8)], 3 * RATE, RATE, Dice(1))

    def level(t: float) -> float:
        return 20 * np.log10(np.std(y[:, round(t * RATE) : round((t + 0.1) * RATE)]) + 1e-9)

    first, second = level(0.05) - level(0.45), level(1.4) - level(1.8)
    assert first > second + 1
    assert level(1.8) - level(2.4) > 25


def test_firm_touch_is_brighter_as_well_as_louder() -> None:
    shares = []
    for velocity in (0.3, 0.95):
        y = play_piano(GRAND, [Note(0.0, 0.8, 48, velocity)], RATE, RATE, Dice(1)).sum(0)
        power = np.abs(np.fft.rfft(y)) ** 2
        hz = np.fft.rfftfreq(RATE, 1 / RATE)
        shares.append((power[hz > 700].sum() / power.sum(), power.sum()))
    assert shares[1][0] > 1.5 * shares[0][0]
    assert shares[1][1] > 4 * shares[0][1]


def test_low_keys_lie_left_and_notes_beyond_the_end_are_left_out() -> None:
    low, high = (play_piano(GRAND, [Note(0.0, 0.4, p, 0.8)], RATE, RATE, Dice(1)) for p in (36, 90))
    assert np.std(low[0]) > 1.2 * np.std(low[1])
    assert np.std(high[1]) > 1.2 * np.std(high[0])
    for play in (lambda notes: play_piano(GRAND, notes, RATE, RATE, Dice(1)),
                 lambda notes: play_guitar(ACOUSTIC, notes, RATE, RATE, Dice(1))):  # fmt: skip
        assert not play([Note(1.2, 0.4, 60, 0.8)]).any()
        assert not play([Note(0.5, 3.0, 60, 0.8)])[:, : RATE // 2].any()


def test_drawn_instruments_are_repeatable_and_bounded() -> None:
    notes = [Note(0.0, 0.3, 52, 0.9), Note(0.3, 0.3, 55, 0.6)]
    for seed in range(6):
        for role in ("strum", "pick", "power", "muted", "lead", "bass"):
            assert random_guitar(Dice(seed), role) == random_guitar(Dice(seed), role)
        guitar, piano = random_guitar(Dice(seed), "lead"), random_piano(Dice(seed))
        for y in (
            play_guitar(guitar, notes, RATE, RATE, Dice(1)),
            play_piano(piano, notes, RATE, RATE, Dice(1)),
        ):
            assert y.dtype == np.float32
            assert y.shape == (2, RATE)
            assert np.isfinite(y).all()
            assert y[:, :100].std() < np.abs(y).max()
            assert np.abs(y[:, -1000:]).max() < 1e-2 * np.abs(y).max()
