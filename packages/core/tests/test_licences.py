"""Laws of licences: what allows commercial use is told by one table, and both commands go by it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sepkit import Audio
from sepkit.checkpoint import save_checkpoint
from sepkit.cli.main import main
from sepkit.config import Frozen
from sepkit.errors import LicenceError
from sepkit.licences import LICENCES, allows_commercial, check_commercial, hub_key
from sepkit.separator import SeparatorInfo
from sepkit.testing.signals import music

Announce = Callable[..., Path]

# A method whose own word is MIT, whatever checkpoint it is given.
METHOD = """
    import torch
    from sepkit import SeparatorInfo, WindowSettings

    class Halves:
        info = SeparatorInfo(name="halves", stems=("one", "two"), sample_rate=8000, channels=1, window_samples=4000,
                             licence="MIT")

        def settings(self, quality):
            return WindowSettings()

        def separate_windows(self, windows, starts, *, seed, settings):
            return torch.stack((windows / 2, windows / 2), dim=1)

    def build(*, checkpoint=None, untrained=False):
        return Halves()
"""


def checkpoint(folder: Path, licence: str, *, separator: str = "halves") -> Path:
    info = SeparatorInfo(name=separator, stems=("one", "two"), sample_rate=8000, channels=1, licence=licence)
    state = {"weight": torch.ones(3)}
    return save_checkpoint(
        folder, separator=separator, config=Frozen(), config_version=1, info=info, state=state, card="# Card\n"
    )


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("CC0-1.0", True), ("CC0", True), ("cc0 1.0", True), ("CC-BY-4.0", True), ("CC BY 4.0", True),
        ("CC-BY-SA-4.0", True), ("MIT", True), ("Apache-2.0", True), ("BSD-3-Clause", True), ("BSD-2-Clause", True),
        ("CC-BY-NC-4.0", False), ("CC-BY-NC-SA-4.0", False), ("CC-BY-NC-ND-4.0", False), ("cc by-nc 4.0", False),
        ("MIT AND CC-BY-4.0", True), ("MIT AND CC-BY-NC-4.0", False), ("CC-BY-NC-4.0 OR MIT", True),
        ("CC-BY-NC-4.0 OR MIT AND CC-BY-NC-4.0", False), ("unknown: ask the authors of the weights", False),
        ("not CC0", False), ("", False), (None, False), ("MITx", False), ("CC-BY-4.0-NC", False),
    ],
)  # fmt: skip
def test_what_allows_commercial_use(licence: str | None, allowed: bool) -> None:
    assert allows_commercial(licence) is allowed


def test_non_commercial_is_in_the_name_and_never_allowed() -> None:
    assert {name for name, found in LICENCES.items() if not found.commercial} == {n for n in LICENCES if "-NC" in n}


def test_the_page_has_the_table() -> None:
    page = Path(__file__).parents[3] / "docs" / "hub.md"
    if not page.exists():
        pytest.skip("needs a checkout: the page is not part of the package")
    shown = {
        licence.strip().upper(): answer
        for names, answer in re.findall(r"^\| ([A-Z0-9][^|`]*) \| (yes|no) \|$", page.read_text(), re.MULTILINE)
        for licence in names.split(",")
    }
    assert {name: shown.get(name.removesuffix("-2-CLAUSE").removesuffix("-3-CLAUSE")) for name in LICENCES} == {
        name: "yes" if found.commercial else "no" for name, found in LICENCES.items()
    }


@pytest.mark.parametrize("key", [key for found in LICENCES.values() for key in found.hub_keys])
def test_a_key_of_the_hub_is_the_identifier_in_small_letters(key: str) -> None:
    assert hub_key(key.upper()) == key
    assert hub_key(f"{key} or so") is None


def test_a_refusal_names_the_licence_and_the_way_on() -> None:
    check_commercial("song", ["MIT", "CC0-1.0"])
    with pytest.raises(LicenceError, match=r"^song: .*'CC-BY-NC-4\.0', which does not allow commercial use"):
        check_commercial("song", ["MIT", "CC-BY-NC-4.0"])
    with pytest.raises(LicenceError, match=r"'ask us', which sepkit does not know .*CC0.*sepkit list --commercial"):
        check_commercial("song", ["ask us"])


@pytest.fixture
def three(announce: Announce) -> None:
    for name, licence in (("halves", "CC-BY-4.0"), ("thirds", "CC-BY-NC-4.0"), ("fourths", None)):
        package = announce(name, METHOD)
        if licence is not None:
            checkpoint(package / "checkpoints" / name, licence, separator=name)


@pytest.mark.usefixtures("three")
def test_the_list_tells_and_gates(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--license"]) == 0
    rows = {line.split()[0]: line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert "commercial use" in rows["name"]
    assert rows["halves"].endswith("yes")
    assert rows["thirds"].endswith("no")
    assert rows["fourths"].endswith("no: licence unknown")
    assert main(["list", "--commercial", "--json"]) == 0
    captured = capsys.readouterr()
    named = {row["name"]: row for row in map(json.loads, captured.out.splitlines())}
    assert named["halves"]["commercial"] is True
    assert not {"thirds", "fourths"} & set(named)
    assert "thirds (CC-BY-NC-4.0)" in captured.err
    assert "fourths (licence unknown)" in captured.err


@pytest.mark.usefixtures("three")
def test_separate_refuses_weights_that_forbid_it_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Audio(music(8000, 1, 8000), 8000).write("song.wav")
    other = checkpoint(tmp_path / "other", "CC-BY-NC-SA-4.0")
    assert main(["separate", "song.wav", "-m", "halves", "--commercial", "-q"]) == 0
    assert main(["separate", "song.wav", "-m", "thirds", "--overwrite", "-q"]) == 0
    capsys.readouterr()
    for more, licence in (
        (["-m", "thirds"], "CC-BY-NC-4.0"),  # its shipped weights
        (["-m", "halves", "--checkpoint", str(other)], "CC-BY-NC-SA-4.0"),  # weights that it is given
    ):
        assert main(["separate", "song.wav", "--commercial", "-q", "-o", "refused", *more]) == 2
        assert f"'{licence}', which does not allow commercial use" in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()
    assert main(["separate", "song.wav", "-m", "fourths", "--commercial", "-q"]) == 0  # MIT by its own word, no weights
