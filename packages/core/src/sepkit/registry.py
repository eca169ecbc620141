"""Methods by name, over entry points: listing imports no plugin and no torch, getting imports one plugin."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import TracebackType
from typing import Any

from .checkpoint import CONFIG_FILE, read_header
from .config import Frozen
from .errors import CheckpointError, OptionError, PluginError, SepkitError, UnknownNameError, nearest
from .loaded_weights import remember
from .plugins import announced, find_module, load, source, visible_fault
from .separator import Hosting, Separator, WindowModel

GROUP = "sepkit.separators"
ENSEMBLE = "ensemble"  # core's own method, which is made of others and has what the list says of those

Build = Callable[..., WindowModel | Separator | Hosting]
"""What an entry point names: `build(*, checkpoint=None, untrained=False, **options)`."""


class SeparatorSummary(Frozen):
    """One line of the list: what is known about a method without importing it; None means unknown until it loads."""

    name: str
    distribution: str
    version: str
    stems: tuple[str, ...] | None = None
    sample_rate: int | None = None  # Hz
    channels: int | None = None
    licence: str | None = None
    trained: bool | None = None
    parameters: int | None = None
    error: str | None = None
    config_path: Path | None = None


@dataclass(frozen=True)
class Registration:
    """A method registered by hand; as a context manager it is undone at the end, `undo()` does so at once."""

    name: str
    build: Build
    replaced: Registration | None = None

    def undo(self) -> None:
        """Take the method out of the registry again, and put back what it had replaced."""
        if _BY_HAND.get(self.name) is self:
            del _BY_HAND[self.name]
            if self.replaced is not None:
                _BY_HAND[self.name] = self.replaced

    def __enter__(self) -> Registration:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()


_BY_HAND: dict[str, Registration] = {}


def register(name: str, build: Build, *, replace: bool = False) -> Registration:
    """Add a method for this process only: for tests, notebooks and ensembles; a package uses an entry point.

    Raises PluginError for a name that is taken, unless `replace`.
    """
    if not replace and (name in _BY_HAND or name in announced(GROUP)):
        raise PluginError(f"A method named {name!r} is there already; choose another name or pass replace=True.")
    registration = Registration(name, build, _BY_HAND.get(name))
    _BY_HAND[name] = registration
    return registration


def list_separators() -> list[SeparatorSummary]:
    """Every method that is announced or registered, by name, without importing any of them.

    A plugin that is visibly broken (missing module, name announced twice, damaged config.json) carries its `error`.
    """
    summaries = {name: _summarise(name, points) for name, points in announced(GROUP).items()}
    for name in _BY_HAND:
        summaries[name] = SeparatorSummary(name=name, distribution="registered by hand", version="")
    if ENSEMBLE in summaries and summaries[ENSEMBLE].distribution == "sepkit":
        from .ensemble_config import default_summary

        summaries[ENSEMBLE] = default_summary(summaries)
    return [summaries[name] for name in sorted(summaries)]


def get_separator(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    untrained: bool = False,
    device: str = "auto",
    precision: str = "fp32",
    batch_windows: int | None = None,
    segment_seconds: float | None = None,
    overlap: float | None = None,
    **options: Any,
) -> Separator:
    """The method of that name, ready to separate: `get_separator("lightsaft").separate("song.wav")["vocals"]`.

    `checkpoint` replaces the shipped one: a folder, or an address hf://owner/name[@revision], see sepkit.hub.
    `untrained` asks for random weights. The host's settings
    are `device`, `precision`, `batch_windows`, `segment_seconds` (window) and `overlap` (fraction of it, 0 to 1);
    whatever else is given is the method's own and validated by it.
    Raises UnknownNameError, PluginError, OptionError, CheckpointError or DeviceError.
    """
    folder = None if checkpoint is None else local_checkpoint(checkpoint)
    method = build_method(name, checkpoint=folder, untrained=untrained, **options)
    settings = {
        "device": device,
        "precision": precision,
        "batch_windows": batch_windows,
        "segment_seconds": segment_seconds,
        "overlap": overlap,
    }
    separator = _hosted(name, method, settings)
    if not untrained:
        remember(separator, name, folder)
    return separator


def local_checkpoint(checkpoint: str | Path) -> str | Path:
    """A checkpoint as it is given, or the local folder of one that is given by an address; raises as sepkit.hub."""
    if not str(checkpoint).startswith("hf:/"):
        return checkpoint
    from .hub import checkpoint_folder

    return checkpoint_folder(checkpoint)


def build_method(
    name: str, *, checkpoint: str | Path | None = None, untrained: bool = False, **options: Any
) -> WindowModel | Separator | Hosting:
    """What the plugin of that name builds, without a host around it; takes and raises what `get_separator` does."""
    build = load_build(name)
    given: dict[str, Any] = dict(options)
    if checkpoint is not None:
        given["checkpoint"] = local_checkpoint(checkpoint)
    if untrained:
        given["untrained"] = True
    _check_options(name, build, given)
    try:
        return build(**given)
    except SepkitError:
        raise
    except Exception as error:
        raise PluginError(f"The method {name!r} failed while it was built: {type(error).__name__}: {error}") from error


def check_known(name: str) -> None:
    """Raise UnknownNameError, with the nearest name, unless some plugin announces `name`; imports nothing."""
    known = {*announced(GROUP), *_BY_HAND}
    if name not in known:
        raise UnknownNameError(f"No separation method is named {name!r}: {nearest(name, known)}")


def load_build(name: str) -> Build:
    """Import the plugin that announces `name` and return its build function.

    Raises UnknownNameError with the nearest name, or PluginError that names the plugin and why it cannot be imported.
    """
    check_known(name)
    if name in _BY_HAND:
        return _BY_HAND[name].build
    points = announced(GROUP)[name]
    what = f"The method {name!r}"
    build: Build = load(what, points)
    if not callable(build):
        raise PluginError(f"{what} of {source(points[0])}: {points[0].value!r} is not callable.")
    return build


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist is not None else ("unknown distribution", "")


def _summarise(name: str, points: list[EntryPoint]) -> SeparatorSummary:
    distribution, version = _distribution(points[0])
    unknown = SeparatorSummary(name=name, distribution=distribution, version=version)
    folder, _ = find_module(points[0])
    if (fault := visible_fault(name, points)) is not None or folder is None:
        return unknown.model_copy(update={"error": fault})
    config_path = _config_path(folder / "checkpoints", name)
    if config_path is None:
        return unknown
    try:
        header = read_header(config_path.parent)
    except CheckpointError as error:
        return unknown.model_copy(update={"error": str(error), "config_path": config_path})
    return SeparatorSummary(
        name=name,
        distribution=distribution,
        version=version,
        stems=header.info.stems,
        sample_rate=header.info.sample_rate,
        channels=header.info.channels,
        licence=header.info.licence,
        trained=header.info.trained,
        parameters=header.weights.parameters,
        config_path=config_path,
    )


def _config_path(checkpoints: Path, name: str) -> Path | None:
    """The config.json of a method's own checkpoint, or else of the one that it shares; None where it ships neither.

    Methods that run the same weights in different ways share the folder of what their names have before the last
    underscore: `msdm_dirac` and `msdm_gaussian` that of `msdm`.
    """
    shared, _, _ = name.rpartition("_")
    for folder in (name, shared):
        if folder and (path := checkpoints / folder / CONFIG_FILE).exists():
            return path
    return None


def _check_options(name: str, build: Build, given: Mapping[str, Any]) -> None:
    """Refuse what `build` cannot take; a build that takes `**options` validates the names itself."""
    try:
        parameters = inspect.signature(build).parameters
    except (TypeError, ValueError):
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    unknown = [option for option in given if option not in parameters]
    if unknown:
        raise OptionError(f"The method {name!r} has no option {unknown[0]!r}: {nearest(unknown[0], parameters)}")


def _hosted(name: str, method: Any, settings: dict[str, Any]) -> Separator:
    from .host import CheckedSeparator, HostedSeparator

    if isinstance(method, WindowModel):
        return HostedSeparator(method, **settings)
    if isinstance(method, Hosting):
        return method.hosted(**settings)
    if not isinstance(method, Separator):
        raise PluginError(
            f"The method {name!r} built a {type(method).__name__}, which is neither a WindowModel (info, settings, "
            "separate_windows) nor a Separator (info, separate)."
        )
    defaults = {"device": "auto", "precision": "fp32"}
    refused = [key for key, value in settings.items() if value != defaults.get(key)]
    if refused:
        raise OptionError(f"The method {name!r} hosts itself and cannot be given {', '.join(refused)}; leave it out.")
    return method if isinstance(method, HostedSeparator) else CheckedSeparator(method)
