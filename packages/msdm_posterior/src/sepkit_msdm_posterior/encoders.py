"""Prompts: what turns sound or text into the embedding that conditions a prior."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol, cast

import soxr
import torch
import torch.nn.functional as F
from torch import Tensor

from sepkit.errors import OptionError, PluginError, nearest

CLAP_RATE = 48_000  # Hz
HIGHEST = 12_000.0  # Hz


class Encoder(Protocol):
    """Sound, and perhaps text, in one space of `features` numbers."""

    @property
    def features(self) -> int:
        """Size of the embedding."""
        ...

    def sound(self, x: Tensor, sample_rate: int, /) -> Tensor:
        """The embedding of sound c t: e."""
        ...

    def text(self, prompt: str, /) -> Tensor:
        """The embedding of a text: e; raises OptionError for an encoder of sound alone."""
        ...


class BandLevels:
    """A small encoder of our own: the mean level of a sound in octaves below 12 kHz, in units of 20 dB about -40 dB."""

    def __init__(self, features: int = 8):
        self.features = features

    def sound(self, x: Tensor, sample_rate: int, /) -> Tensor:
        """Levels of `features` bands, the first of which takes what is below it too, and the last what is above: e."""
        power = torch.fft.rfft(x.double()).abs().square().mean(dim=0) / x.shape[-1] ** 2
        hertz = torch.linspace(0, sample_rate / 2, len(power), dtype=torch.float64).clamp(min=1e-9)
        band = (self.features + torch.log2(hertz / HIGHEST).floor()).clamp(0, self.features - 1).long()
        levels = torch.zeros(self.features, dtype=torch.float64).index_add_(0, band, power)
        return (((levels + 1e-12).log10() * 10 + 40) / 20).float()

    def text(self, prompt: str, /) -> Tensor:
        """Raises OptionError: levels have no words."""
        raise OptionError(
            f"The encoder 'band_levels' takes sound only, and was given the text {prompt!r}; take 'clap'."
        )


class Clap:
    """CLAP (Wu et al. 2023), text and sound in one space of 512 numbers, normalised to length 1.

    `embed_sound(x 1 t at 48 kHz)` and `embed_text(prompt)` do the work: `clap` makes them.
    """

    def __init__(
        self, embed_sound: Callable[[Tensor], Tensor], embed_text: Callable[[str], Tensor], features: int = 512
    ):
        self.embed_sound, self.embed_text, self.features = embed_sound, embed_text, features

    def sound(self, x: Tensor, sample_rate: int, /) -> Tensor:
        """The embedding of sound c t, of the mean of its channels: e."""
        mono = x.float().mean(dim=0).numpy()
        if sample_rate != CLAP_RATE:
            mono = soxr.resample(mono, sample_rate, CLAP_RATE)
        return F.normalize(self.embed_sound(torch.from_numpy(mono)[None]).float().reshape(-1), dim=0)

    def text(self, prompt: str, /) -> Tensor:
        """The embedding of a text: e."""
        return F.normalize(self.embed_text(prompt).float().reshape(-1), dim=0)


def clap(model: str = "laion/clap-htsat-unfused", checkpoint: str | None = None) -> Clap:
    """CLAP from `transformers` by the name or folder of a model, or from `laion-clap` with a state dict's path.

    A name makes transformers fetch the model; nothing is fetched unless this encoder is asked for. Raises
    OptionError where the library is not installed.
    """
    return _laion_clap(checkpoint) if checkpoint is not None else _transformers_clap(model)


def _transformers_clap(name: str) -> Clap:
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise _missing("transformers") from error
    model = transformers.ClapModel.from_pretrained(name, use_safetensors=True).eval()
    processor = transformers.ClapProcessor.from_pretrained(name)

    def embed_sound(x: Tensor) -> Tensor:
        inputs = processor.feature_extractor(x[0].numpy(), sampling_rate=CLAP_RATE, return_tensors="pt")
        return _pooled(model.get_audio_features(**inputs))

    def embed_text(prompt: str) -> Tensor:
        return _pooled(model.get_text_features(**processor.tokenizer([prompt], return_tensors="pt", padding=True)))

    return Clap(torch.no_grad()(embed_sound), torch.no_grad()(embed_text), model.config.projection_dim)


def _laion_clap(checkpoint: str) -> Clap:
    try:
        laion_clap: Any = importlib.import_module("laion_clap")
    except ImportError as error:
        raise _missing("laion-clap") from error
    module = laion_clap.CLAP_Module(enable_fusion=False)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    module.model.load_state_dict({name.removeprefix("module."): value for name, value in state.items()}, strict=False)

    def embed_sound(x: Tensor) -> Tensor:
        return cast(Tensor, module.get_audio_embedding_from_data(x=x, use_tensor=True)).detach()

    def embed_text(prompt: str) -> Tensor:
        return cast(Tensor, module.get_text_embedding([prompt, ""], use_tensor=True))[0].detach()

    return Clap(embed_sound, embed_text)


def _missing(package: str) -> OptionError:
    return OptionError(
        f"The encoder 'clap' needs the package {package!r}, which is not installed: pip install {package}"
    )


def _pooled(found: Any) -> Tensor:
    """The embedding itself; newer versions of the library wrap it."""
    return found if isinstance(found, Tensor) else cast(Tensor, found.pooler_output)


ENCODERS: dict[str, Callable[..., Encoder]] = {"band_levels": BandLevels, "clap": clap}


def find_encoder(name: str, **settings: Any) -> Encoder:
    """An encoder by its name, or one of the user's by `module:function`, called with `settings`.

    Raises OptionError for an unknown name, PluginError where the module or what it makes does not fit.
    """
    if ":" not in name:
        if name not in ENCODERS:
            raise OptionError(f"encoder {name!r} is not known: {nearest(name, ENCODERS)} Or give module:function.")
        return ENCODERS[name](**settings)
    module, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)(**settings)
    except Exception as error:
        raise PluginError(f"The encoder {name!r} failed: {type(error).__name__}: {error}") from error
    lacking = [member for member in ("features", "sound", "text") if not hasattr(made, member)]
    if lacking:
        raise PluginError(f"The encoder {name!r} made a {type(made).__name__} that lacks {', '.join(lacking)}.")
    return cast(Encoder, made)
