"""Laws of the server's jobs: nothing leaves its folder, nothing outlives its job, and every refusal says why."""

from __future__ import annotations

import io
import os
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from torch import Tensor

from sepkit import Audio, registry
from sepkit.errors import OptionError, SepkitError, UnknownNameError
from sepkit.testing.fakes import Noisy, Split
from sepkit.testing.signals import music
from sepkit.web.jobs import Job, Jobs
from sepkit.web.limits import Busy, Limits, NoSuchJob, NotReady, NotSound, TooLarge
from sepkit.web.uploads import safe_name
from sepkit.web.wishes import Wishes, read_wishes

RATE = 8000


class Gated(Split):
    """Waits before every window until it may go on."""

    __module__ = Split.__module__  # whose distribution is known: looking for another takes seconds

    def __init__(self, go_on: threading.Event, **changes: Any):
        super().__init__(**changes)
        self.go_on = go_on

    def separate_windows(self, windows: Tensor, starts: Sequence[int], **rest: Any) -> Tensor:
        assert self.go_on.wait(20)
        return super().separate_windows(windows, starts, **rest)


@pytest.fixture
def go_on() -> threading.Event:
    return threading.Event()


@pytest.fixture
def jobs(go_on: threading.Event) -> Iterator[Jobs]:
    """A server's jobs, with methods that need no weights."""
    with (
        registry.register("split", lambda: Split(name="split")),
        registry.register("noisy", lambda: Noisy(name="noisy")),
        registry.register("gated", lambda: Gated(go_on, name="gated")),
        Jobs(Limits(max_minutes=1, max_megabytes=2, max_waiting=3)) as made,
    ):
        yield made
        go_on.set()
    assert not made.folder.exists()


def song(seconds: float = 1.0) -> io.BytesIO:
    file = io.BytesIO()
    samples = music(RATE, 2, round(seconds * RATE)).numpy() if seconds else np.zeros((2, 0))
    soundfile.write(file, samples.T, RATE, format="WAV", subtype="PCM_16")
    file.seek(0)
    return file


def ended(job: Job, seconds: float = 20.0) -> Job:
    end = time.monotonic() + seconds
    while not job.ended:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return job


def left(jobs: Jobs) -> list[Path]:
    """What lies in the work folder; a job's folder goes a moment after its state is known."""
    end = time.monotonic() + 5
    while (found := list(jobs.folder.iterdir())) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def test_the_zip_has_what_a_local_run_writes(jobs: Jobs, tmp_path: Path) -> None:
    wishes = read_wishes({"model": "split", "format": "flac", "residual": True})
    job = ended(jobs.submit(song(), "a song.wav", wishes))
    assert job.state == "done"
    with zipfile.ZipFile(jobs.file(job.id, "result.zip")) as packed:
        assert sorted(packed.namelist()) == ["high.flac", "low.flac", "provenance.json", "residual.flac"]
        packed.extractall(tmp_path)
    expected = registry.get_separator("split").separate(Audio(music(RATE, 2, RATE), RATE))
    for stem in ("low", "high"):
        found = soundfile.read(tmp_path / f"{stem}.flac")[0].T
        assert np.abs(found - expected[stem].samples.numpy()).max() < 1e-4  # the input had 16 bits
    jobs.forget(job.id)
    assert left(jobs) == []
    with pytest.raises(NoSuchJob, match="30 minutes"):
        jobs.get(job.id)


def test_a_random_method_gets_players_with_its_map(jobs: Jobs) -> None:
    job = ended(jobs.submit(song(), "x.wav", Wishes(model="noisy", uncertainty=2, players=True)))
    assert job.outputs["uncertainty"] == "uncertainty.npz"
    text = jobs.file(job.id, "players.html").read_text()
    assert '"single":true' in text
    assert text.count('"whole":true') == 1
    assert text.count('id="clip-') == 3
    assert text.count('id="picture-') == 5  # mixture, two stems, and the map of each


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("song.wav", "song.wav"),
        ("../../etc/cron.d/song.wav", "song.wav"),
        ("..\\..\\windows\\song.mp3", "song.mp3"),
        ("/etc/passwd.wav", "passwd.wav"),
        (".ssh/.hidden.flac", "hidden.flac"),
        ("a\x00b\n<c>.ogg", "a_b__c_.ogg"),
        ("con.wav", "_con.wav"),
        ("é" * 300 + ".wav", "é" * 100 + ".wav"),
    ],
)
def test_no_name_leads_out_of_the_folder(given: str, kept: str, jobs: Jobs) -> None:
    assert safe_name(given) == kept
    job = jobs.submit(song(0.1), given, Wishes(model="split"))
    assert job.source.parent == job.folder
    assert job.folder.parent == jobs.folder
    assert job.source.name == kept


@pytest.mark.parametrize(
    "given", [None, "", "..", "..wav", "song", "song.txt", "song.wav/..", "song.wav.exe", "x.html"]
)
def test_other_names_are_refused(given: str | None, jobs: Jobs) -> None:
    with pytest.raises(NotSound, match=r"Known suffixes: .*wav"):
        jobs.submit(song(), given, Wishes(model="split"))
    assert left(jobs) == []


def two_hours() -> io.BytesIO:
    """A complete and silent WAV of two hours, in bytes of its own kind: 100 samples a second of 8 bits."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(720_000, np.int16), 100, format="WAV", subtype="PCM_U8")
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"", NotSound, "empty .0 bytes."),
        (b"Dear reader, this is a letter and no song.\n" * 50, NotSound, "x.wav"),
        (song(0.0).getvalue(), NotSound, "no sound at all"),
        (song().getvalue()[:9000], NotSound, "cut short"),
        (song(61).getvalue(), TooLarge, "lasts 1 minutes; this server takes at most 1"),
        (two_hours().getvalue(), TooLarge, "lasts 120 minutes; this server takes at most 1"),
        (b"RIFF" * 600_000, TooLarge, "larger than 2 MB"),
    ],
    ids=["empty", "text", "no samples", "cut", "long", "two hours", "large"],
)
def test_bad_files_get_an_answer_and_leave_nothing(
    content: bytes, error: type[SepkitError], words: str, jobs: Jobs
) -> None:
    with pytest.raises(error, match=words) as caught:
        jobs.submit(io.BytesIO(content), "x.wav", Wishes(model="split"))
    assert str(jobs.folder) not in str(caught.value)
    assert left(jobs) == []


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"checkpoint": "/etc"}, "cannot be chosen over the network"),
        ({"device": "cuda"}, "cannot be chosen over the network"),
        ({"options": {"config": "/etc/passwd"}}, "one plain word"),
        ({"options": {"config": "../x"}}, "one plain word"),
        ({"options": {"members": {"vocals": ["x"]}}}, "one plain word"),
        ({"uncertainty": 10_000}, "at most 16"),
        ({"quality": 10**9}, "at most 1000"),
        ({"format": "../../x"}, "cannot be written"),
        ({"two_stems": "low", "stems": ["high"]}, "exclude each other"),
        ({"sed": 1}, "seed"),
        ([], "wanted an object"),
    ],
)
def test_settings_reach_nothing_but_the_method(wishes: Any, words: str, jobs: Jobs) -> None:
    if isinstance(wishes, dict):
        wishes = {"model": "split", **wishes}
    with pytest.raises(SepkitError, match=words):
        jobs.submit(song(), "x.wav", read_wishes(wishes))
    assert left(jobs) == []


def test_unknown_stems_and_methods_are_told_before_the_queue(jobs: Jobs) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'split'"):
        jobs.submit(song(), "x.wav", Wishes(model="splitt"))
    with pytest.raises(UnknownNameError, match="low"):
        jobs.submit(song(), "x.wav", Wishes(model="split", stems=("loww",)))
    with pytest.raises(OptionError, match="not random"):
        jobs.check(Wishes(model="split", uncertainty=4))
    assert left(jobs) == []


def test_jobs_wait_in_turn_and_stop_when_they_are_asked_to(jobs: Jobs, go_on: threading.Event) -> None:
    first = jobs.submit(song(), "1.wav", Wishes(model="gated"), session="one")
    second = jobs.submit(song(), "2.wav", Wishes(model="gated"), session="../two")
    third = jobs.submit(song(), "3.wav", Wishes(model="gated"), session="../two")
    assert jobs.status(third.id)["ahead"] == 2
    with pytest.raises(Busy, match="3 separations are waiting"):
        jobs.submit(song(), "4.wav", Wishes(model="gated"))
    with pytest.raises(NotReady, match=r"has no result\.zip"):
        jobs.file(second.id, "result.zip")
    jobs.cancel(second.id)
    assert second.state == "cancelled"
    jobs.cancel(first.id)
    go_on.set()
    assert ended(first).state == "cancelled"
    assert ended(third).state == "done"
    jobs.forget_session("../two")
    jobs.forget(first.id)
    assert left(jobs) == []


def test_a_job_in_work_is_deleted_when_it_is_forgotten(jobs: Jobs, go_on: threading.Event) -> None:
    job = jobs.submit(song(), "1.wav", Wishes(model="gated"))
    while job.state != "running":
        time.sleep(0.01)
    jobs.forget(job.id)
    go_on.set()
    assert left(jobs) == []


def names_below(folder: Path) -> set[str]:
    """What is there, looked at while it may be deleted: unlike `rglob`, `walk` minds nothing that goes."""
    return {name for _, folders, files in os.walk(folder) for name in (*folders, *files)}


def test_what_nobody_asks_for_is_deleted() -> None:
    with registry.register("split", lambda: Split(name="split")), Jobs(Limits(keep_minutes=0.01)) as jobs:
        jobs.uploads.mkdir()
        (jobs.uploads / "never used.wav").touch()
        ended(jobs.submit(song(0.2), "1.wav", Wishes(model="split")))
        end = time.monotonic() + 5
        while names_below(jobs.folder) != {jobs.uploads.name}:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_failing_method_says_so_without_paths(jobs: Jobs) -> None:
    def separate(self: Any, *inputs: Any, **rest: Any) -> Tensor:
        raise ValueError(f"cannot open {jobs.folder}")

    broken = type("Broken", (Split,), {"separate_windows": separate})
    with registry.register("broken", lambda: broken(name="broken")):
        job = ended(jobs.submit(song(), "a.wav", Wishes(model="broken")))
    assert job.state == "failed"
    assert "cannot open" in str(job.error)
    assert str(jobs.folder) not in str(job.error)
    assert left(jobs) == []
