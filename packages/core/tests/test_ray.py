"""Laws of `--engine ray`: what workers make equals what one process makes, whoever dies, and is not made twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile

from sepkit.cli.inputs import Source
from sepkit.cli.main import main
from sepkit.cli.outputs import DEFAULT_TEMPLATE, FileTask, Layout, plan
from sepkit.cli.request import SeparationRequest
from sepkit.errors import MissingExtraError, OptionError
from sepkit.many_machines import batch, cluster, evaluating, spreading, transfers
from sepkit.many_machines.addresses import StoreError, address_of, local, store_of
from sepkit.many_machines.attempts import Attempt, separate_anywhere
from sepkit.many_machines.cluster import ClusterError, Crew, hire
from sepkit.many_machines.manifest import NAME, Entry, Made, Manifest
from sepkit.many_machines.settled import settings_of, settle
from sepkit.many_machines.spreading import _Seat

STUB = """
import os, signal
from pathlib import Path
from sepkit.testing.fakes import Split

class Stub(Split):
    def separate_windows(self, windows, starts, *, seed, settings):
        loudest = float(windows.abs().max())
        if loudest > 1.4 and "STUB_DEATHS" in os.environ:  # a test asks for one death by loudness
            died = Path(os.environ["STUB_DEATHS"])
            if not list(died.iterdir()):
                (died / str(os.getpid())).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return super().separate_windows(windows, starts, seed=seed, settings=settings)

def build(*, checkpoint=None, untrained=False):
    return Stub(name="stub", stems=("vocals", "other"))
"""


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The method `stub`, installed for this process and for those it starts; where the workers note their deaths."""
    site, deaths = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("deaths")
    package, metadata = site / "sepkit_stub", site / "sepkit_stub-1.2.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").touch()
    (package / "separator.py").write_text(STUB)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sepkit-stub\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text("[sepkit.separators]\nstub = sepkit_stub.separator:build\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        patch.setenv("PYTHONPATH", str(site))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield deaths


@pytest.fixture(scope="module")
def ray(stub: Path) -> Iterator[Any]:
    """A cluster of two cores on this machine, which all tests here share."""
    pytest.importorskip("ray.data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUB_DEATHS", str(stub))  # the workers' environment is that of their cluster
        patch.delenv("RAY_ADDRESS", raising=False)
        starting = cluster.connected(None, 2)
        running = starting.__enter__()
    yield running
    starting.__exit__(None, None, None)


def song(path: Path, loudest: float = 0.5, seed: int = 0) -> Path:
    samples = 0.1 * np.random.default_rng(seed).standard_normal((2400, 2))
    samples[1200] = loudest
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype("float32"), 8000, subtype="FLOAT")
    return path


def stems_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.wav"))}


def records_below(folder: Path) -> dict[str, dict[str, Any]]:
    """Every record, but for how long it took."""
    found = {str(path.relative_to(folder)): json.loads(path.read_text()) for path in folder.rglob("provenance.json")}
    return {name: {key: value for key, value in one.items() if key != "compute_seconds"} for name, one in found.items()}


def hidden_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    for number in range(20):
        song(folder / f"song{number:02}.wav", 1.5 if number == 7 else 0.5, seed=number)
    return folder


@pytest.fixture(scope="module")
def separated(ray: Any, songs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, list[Any]]:
    """Where 20 songs went, one of which kills the first worker that takes it, and a text file."""
    out = tmp_path_factory.mktemp("ray") / "out"
    text = songs.parent / f"{songs.name}-bad" / "text.wav"
    text.parent.mkdir()
    text.write_text("no sound")
    lines: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sepkit.cli.batch.print_json", lines.append)
        patch.setattr("sepkit.cli.progress.BatchProgress.print", lambda self, line: lines.append(json.loads(line)))
        inputs, engine = [str(songs), f"local://{text}"], ["--engine", "ray", "-j2"]
        code = main(["separate", *inputs, "-m", "stub", "-o", str(out), *engine, "--json"])
    return out, code, lines


def test_twenty_files_of_two_workers_one_of_them_killed_equal_those_of_one_process(
    separated: tuple[Path, int, list[Any]], songs: Path, stub: Path, tmp_path: Path
) -> None:
    out, _, lines = separated
    assert main(["separate", str(songs), "-m", "stub", "-o", str(tmp_path / "local"), "-q"]) == 0
    assert len(os.listdir(stub)) == 1
    assert stems_below(out) == stems_below(tmp_path / "local")
    assert len(stems_below(out)) == 40
    assert records_below(out) == records_below(tmp_path / "local")
    assert sum(line["status"] == "done" for line in lines) == 20


def test_a_bad_file_is_reported_and_harms_no_other(separated: tuple[Path, int, list[Any]]) -> None:
    out, code, lines = separated
    assert code == 1
    failed = {Path(line["input"]).name: line["error"] for line in lines if line["status"] == "failed"}
    assert set(failed) == {"text.wav"}
    assert "cannot be read as a sound file" in failed["text.wav"]
    assert hidden_below(out) == []  # nor what the killed one had begun


def test_a_rerun_of_what_is_done_touches_nothing_and_starts_no_cluster(
    separated: tuple[Path, int, list[Any]], songs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, *_ = separated
    monkeypatch.setattr(batch, "connected", lambda *given: pytest.fail("a cluster was started"))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert main(["separate", str(songs), "-m", "stub", "-o", str(out), "--engine", "ray", "-q"]) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_what_has_changed_is_done_again(separated: tuple[Path, int, list[Any]], songs: Path, tmp_path: Path) -> None:
    out, *_ = separated
    request = SeparationRequest(model="stub")
    sources = [Source(path, songs.name) for path in sorted(songs.iterdir())]
    tasks = plan(sources, Layout(out, DEFAULT_TEMPLATE, "stub", ("vocals", "other"), "wav"))
    moved = tmp_path / "moved.wav"

    def left(request: SeparationRequest, manifest: Manifest) -> list[str]:
        with request.separator() as separator:
            settings = settings_of(request, separator)
        found = settle(tasks, request, settings, out, manifest)
        assert len(found.left) + len(found.reports) == 20
        assert {report.status for report in found.reports} <= {"skipped"}
        return [task.source.stem for task, _ in found.left]

    everything = [task.source.stem for task in tasks]
    manifest = Manifest(out)
    assert left(request, manifest) == []
    assert left(request.model_copy(update={"seed": 1}), manifest) == everything
    assert left(request.model_copy(update={"overwrite": True}), manifest) == everything
    assert left(request.model_copy(update={"device": "cpu"}), manifest) == []
    os.utime(songs / "song03.wav")
    tasks[5].outputs["vocals"].rename(moved)
    try:
        assert left(request, manifest) == ["song03", "song05"]
    finally:
        moved.rename(tasks[5].outputs["vocals"])
    unknown = settle(tasks, request, "s", out, Manifest(tmp_path))
    assert {report.status for report in unknown.reports} == {"failed"}
    assert "no manifest says from what" in str(unknown.reports[0].error)
    assert unknown.left == []


@pytest.mark.slow  # a second crew; between stores of memory the same is tested without one
def test_stores_hold_the_same_as_folders(ray: Any, tmp_path: Path) -> None:
    song(tmp_path / "in" / "a.wav")
    song(tmp_path / "in" / "b.wav", seed=1)
    command = ["separate", f"local://{tmp_path}/in", "-m", "stub", "-o", f"local://{tmp_path}/out"]
    assert main([*command, "--engine", "ray", "-j1", "-q"]) == 0
    assert main(["separate", str(tmp_path / "in"), "-m", "stub", "-o", str(tmp_path / "local"), "-q"]) == 0
    assert stems_below(tmp_path / "out") == stems_below(tmp_path / "local")
    assert records_below(tmp_path / "out") == records_below(tmp_path / "local")
    assert hidden_below(tmp_path / "out") == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "connected", lambda *given: pytest.fail("a cluster was started"))
        assert main([*command, "--engine", "ray", "-q"]) == 0


def spread_here(ray: Any, make: Any, values: list[Any], crew: Crew, retries: int = 0) -> Iterator[tuple[Any, Any]]:
    """One worker in this process in place of a crew."""
    worker = make()
    for value in values:
        yield value, worker(value)


def test_a_worker_evaluates_as_the_harness_does(stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluating, "connected", lambda *given: nullcontext())
    monkeypatch.setattr(evaluating, "nodes_of", lambda ray: [{"CPU": 1.0}])
    monkeypatch.setattr(evaluating, "spread", spread_here)
    check_evaluation(tmp_path)


@pytest.mark.slow  # the same by workers of a cluster
def test_evaluating_on_a_cluster_gives_the_run_of_one_machine(ray: Any, tmp_path: Path) -> None:
    check_evaluation(tmp_path)


def check_evaluation(tmp_path: Path) -> None:
    for number in range(2):
        for stem in ("vocals", "other"):
            song(tmp_path / "data" / f"song{number}" / f"{stem}.wav", seed=len(stem) + 10 * number)
    runs = {}
    for engine in ("local", "ray"):
        out = tmp_path / engine
        command = ["evaluate", "-m", "stub", "--dataset", f"folder:{tmp_path}/data", "--recipe", "sdx23"]
        assert main([*command, "--out", str(out), "--engine", engine, "-j1"]) == 0
        rows = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
        runs[engine] = [{key: row[key] for key in row if key not in ("at", "cost")} for row in rows]
        runs[engine].sort(key=lambda row: (row["method"], row["track"], row["stem"], row["metric"]))
    assert runs["ray"] == runs["local"]
    assert stems_below(tmp_path / "ray") == stems_below(tmp_path / "local")
    names = [{str(p.relative_to(tmp_path / e)) for p in (tmp_path / e).rglob("*")} for e in ("local", "ray")]
    assert names[0] == names[1]


def test_a_file_that_kills_every_worker_is_given_up(
    stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def spread(ray: Any, make: Any, values: list[Any], crew: Crew, retries: int) -> Iterator[tuple[Any, Any]]:
        monkeypatch.setattr(spreading, "_end_with", lambda parent: None)
        seat = _Seat(make, values, None, "run", retries, str(Path.cwd()))  # it goes there, and nobody comes back
        for index, value in enumerate(values):
            monkeypatch.setattr(seat, "_begin", lambda index: retries + 1 + index)
            row = seat({"index": index})
            yield value, row["answer"][0] if row["answer"] else None

    monkeypatch.setattr(batch, "connected", lambda *given: nullcontext())
    monkeypatch.setattr(batch, "nodes_of", lambda ray: [{"CPU": 1.0}])
    monkeypatch.setattr(batch, "spread", spread)
    files = [str(song(tmp_path / "in" / name)) for name in ("a.wav", "b.wav")]
    assert main(["separate", *files, "-m", "stub", "-o", str(tmp_path / "out"), "--engine", "ray", "-q"]) == 1
    assert "b.wav: its worker died 4 times" in capsys.readouterr().err
    assert len(stems_below(tmp_path / "out")) == 2
    states = [json.loads(line)["status"] for line in (tmp_path / "out" / NAME).read_text().splitlines()]
    assert states == ["done", "failed"]


def test_an_address_survives_as_a_path() -> None:
    for address in ("s3://bucket/folder/song.wav", "memory://a.wav", "gs://b/c d.wav", "local:///x/y.wav"):
        assert address_of(Path(address)) == address
    assert address_of(Path("folder/s3/x.wav")) is None
    assert address_of(Path("C:/songs/x.wav")) is None
    assert local(Path("file:///songs/x.wav")) == Path("/songs/x.wav")


def test_a_missing_backend_says_what_to_install(tmp_path: Path) -> None:
    fsspec.register_implementation("bucket", "bucketfs.Store", clobber=True, errtxt="Install bucketfs")
    with pytest.raises(StoreError, match="pip install bucketfs"):
        store_of("bucket://a/b")
    with pytest.raises(OptionError, match="did you mean 's3'"):
        store_of("s33://a/b")
    assert main(["separate", "bucket://a/b.wav", "-m", "stub", "--engine", "ray", "-o", str(tmp_path)]) == 2


def test_a_missing_ray_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sepkit\[ray\]'"):
        cluster.import_ray()


def test_between_stores_a_file_is_separated_as_on_disk_and_leaves_nothing_else(stub: Path, tmp_path: Path) -> None:
    request = SeparationRequest(model="stub")
    store = fsspec.filesystem("memory")
    store.pipe("/songs/a.wav", song(tmp_path / "a.wav").read_bytes())
    with request.separator() as separator:
        made = {}
        for out, source in (
            (Path("memory://out"), Path("memory://songs/a.wav")),
            (tmp_path / "out", tmp_path / "a.wav"),
        ):
            layout = Layout(out, "{model}/{track}/{stem}.{ext}", "stub", ("vocals", "other"), "wav")
            task: FileTask = layout.task(Source(source, ""))
            outcome = separate_anywhere(separator, request, Attempt(task, out, "x-0"))
            assert outcome.report.status == "done", outcome.report.error
            made[str(out)] = outcome.files
        near, far = made[str(tmp_path / "out")], made["memory:/out"]
        assert {what: far[what] for what in ("vocals", "other")} == {what: near[what] for what in ("vocals", "other")}
    assert sorted(store.find("/out")) == [
        f"/out/stub/a/{name}" for name in ("other.wav", "provenance.json", "vocals.wav")
    ]
    assert store.cat("/out/stub/a/vocals.wav") == (tmp_path / "out/stub/a/vocals.wav").read_bytes()
    sizes = transfers.sizes_below(
        Path("memory://out"), [Path("memory://out/stub/a/vocals.wav"), Path("memory://out/b")]
    )
    assert sizes == {Path("memory://out/stub/a/vocals.wav"): near["vocals"].bytes}


def test_what_cannot_be_sent_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = song(tmp_path / "1.wav"), tmp_path / "missing.wav"
    with pytest.raises(StoreError, match=r"memory://sent/2\.wav cannot be sent"):
        transfers.publish({one: "memory://sent/1.wav", other: "memory://sent/2.wav"}, "t")
    assert fsspec.filesystem("memory").find("/sent") == []


def entry(key: str, **more: Any) -> Entry:
    return Entry(key=key, source=key, input={"bytes": 1, "version": "1"}, settings="s", **{"status": "done", **more})


@pytest.mark.parametrize("place", ["disk", "store"])
def test_a_manifest_keeps_the_last_line_of_a_key_and_survives_a_torn_one(place: str, tmp_path: Path) -> None:
    out = tmp_path if place == "disk" else Path("memory://manifests")
    with Manifest(out) as manifest:
        manifest.add(entry("a", status="begun"), entry("b", status="begun"))
        manifest.add(entry("a", files={"vocals": Made(file="v.wav", bytes=3, sha256="0")}))
    if place == "disk":
        with (out / NAME).open("a") as file:
            file.write('{"key": "b", "source')
    again = Manifest(out)
    assert (again.get("a"), again.get("c")) == (manifest.get("a"), None)
    assert again.get("b").status == "begun"  # type: ignore[union-attr]


Nodes = list[dict[str, float]]


@pytest.mark.parametrize(
    ("nodes", "jobs", "tasks", "gpus", "crew"),
    [
        ([{"CPU": 2.0}], 2, 20, None, Crew(2, 1)),
        ([{"CPU": 2.0}], None, 20, None, Crew(1, 2)),
        ([{"CPU": 16.0}], None, 20, None, Crew(4, 4)),
        ([{"CPU": 6.0}, {"CPU": 6.0}], 3, 20, None, Crew(3, 3)),
        ([{"CPU": 16.0}], None, 1, None, Crew(1, 16)),
        ([{"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0}], None, 20, None, Crew(2, 4, 1)),
        ([{"CPU": 16.0, "GPU": 2.0}], None, 20, False, Crew(4, 4)),
    ],
)
def test_a_crew_fits_its_nodes(nodes: Nodes, jobs: int | None, tasks: int, gpus: bool | None, crew: Crew) -> None:
    assert hire(nodes, jobs, tasks, gpus=gpus) == crew


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--ray-address", "auto"], "goes with --engine ray alone"),
        (["--engine", "ray", "--server", "http://x:1"], "exclude each other"),
        (["--engine", "ray", "-o", "memory://out"], "memory of one process"),
        (["--engine", "ray", "-d", "cuda:1"], "Ray deals out the GPUs"),
        (["-o", "s3://bucket/out"], "go with --engine ray alone"),
    ],
)
def test_what_does_not_go_together_is_said(
    given: list[str], said: str, stub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["separate", str(song(tmp_path / "a.wav")), "-m", "stub", *given]) == 2
    assert said in capsys.readouterr().err


def test_gpus_that_are_not_there_are_an_error() -> None:
    with pytest.raises(ClusterError, match="no GPU"):
        hire([{"CPU": 2.0}], None, 1, gpus=True)
