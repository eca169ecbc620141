"""Codecs by name, the built-in ones and those of plugins; listing imports neither a plugin nor torch."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..config import Frozen, validated
from ..errors import OptionError, PluginError, SepkitError, UnknownNameError, nearest
from ..plugins import announced, load, working_names

if TYPE_CHECKING:
    from .protocol import Codec

GROUP = "sepkit.codecs"
BUILT_IN = {
    "encodec_24khz": "sepkit.codecs.encodec_codec:encodec_24khz",
    "encodec_48khz": "sepkit.codecs.encodec_codec:encodec_48khz",
    "lapped": "sepkit.codecs.lapped:Lapped",
    "seanet": "sepkit.codecs.encodec_codec:seanet",
    "waveform": "sepkit.codecs.waveform:Waveform",
}
MEMBERS = (
    "sample_rate",
    "audio_channels",
    "hop_samples",
    "features",
    "additive",
    "frame_rate",
    "origin",
    "encode",
    "decode",
    "frames",
)


class CodecSettings(Frozen):
    """A codec by its name and settings, as a config stores it: `CodecSettings(name=..., settings={...}).build()`."""

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)

    def build(self) -> Codec:
        """The codec; raises as `get_codec`."""
        return get_codec(self.name, **self.settings)


def list_codecs() -> list[str]:
    """The names that `get_codec` takes; a plugin that is visibly broken is left out with a warning."""
    return working_names(BUILT_IN, GROUP, "codec")


def get_codec(name: str, **settings: Any) -> Codec:
    """The codec of that name: `get_codec("lapped", sample_rate=22050, hop_samples=512)`.

    A built-in name stays what it is, even if a plugin announces it as well: stored configs depend on it.
    Raises UnknownNameError or OptionError with the nearest name, or PluginError that names the plugin.
    """
    what = f"The codec {name!r}"
    build = _build_of(name)
    if isinstance(build, type) and issubclass(build, Frozen):
        return _checked(validated(build, {**settings, "name": name}, what), what)
    if not callable(build):
        raise PluginError(f"{what}: {build!r} is not callable; a plugin announces a class or a function.")
    _check_options(build, settings, what)
    try:
        codec = build(**settings)
    except SepkitError:
        raise
    except Exception as error:
        raise PluginError(f"{what} failed while it was built: {type(error).__name__}: {error}") from error
    return _checked(codec, what)


def codec_settings(codec: Codec) -> CodecSettings:
    """Name and settings that build `codec` again, weights given by path included; raises OptionError if it has none.

    A codec is its own settings if it is a Frozen value with a `name`, or else keeps them as `settings`.
    """
    value = codec if isinstance(codec, Frozen) else getattr(codec, "settings", None)
    stored = value.model_dump(mode="json") if isinstance(value, Frozen) else {}
    name = stored.pop("name", None)
    if not isinstance(name, str):
        raise OptionError(f"{type(codec).__name__} cannot be stored; wanted a Frozen with a name, or one as .settings.")
    return CodecSettings(name=name, settings=stored)


def _build_of(name: str) -> Any:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    points = announced(GROUP).get(name, [])
    if not points:
        raise UnknownNameError(f"No codec is named {name!r}: {nearest(name, list_codecs())}")
    return load(f"The codec {name!r}", points)


def _check_options(build: Any, settings: Mapping[str, Any], what: str) -> None:
    """Refuse what `build` cannot take; one that takes `**settings` validates the names itself."""
    parameters = inspect.signature(build).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for setting in settings:
        if setting not in parameters:
            raise OptionError(f"{what} has no option {setting!r}: {nearest(setting, parameters)}")


def _checked(codec: Any, what: str) -> Codec:
    missing = [member for member in MEMBERS if inspect.getattr_static(codec, member, None) is None]
    if missing:
        raise PluginError(f"{what} built a {type(codec).__name__} that lacks {', '.join(missing)}.")
    built: Codec = codec
    return built
