"""Laws of the registry: listing imports nothing, one bad plugin harms no other, every refusal names the remedy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sepkit import registry
from sepkit.checkpoint import save_checkpoint
from sepkit.config import Frozen
from sepkit.errors import OptionError, PluginError, UnknownNameError
from sepkit.registry import SeparatorSummary, get_separator, list_separators
from sepkit.separator import Separator, SeparatorInfo

INFO = SeparatorInfo(name="plain", stems=("vocals", "other"), sample_rate=8000, channels=1, licence="MIT")

# A plugin that hosts itself, so that these tests need nothing of the host.
PLAIN = """
    from sepkit.separator import SeparatorInfo

    class Plain:
        info = SeparatorInfo(name="plain", stems=("vocals", "other"), sample_rate=8000, channels=1, licence="MIT")

        def __init__(self, **given):
            self.given = given

        def separate(self, mixture, **options):
            raise NotImplementedError

    def build(*, checkpoint=None, untrained=False, width=3):
        return Plain(checkpoint=checkpoint, untrained=untrained, width=width)
"""


class Whole:
    """A separator that is one already, with what it was built from."""

    info = INFO

    def __init__(self, **given: Any):
        self.given = given

    def separate(self, mixture: Any, **options: Any) -> Any:
        raise NotImplementedError


def summaries() -> dict[str, SeparatorSummary]:
    return {summary.name: summary for summary in list_separators()}


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_plugin_is_listed_and_built(announce: Callable[..., Path]) -> None:
    announce("plain", PLAIN)
    assert summaries()["plain"] == SeparatorSummary(name="plain", distribution="sepkit-plain", version="1.2")
    separator = get_separator("plain", width=5, checkpoint="here", untrained=True)
    assert isinstance(separator, Separator)
    assert separator.separator.given == {"checkpoint": "here", "untrained": True, "width": 5}


def test_the_shipped_checkpoint_fills_the_line(announce: Callable[..., Path]) -> None:
    package = announce("plain", PLAIN)
    folder = package / "checkpoints" / "plain"
    state = {"weight": torch.ones(6, 7)}
    save_checkpoint(folder, separator="plain", config=Frozen(), config_version=1, info=INFO, state=state, card="")
    summary = summaries()["plain"]
    assert (summary.stems, summary.sample_rate, summary.channels) == (("vocals", "other"), 8000, 1)
    assert (summary.licence, summary.trained, summary.parameters) == ("MIT", True, 42)
    assert summary.config_path == folder / "config.json"
    (folder / "config.json").write_text("{}")
    assert "format None" in (summaries()["plain"].error or "")


def test_methods_of_one_family_share_a_checkpoint(announce: Callable[..., Path]) -> None:
    package = announce("plain_fast", PLAIN, distribution="sepkit-family")
    for name in ("plain_slow", "other_slow", "plain"):
        announce(name, None, distribution="sepkit-family")

    def save(name: str, size: int) -> None:
        folder, state = package / "checkpoints" / name, {"weight": torch.ones(size)}
        save_checkpoint(folder, separator=name, config=Frozen(), config_version=1, info=INFO, state=state, card="")

    def parameters() -> dict[str, int | None]:
        return {name: summary.parameters for name, summary in summaries().items() if summary.stems or "_" in name}

    save("plain", 7)
    known = parameters()
    assert {known[name] for name in ("plain", "plain_fast", "plain_slow")} == {7}
    assert known["other_slow"] is None
    save("plain_slow", 9)  # a folder of its own goes before the shared one
    assert (parameters()["plain_slow"], parameters()["plain_fast"]) == (9, 7)


def test_listing_imports_neither_plugins_nor_torch(announce: Callable[..., Path]) -> None:
    announce("loud", "raise SystemExit('the plugin was imported')")
    code = """
import sys, sepkit
names = [summary.name for summary in sepkit.list_separators()]
assert "torch" not in sys.modules and "sepkit_loud" not in sys.modules
print(names)
"""
    assert "'loud'" in run_python(code)


def test_importing_sepkit_imports_no_heavy_module() -> None:
    run_python("import sepkit, sys; heavy = {'torch', 'numpy', 'pydantic'} & set(sys.modules); assert not heavy, heavy")


@pytest.mark.parametrize(
    ("source", "target", "listed", "raised"),
    [
        (None, "separator:build", "is not in", "ModuleNotFoundError"),
        ("import a_module_that_is_not_there", "separator:build", None, "a_module_that_is_not_there"),
        ("x = 1 +", "separator:build", None, "SyntaxError"),
        ("nothing = 1", "separator:build", None, "AttributeError"),
        ("build = 1", "separator:build", None, "not callable"),
        ("def build(): raise ZeroDivisionError('by nought')", "separator:build", None, "by nought"),
        ("def build(): return 3", "separator:build", None, "neither a WindowModel"),
    ],
)
def test_a_broken_plugin_is_named_while_others_run(
    announce: Callable[..., Path], source: str | None, target: str, listed: str | None, raised: str
) -> None:
    announce("plain", PLAIN)
    announce("broken", source, target=target)
    assert (summaries()["broken"].error is None) == (listed is None)
    assert listed is None or listed in str(summaries()["broken"].error)
    with pytest.raises(PluginError, match=raised) as caught:
        get_separator("broken")
    assert "'broken'" in str(caught.value)
    assert get_separator("plain").info == INFO


def test_a_name_announced_twice_is_refused_by_naming_both(announce: Callable[..., Path]) -> None:
    announce("plain", PLAIN, distribution="first-plugin")
    announce("plain", PLAIN, distribution="second-plugin")
    assert "first-plugin" in str(summaries()["plain"].error)
    with pytest.raises(PluginError, match=r"(?=.*first-plugin)(?=.*second-plugin)"):
        get_separator("plain")


def test_an_unknown_name_gets_the_nearest(announce: Callable[..., Path]) -> None:
    announce("plain", PLAIN)
    with pytest.raises(UnknownNameError, match=r"'plian': did you mean 'plain'\? Known: .*plain"):
        get_separator("plian")


def test_an_unknown_option_gets_the_nearest(announce: Callable[..., Path]) -> None:
    announce("plain", PLAIN)
    with pytest.raises(OptionError, match=r"'plain' has no option 'witdh': did you mean 'width'"):
        get_separator("plain", witdh=4)


def test_a_method_without_weights_need_not_know_about_them() -> None:
    with registry.register("bare", lambda: Whole()):
        assert get_separator("bare").info == INFO
        with pytest.raises(OptionError, match="'checkpoint'"):
            get_separator("bare", checkpoint="folder")


def test_a_self_hosted_separator_refuses_the_hosts_settings() -> None:
    with registry.register("whole", Whole), pytest.raises(OptionError, match="cannot be given overlap"):
        get_separator("whole", overlap=0.5)


def test_a_methods_own_error_passes_unchanged() -> None:
    def build(**options: Any) -> Whole:
        raise OptionError("the moon is full")

    with registry.register("moody", build), pytest.raises(OptionError, match=r"^the moon is full$"):
        get_separator("moody")


def test_registering_by_hand_is_undone() -> None:
    with registry.register("mine", lambda: Whole(version=1)):
        assert summaries()["mine"].distribution == "registered by hand"
        with pytest.raises(PluginError, match="there already"):
            registry.register("mine", Whole)
        with registry.register("mine", lambda: Whole(version=2), replace=True):
            assert get_separator("mine").separator.given == {"version": 2}
        assert get_separator("mine").separator.given == {"version": 1}
    assert "mine" not in summaries()


def test_an_installed_name_is_not_taken_over_by_accident(announce: Callable[..., Path]) -> None:
    announce("plain", PLAIN)
    with pytest.raises(PluginError, match="there already"):
        registry.register("plain", Whole)
