"""An hour takes no more memory than ten minutes: the whole way, `sepkit separate` with the shipped weights."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 44_100
PEAK = (
    "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; "
    "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)


def long_file(path: Path, minutes: int) -> Path:
    """Decaying noise bursts in stereo, 16 bit, written by the minute."""
    rng = np.random.default_rng(minutes)
    envelope = np.exp(-np.arange(RATE // 2) / 4000)[:, None] * 8000
    with soundfile.SoundFile(path, "w", RATE, 2, subtype="PCM_16") as out:
        for _ in range(minutes):
            beat = (rng.standard_normal((RATE // 2, 2)) * envelope).clip(-32768, 32767).astype(np.int16)
            out.write(np.tile(beat, (120, 1)))
    return path


def peak_kilobytes(path: Path, out: Path) -> int:
    line = [
        sys.executable,
        "-m",
        "sepkit",
        "separate",
        str(path),
        "-m",
        "lightsaft",
        "-o",
        str(out),
        "--bits",
        "16",
        "--quality",
        "fast",
    ]
    done = subprocess.run([sys.executable, "-c", PEAK, *line], capture_output=True, text=True, check=True)
    found = re.search(r"peak (\d+)", done.stdout)
    assert found
    return int(found[1])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_hour_takes_no_more_memory_than_ten_minutes(tmp_path: Path) -> None:
    short, long = (peak_kilobytes(long_file(tmp_path / f"{m}.wav", m), tmp_path / "out") for m in (10, 60))
    print(f"peak memory: {short / 1024:.0f} MiB for 10 minutes, {long / 1024:.0f} MiB for 60 minutes")
    assert long < 1.15 * short
    with soundfile.SoundFile(tmp_path / "out" / "lightsaft" / "60" / "vocals.wav") as vocals:
        assert vocals.frames == 60 * 60 * RATE
