"""How codecs take noise: what a decoder makes of latents that are a little wrong, as a diffusion's last ones are.

`python -m benchmarks.codec_robustness --codec CHECKPOINT --test synthetic:4` adds noise to the vocals' latents and to
their sound, Gaussian and interfering (the accompaniment), at a range of levels, decodes, and measures what came back.
CHECKPOINT is a folder of `sepkit_latent_diffusion.codec_train` or a trained latent_diffusion; `--encodec-24khz FILE`
and `--encodec-48khz FILE` add the published codecs ("hub" downloads them). Waveform and lapped transform are always
there. Writes codec_robustness.json, .md and .svg; what is measured is not measured again. `--quick` takes seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sepkit.checkpoint import load_checkpoint, read_header
from sepkit.codecs import Codec, Lapped, Waveform, bound_to, get_codec, recentred
from sepkit.data.opening import open_dataset
from sepkit.data.resampled import resampled_track
from sepkit.data.synthetic import synthetic_set
from sepkit.data.track import Track
from sepkit.errors import DatasetError, SepkitError
from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.evaluation.metrics import mrstft, sdr_mdx, si_sdr
from sepkit.noise import gaussian
from sepkit.partial_files import replacing, write_text
from sepkit_latent_diffusion.codec.checkpoints import frozen, load_codec
from sepkit_latent_diffusion.codec_train import in_channels
from sepkit_latent_diffusion.config import LatentConfig
from sepkit_latent_diffusion.latent_cache import weights_hash
from sepkit_latent_diffusion.separator import CONFIG_VERSION, NAME, stored_codec
from sepkit_latent_diffusion.statistics import feature_sizes

from .codec_robustness_page import markdown, plot

RESULTS = Path(__file__).parent / "results"
LEVELS_DB = (40.0, 30.0, 20.0, 15.0, 10.0, 5.0, 0.0)  # of the signal over the noise
PLACES = ("latents", "audio")
KINDS = ("gaussian", "interference")
METRICS = {"si_sdr": si_sdr, "sdr_mdx": sdr_mdx, "mrstft": mrstft}
RATE = 22_050  # Hz, of the codecs that take any
QUICK_SECONDS, QUICK_LEVELS_DB = 1.0, (20.0, 0.0)


class Subject(NamedTuple):
    """A codec under test, and what tells its results from those of others."""

    label: str
    codec: Codec
    key: str


class Sounds(NamedTuple):
    """Vocals and what else sounds, b c t at a codec's rate, at the level that they have in a mixture of RMS 1."""

    vocals: Tensor
    others: Tensor


def subjects(arguments: argparse.Namespace) -> list[Subject]:
    """Every codec that there is; raises SepkitError for one that cannot be loaded."""
    linear: dict[str, Codec] = {
        "waveform": Waveform(sample_rate=RATE, audio_channels=2),
        "lapped": Lapped(sample_rate=RATE, audio_channels=2),
    }
    found = [Subject(name, codec, name) for name, codec in linear.items()]
    for folder in arguments.codec:
        codec, name = trained_codec(folder)
        found.append(Subject(name, codec, weights_hash(codec)))
    for name in ("encodec_24khz", "encodec_48khz"):
        weights = getattr(arguments, name)
        if weights is not None:
            codec = frozen(get_codec(name, weights=weights))
            found.append(Subject(name, codec, weights_hash(codec)))
    return found


def trained_codec(folder: Path) -> tuple[Codec, str]:
    """The codec of a folder of either kind, and its name."""
    if read_header(folder).separator != NAME:
        codec, settings, _ = load_codec(folder)
        return codec, settings.name
    found = load_checkpoint(folder, separator=NAME, config_type=LatentConfig, config_version=CONFIG_VERSION)
    return frozen(stored_codec(found.config, found.state, None)), found.config.codec.name


def sounds_of(song: Track, codec: Codec, seconds: float) -> Sounds:
    """The middle of a song as the codec takes it."""
    song = song if song.sample_rate == codec.sample_rate else resampled_track(song, codec.sample_rate)
    length = min(song.length_samples, round(seconds * song.sample_rate))
    start = (song.length_samples - length) // 2
    mixture, vocals = song.load_mixture(start, length), song.load("vocals", start, length)
    if not vocals.any():
        raise DatasetError(f"track {song.name!r} has no vocals in the {seconds:g} s around its middle.")
    rms = mixture.square().mean().sqrt()
    return Sounds(*(in_channels(x / rms, codec.audio_channels) for x in (vocals, mixture - vocals)))


def disturbed(
    codec: Codec, sounds: Sounds, seed: int, levels_db: Sequence[float] = LEVELS_DB
) -> Iterator[tuple[str, str, float | None, Tensor]]:
    """(place, kind, level, what is decoded) for every disturbance; place and kind are "none" where there is none.

    In latents the level is that of centred latents whose features are divided by their usual sizes over vocals and
    mixture, the unit in which a diffusion works; Gaussian noise is white in that unit.
    """
    mixture = sounds.vocals + sounds.others
    bound = recentred(bound_to(codec, mixture))
    length = mixture.shape[-1]
    z, other = bound.encode(sounds.vocals), bound.encode(sounds.others)
    sizes = feature_sizes([z, bound.encode(mixture)])[:, None].to(z)
    yield "none", "none", None, bound.decode(z, length)
    for kind in KINDS:
        in_latents = other / sizes if kind == "interference" else white(z, seed, "latents")
        in_sound = sounds.others if kind == "interference" else white(mixture, seed, "audio")
        for level in levels_db:
            noisy = z + sizes * at_level(in_latents, z / sizes, level)
            yield "latents", kind, level, bound.decode(noisy, length)
            noisy = sounds.vocals + at_level(in_sound, sounds.vocals, level)
            yield "audio", kind, level, bound.decode(bound.encode(noisy), length)


def at_level(noise: Tensor, signal: Tensor, level_db: float) -> Tensor:
    """The noise so loud that the signal has `level_db` more energy."""
    ratio = signal.square().sum() / noise.square().sum().clamp(min=1e-30)
    return noise * (ratio * 10 ** (-level_db / 10)).sqrt()


def white(like: Tensor, seed: int, key: str) -> Tensor:
    """Gaussian noise of the shape of `like`, by the seed alone."""
    batch, rows, length = like.shape
    return gaussian(seed, f"codec_robustness/{key}", 0, length, batch * rows).reshape(like.shape).to(like)


@torch.inference_mode()
def measured(codec: Codec, song: Track, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for every disturbance: place, kind, level_db and what is left by each metric."""
    sounds = sounds_of(song, codec, arguments.seconds)
    reference = sounds.vocals.double().numpy()
    rows = []
    for place, kind, level, found in disturbed(codec, sounds, arguments.seed, arguments.levels):
        estimate = found.double().numpy()
        scores = {name: float(metric(reference, estimate).mean()) for name, metric in METRICS.items()}
        rows.append({"place": place, "kind": kind, "level_db": level, **scores})
    return rows


def results_of(
    subject: Subject, songs: Iterable[Track], arguments: argparse.Namespace
) -> dict[str, list[dict[str, Any]]]:
    """Song -> rows, from `--runs` where they are already."""
    found = {}
    for song in songs:
        what = json.dumps([subject.key, song.name, song.seconds, arguments.seconds, arguments.seed, arguments.levels])
        path = arguments.runs / f"{hashlib.sha256(what.encode()).hexdigest()[:20]}.json"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = measured(subject.codec, song, arguments)
            write_text(path, json.dumps(rows) + "\n")
        found[song.name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def parsed(given: list[str] | None) -> argparse.Namespace:
    """The command line; `--quick` brings its own song."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.codec_robustness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_codec_options(parser)
    parser.add_argument("--test", default="synthetic:4", help="dataset spec; its test split")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each song, around its middle")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one second of one song: only to see that it runs")
    parser.add_argument("--runs", type=Path, default=Path("runs/codec_robustness"), help="results so far")
    parser.add_argument("--out", type=Path, default=RESULTS / "codec_robustness", help="path without suffix")
    arguments = parser.parse_args(given)
    arguments.levels = LEVELS_DB
    if arguments.quick:
        arguments.seconds, arguments.levels, arguments.test = QUICK_SECONDS, QUICK_LEVELS_DB, "synthetic:1"
    return arguments


def add_codec_options(parser: argparse.ArgumentParser) -> None:
    """The options that `subjects` reads."""
    parser.add_argument("--codec", type=Path, action="append", default=[], help="a checkpoint folder; may be repeated")
    parser.add_argument("--encodec-24khz", help="the published weights: a file, or hub")
    parser.add_argument("--encodec-48khz", help="the published weights: a file, or hub")


def report_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every codec, measured."""
    songs = synthetic_set(1, seconds=2.0) if arguments.quick else list(open_dataset(arguments.test, "test"))
    codecs = []
    for subject in subjects(arguments):
        print(f"{subject.label} …", flush=True)
        facts = {
            "label": subject.label,
            "sample_rate": subject.codec.sample_rate,
            "features": subject.codec.features,
            "frame_rate": subject.codec.frame_rate,
            "additive": subject.codec.additive,
        }
        codecs.append({**facts, "results": results_of(subject, songs, arguments)})
    return {
        "codecs": codecs,
        "settings": {name: getattr(arguments, name) for name in ("test", "seconds", "seed", "quick")},
        "machine": machine_facts(),
        "versions": package_versions(("sepkit-latent-diffusion", "encodec")),
    }


def main(given: list[str] | None = None) -> int:
    """Disturb, decode, measure, print and write."""
    arguments = parsed(given)
    try:
        report = report_of(arguments)
    except SepkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_text(arguments.out.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    write_text(arguments.out.with_suffix(".md"), markdown(report))
    try:
        with replacing(arguments.out.with_suffix(".svg"), overwrite=True) as partial:
            plot(report, partial)
    except ImportError:
        print("no plot: matplotlib is not installed (pip install 'sepkit[eval]')", file=sys.stderr)
    print(markdown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
