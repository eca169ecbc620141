"""Laws of the command line: no torch before it is needed, one line for every error, exit codes as documented."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sepkit import __version__, registry
from sepkit.checkpoint import save_checkpoint
from sepkit.cli import main as cli
from sepkit.cli.doctor import EXTRAS
from sepkit.cli.main import main
from sepkit.config import Frozen
from sepkit.errors import CheckpointError
from sepkit.separator import SeparatorInfo
from sepkit.testing.fakes import Identity

INFO = SeparatorInfo(name="shipped", stems=("vocals", "other"), sample_rate=44100, channels=2, licence="CC0")
Announce = Callable[..., Path]


def test_help_list_and_info_import_no_torch(announce: Announce) -> None:
    package = announce("shipped", "import torch")
    state = {"weight": torch.ones(3)}
    folder = package / "checkpoints" / "shipped"
    save_checkpoint(
        folder, separator="shipped", config=Frozen(), config_version=1, info=INFO, state=state, card="# Card"
    )
    code = """
import sys
from sepkit.cli.main import main
for arguments in (["--help"], ["separate", "--help"], ["--version"], ["list"], ["list", "--json"], ["info", "shipped"],
                  ["info", "shipped", "--card"], ["lst"], ["separate"], ["info", "shiped"]):
    main(arguments)
    assert "torch" not in sys.modules, arguments
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "# Card" in done.stdout


def test_python_m_sepkit_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "sepkit", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"sepkit {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lst"], "list"),
        (["separate", "--two-stem", "vocals"], "--two-stems"),
        (["separate"], "FILES"),
        (["separate", "x.wav", "--format", "aac"], "aac"),
        (["separate", "x.wav", "-j", "0"], "jobs"),
        (["separate", "x.wav", "-m", "lightsoft"], "lightsoft"),
        (["info", "lightsoft"], "lightsoft"),
        (["check", "lightsoft"], "lightsoft"),
        (["import", "nothing", "file", "out"], "nothing"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_defect_is_one_line_unless_debugging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> list[registry.SeparatorSummary]:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("sepkit.cli.listing.list_separators", broken)
    assert main(["list"]) == 1
    assert capsys.readouterr().err.startswith("error: ZeroDivisionError: by nought (")
    monkeypatch.setenv("SEPKIT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_the_list_names_a_broken_plugin_beside_the_others(
    announce: Announce, capsys: pytest.CaptureFixture[str]
) -> None:
    announce("gone", None)
    announce("fine", "def build(): ...")
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert "gone is broken: module 'sepkit_gone.separator'" in out
    assert "fine is broken" not in out
    assert main(["list", "--json"]) == 0
    lines = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert lines["fine"]["error"] is None
    assert lines["fine"]["distribution"] == "sepkit-fine"
    assert "sepkit_gone" in lines["gone"]["error"]


def test_info_of_a_method_without_checkpoint_loads_it(capsys: pytest.CaptureFixture[str]) -> None:
    def build(*, untrained: bool = False) -> Identity:
        if not untrained:
            raise CheckpointError("no checkpoint is shipped")
        return Identity(name="plain")

    with registry.register("plain", build):
        assert main(["info", "plain", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["stems"], facts["sample_rate"], facts["window_seconds"]) == (["everything"], 8000, 0.128)


def test_info_cuts_the_long_lists_of_a_config_and_json_has_all_of_them(
    announce: Announce, capsys: pytest.CaptureFixture[str]
) -> None:
    class Long(Frozen):
        scales: list[float]
        edges: list[list[float]]
        names: list[str]

    package = announce("shipped", "import torch")
    config = Long(scales=[0.25] * 512, edges=[[0.5] * 7] * 512, names=["a", "b"])
    folder, state = package / "checkpoints" / "shipped", {"weight": torch.ones(3)}
    save_checkpoint(folder, separator="shipped", config=config, config_version=1, info=INFO, state=state, card="# Card")
    assert main(["info", "shipped"]) == 0
    text = capsys.readouterr().out
    assert text.count("0.25") == 1
    assert text.count("512 values") == 2
    assert "['a', 'b']" in text
    assert main(["info", "shipped", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["config"]["scales"]) == 512


def test_the_doctor_looks_at_every_extra() -> None:
    file = Path(__file__).parents[1] / "pyproject.toml"
    extras = tomllib.loads(file.read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"all"}
    for name, wanted in extras.items():
        assert name == "all" or len(EXTRAS[name]) == len(wanted), name


def test_the_doctor_names_what_is_broken(announce: Announce, capsys: pytest.CaptureFixture[str]) -> None:
    announce("fine", "def build(): ...")
    announce("sick", "import a_module_that_is_not_there")
    assert main(["doctor", "--json"]) == 1
    findings = {finding["name"]: finding for finding in map(json.loads, capsys.readouterr().out.splitlines())}
    assert all(findings[codec]["working"] for codec in ("wav", "flac", "ogg", "opus", "mp3"))
    assert findings["torch"]["state"].split("+")[0] == torch.__version__.split("+")[0]
    assert findings["cpu"]["working"]
    assert findings["fine"]["working"]
    assert not findings["sick"]["working"]
    assert "a_module_that_is_not_there" in findings["sick"]["state"]


def test_check_passes_a_sound_method_and_fails_a_broken_one(capsys: pytest.CaptureFixture[str]) -> None:
    class Loud(Identity):
        def separate_windows(
            self, windows: torch.Tensor, starts: object, *, seed: int, settings: object
        ) -> torch.Tensor:
            return 2 * windows[:, None]  # breaks its promise to sum to the mixture

    with registry.register("sound", lambda: Identity(name="sound")):
        assert main(["check", "sound"]) == 0
    assert "FAILED" not in capsys.readouterr().out
    with registry.register("loud", lambda: Loud(name="loud")):
        assert main(["check", "loud", "--json"]) == 1
    cases = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any(not case["passed"] and "sum" in case["case"] + case["reason"] for case in cases)


def test_import_hands_the_file_to_the_importer_of_that_name(
    announce: Announce, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """
        def convert(file, out):
            out.write_bytes(file.read_bytes())
            return f"read {file.name}"
    """
    announce("toy", source, target="importer:convert", group="sepkit.importers")
    (tmp_path / "toy.ckpt").write_bytes(b"weights")
    assert main(["import", "toy", str(tmp_path / "toy.ckpt"), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == "read toy.ckpt\n"
    assert (tmp_path / "out").read_bytes() == b"weights"
    assert main(["import", "toi", str(tmp_path / "toy.ckpt"), str(tmp_path / "out")]) == 2
    assert "did you mean 'toy'" in capsys.readouterr().err
    assert main(["import", "toy", str(tmp_path / "nothing.ckpt"), str(tmp_path / "out")]) == 2


def test_mounted_commands_are_imported_only_when_called(
    monkeypatch: pytest.MonkeyPatch, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "heavy_commands.py").write_text(
        "import typer\napp = typer.Typer()\n@app.callback()\ndef _(): ...\n@app.command()\ndef lift(): print('lifted')"
    )
    monkeypatch.setattr(cli, "MOUNTED", {"heavy": ("heavy_commands", "Lift heavy things.")})
    monkeypatch.setattr(cli, "_mounted", lambda: ["heavy"])
    assert main(["--help"]) == 0
    assert "Lift heavy things." in capsys.readouterr().out
    assert "heavy_commands" not in sys.modules
    assert main(["heavy", "--help"]) == 0
    assert "completion" not in capsys.readouterr().out  # that is for whole programs
    assert main(["heavy", "lift"]) == 0
    assert capsys.readouterr().out == "lifted\n"
