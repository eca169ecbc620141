"""Laws of the HTTP API and of `sepkit separate --server`: files as of a local run, and no request that reaches more."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from sepkit import Audio, registry
from sepkit.cli.main import main
from sepkit.errors import MissingExtraError, OptionError
from sepkit.testing.fakes import Noisy, Split
from sepkit.testing.signals import music
from sepkit.web import server as server_module
from sepkit.web.client import RemoteServer, ServerError
from sepkit.web.limits import Limits
from sepkit.web.server import Server
from sepkit.web.wishes import Wishes

pytest.importorskip("fastapi", reason="needs the extra web (requirements-dev.txt)")
pytest.importorskip("uvicorn", reason="needs the extra web (requirements-dev.txt)")

RATE = 8000
GO_ON = threading.Event()
Run = Callable[..., tuple[int, str, str]]


class Gated(Split):
    __module__ = Split.__module__  # whose distribution is known: looking for another takes seconds

    def separate_windows(self, windows: Tensor, starts: Sequence[int], **rest: Any) -> Tensor:
        assert GO_ON.wait(20)
        return super().separate_windows(windows, starts, **rest)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The API alone, on a port of its own."""
    with (
        registry.register("split", lambda: Split(name="split")),
        registry.register("noisy", lambda: Noisy(name="noisy")),
        registry.register("gated", lambda: Gated(name="gated")),
        Server(Limits(max_minutes=1, max_megabytes=1), page=False) as made,
    ):
        yield made
    assert not made.jobs.folder.exists()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    Audio(music(RATE, 2, RATE), RATE).write(tmp_path / "a song.wav")
    return tmp_path / "a song.wav"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def sepkit(*arguments: object) -> tuple[int, str, str]:
        code = main([str(one) for one in arguments])
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    return sepkit


def asked(server: Server, verb: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(verb, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content)


def left(server: Server) -> list[Path]:
    end = time.monotonic() + 5
    while (found := list(server.jobs.folder.iterdir())) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--two-stems", "low", "--flac"),
        ("--residual", "--int24", "--filename", "{track} ({stem}).{ext}"),
        ("-m", "noisy", "--uncertainty", "2", "--seed", "3", "--mp3"),
    ],
    ids=["plain", "two stems", "named", "uncertain"],
)
def test_a_server_writes_what_a_local_run_writes(
    options: tuple[str, ...], server: Server, song: Path, tmp_path: Path, run: Run
) -> None:
    common = ("separate", song, "-m", "split", *options, "-q")
    assert run(*common, "-o", tmp_path / "here")[0] == 0
    code, _, err = run(*common, "-o", tmp_path / "there", "--server", server.url)
    assert (code, err) == (0, "")
    here, there = tree(tmp_path / "here"), tree(tmp_path / "there")
    assert list(here) == list(there)
    for name, content in here.items():
        if name.endswith(".json"):
            local, remote = json.loads(content), json.loads(there[name])
            assert list(local) == list(remote)
            times = {"compute_seconds"}
            assert [(k, v) for k, v in local.items() if k not in times] == [
                (k, v) for k, v in remote.items() if k not in times
            ]
        elif not name.endswith(".npz"):  # a zip, whose members carry the time
            assert content == there[name], name
    assert left(server) == []


def test_errors_of_the_server_are_errors_here(server: Server, song: Path, tmp_path: Path, run: Run) -> None:
    out, address = tmp_path / "out", ("--server", server.url)
    code, _, err = run("separate", song, "-m", "splitt", "-o", out, *address)
    assert (code, "did you mean 'split'" in err) == (2, True)
    code, _, err = run("separate", song, "-m", "split", "--stems", "drums", "-o", out, *address)
    assert (code, "Known: high, low" in err) == (2, True)
    code, _, err = run("separate", song, "-m", "split", "--device", "cpu", "-j", 2, "-o", out, *address)
    assert (code, "--device and --jobs: with --server that is up to the server" in err) == (2, True)
    code, _, err = run("separate", song, "-m", "split", "-o", out, "--server", "ftp://x")
    assert (code, "is no address" in err) == (2, True)
    code, _, err = run("separate", song, "-m", "split", "-o", out, "--server", "http://127.0.0.1:9")
    assert (code, "Is sepkit serve running there?" in err) == (2, True)
    assert not out.exists()


def test_a_bad_file_is_told_and_the_next_one_is_done(server: Server, song: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "text.wav").write_text("no song at all")
    (tmp_path / "empty.wav").touch()
    Audio(music(RATE, 1, 61 * RATE), RATE).write(tmp_path / "long.flac")
    with (tmp_path / "large.wav").open("wb") as file:
        file.truncate(2_000_000)
    out = tmp_path / "out"
    names = ("text.wav", "empty.wav", "long.flac", "large.wav", "a song.wav")
    code, printed, err = run(
        "separate", *(tmp_path / name for name in names), "-m", "split", "-o", out, "--server", server.url, "--json"
    )
    reports = {Path(line["input"]).name: line for line in map(json.loads, printed.splitlines())}
    assert code == 1
    assert [name for name in names if reports[name]["status"] == "done"] == ["a song.wav"]
    for name, words in {"empty.wav": "0 bytes", "long.flac": "at most 1", "large.wav": "takes at most 1"}.items():
        assert words in reports[name]["error"]
        assert str(server.jobs.folder) not in err
    assert sorted(tree(out)) == [f"split/a song/{name}" for name in ("high.wav", "low.wav", "provenance.json")]
    assert left(server) == []
    code, printed, _ = run("separate", song, "-m", "split", "-o", out, "--server", server.url, "--skip-existing")
    assert (code, "skipped" in printed) == (0, True)


def test_an_interruption_cancels_the_job(
    server: Server, song: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: RemoteServer, job: str) -> dict[str, Any]:
        raise KeyboardInterrupt

    GO_ON.clear()
    monkeypatch.setattr(RemoteServer, "status", interrupted)
    code, _, err = run("separate", song, "-m", "gated", "-o", tmp_path / "out", "--server", server.url)
    assert (code, "interrupted" in err) == (130, True)
    GO_ON.set()
    assert left(server) == []
    assert tree(tmp_path / "out") == {}


def test_a_job_is_watched_and_cancelled_by_its_address(server: Server, song: Path) -> None:
    GO_ON.clear()
    remote = RemoteServer(server.url)
    job = remote.submit(song, Wishes(model="gated"), server.jobs.limits)
    while (status := remote.status(job))["state"] == "waiting" or status["doing"] != "separating":
        time.sleep(0.01)
    assert (status["audio_seconds"], status["outputs"], status["error"]) == (1.0, {}, None)
    assert asked(server, "GET", f"/api/jobs/{job}/result.zip")[0] == 409
    assert asked(server, "POST", f"/api/jobs/{job}/cancel")[0] == 200
    GO_ON.set()
    while (status := remote.status(job))["state"] != "cancelled":
        time.sleep(0.01)
    remote.forget(job)
    code, answer = asked(server, "GET", f"/api/jobs/{job}")
    assert (code, answer["kind"]) == (404, "NoSuchJob")
    assert left(server) == []


@pytest.mark.parametrize("path", ["..%2f..%2fetc%2fpasswd", "../../etc/passwd", "%2e%2e/x", "x/../../y", "."])
def test_no_address_leads_to_another_file(server: Server, path: str) -> None:
    for ending in ("", "/result.zip", "/players"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", f"/api/jobs/{path}{ending}")
        response = connection.getresponse()
        assert response.status == 404
        assert b"root:" not in response.read()
        connection.close()


def test_other_sites_are_kept_out(server: Server) -> None:
    assert asked(server, "GET", "/api/methods", Host="evil.example")[0] == 403
    code, answer = asked(server, "POST", "/api/check", b'{"model": "split"}', Origin="https://evil.example")
    assert (code, "https://evil.example" in answer["error"]) == (403, True)
    code, answer = asked(server, "POST", "/api/check", b'{"model": "split"}', Origin=server.url)
    assert (code, answer["stems"]) == (200, ["low", "high"])


FORM = {"Content_Type": "multipart/form-data; boundary=x"}
LARGE = iter([b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n', *[b"x" * 100_000] * 20])


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"", {"Content_Length": "3000000000"}, 413, "larger than 1 MB"),
        (LARGE, FORM, 413, "larger than 1 MB"),
        (b"xyz", FORM, 400, "Invalid multipart data"),
        (b"--x--\r\n", FORM, 400, "a file named 'file'"),
        (b"", {}, 400, "a file named 'file'"),
    ],
    ids=["said to be large", "large", "malformed", "no file", "nothing"],
)
def test_bad_requests_get_an_answer(
    body: Any, headers: dict[str, str], status: int, words: str, server: Server
) -> None:
    code, answer = asked(server, "POST", "/api/separate", body, **headers)
    assert (code, words in answer["error"]) == (status, True), answer
    assert left(server) == []


def test_what_answers_but_is_no_server_of_sepkit_is_told(song: Path) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.handle_request, daemon=True).start()
        with pytest.raises(ServerError, match="HTTP status 501"):
            RemoteServer(f"http://127.0.0.1:{other.server_port}").check(Wishes())


def test_a_taken_port_and_a_missing_package_are_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=f"port {server.port} .*choose another"):
        Server(port=server.port, page=False)
    monkeypatch.setattr(server_module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"sepkit\[web\]"):
        Server()
