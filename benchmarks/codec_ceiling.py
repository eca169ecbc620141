"""What a codec lets a separator reach: the true vocals encoded and decoded, scored as a method's estimate is.

`python -m benchmarks.codec_ceiling --codec CHECKPOINT --test synthetic:8` scores the decoded vocals and what they
leave of the mixture, and the same after the last step that returns to the mixture's phase. CHECKPOINT is a folder of
`sepkit_latent_diffusion.codec_train` or a trained latent_diffusion; `--encodec-24khz FILE` and `--encodec-48khz FILE`
add the published codecs. Songs count at their own rate, so what resampling loses counts too. Writes
codec_ceiling.json and .md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from sepkit.audio import Audio
from sepkit.channels import group_channels, ungroup
from sepkit.codecs import Codec, bound_to
from sepkit.data.track import Track
from sepkit.errors import SepkitError
from sepkit.evaluation.machine import machine_facts, package_versions
from sepkit.evaluation.metrics import mrstft
from sepkit.partial_files import write_text
from sepkit_latent_diffusion.sampling import as_stems
from sepkit_latent_diffusion.settings import LatentSettings

from .codec_robustness import add_codec_options, subjects
from .compare import RECIPES, opened, scores
from .compare import SHOWN as SHOWN_OF

RESULTS = Path(__file__).parent / "results"
STEMS = ("vocals", "accompaniment")
SHOWN = {metric: name for recipe in RECIPES for metric, name in SHOWN_OF[recipe].items()} | {"mrstft": "mrstft"}
SILENCE_RMS = 1e-6


@torch.inference_mode()
def decoded(codec: Codec, vocals: Tensor, mixture: Tensor, phase: str, sample_rate: int) -> Tensor:
    """What the method would make of the true vocals, c t at the codec's rate -> vocals and accompaniment s c t."""
    groups = group_channels(torch.cat([vocals, mixture]), codec.audio_channels)
    voice, whole = groups[: len(groups) // 2], groups[len(groups) // 2 :]
    rms = whole.square().mean().sqrt().clamp(min=SILENCE_RMS)
    bound = bound_to(codec, whole / rms)
    found = rms * bound.decode(bound.encode(voice / rms), voice.shape[-1])
    settings = LatentSettings(phase="mixture" if phase == "mixture" else "codec")
    return ungroup(as_stems(found[:, None], whole, settings, sample_rate), len(mixture))


def ceilings(codec: Codec, song: Track, phase: str) -> dict[str, dict[str, float | None]]:
    """Stem -> metric -> value for one song."""
    view = song.view(STEMS)
    mixture = Audio(view.mixture, song.sample_rate)
    vocals = Audio(view.load("vocals"), song.sample_rate)
    voice, whole = (audio.resampled(codec.sample_rate).samples for audio in (vocals, mixture))
    made = decoded(codec, voice, whole, phase, codec.sample_rate)
    back = [Audio(x, codec.sample_rate).resampled(song.sample_rate).samples for x in made]
    found_voice = Audio(back[0][:, : mixture.length_samples], song.sample_rate)
    stems = {"vocals": found_voice, "accompaniment": Audio(mixture.samples - found_voice.samples, song.sample_rate)}
    found = scores(stems, song, mixture)
    for stem in found:
        found[stem]["mrstft"] = float(mrstft(view.load(stem).numpy(), stems[stem].samples.numpy()))
    return found


def parsed(given: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.codec_ceiling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_codec_options(parser)
    parser.add_argument("--test", action="append", default=[], help="dataset spec, may be repeated [synthetic:8]")
    parser.add_argument("--out", type=Path, default=RESULTS / "codec_ceiling", help="path without suffix")
    return parser.parse_args(given)


def report_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every codec on every song, with both phases."""
    rows = []
    for spec in arguments.test or ["synthetic:8"]:
        test = ":".join(part.rpartition("/")[2] for part in spec.split(":"))
        for subject in subjects(arguments):
            for phase in ("codec", "mixture"):
                print(f"{test}: {subject.label}, {phase} …", flush=True)
                songs = {song.name: ceilings(subject.codec, song, phase) for song in opened(spec)}
                rows.append({"test": test, "codec": subject.label, "phase": phase, "songs": songs})
    return {
        "results": rows,
        "machine": machine_facts(),
        "versions": package_versions(("sepkit-latent-diffusion", "encodec")),
    }


def markdown(report: Mapping[str, Any]) -> str:
    """The report as a page: a table for each test set and stem."""
    results, lines = report["results"], ["# What codecs allow", ""]
    for test in dict.fromkeys(row["test"] for row in results):
        for stem in STEMS:
            lines += [f"## {test}, {stem}", "", f"| codec | phase | {' | '.join(SHOWN.values())} | songs |"]
            lines.append("|---|---|" + "---:|" * (len(SHOWN) + 1))
            for row in (row for row in results if row["test"] == test):
                cells = [_mean(row["songs"], stem, metric) for metric in SHOWN]
                lines.append(f"| {row['codec']} | {row['phase']} | {' | '.join(cells)} | {len(row['songs'])} |")
            lines.append("")
    lines += [
        "The true vocals, encoded and decoded; the accompaniment is what they leave of the mixture. Phase mixture: "
        "masks of both on the mixture. SDR is `sdr_mdx`, SIR and SAR are `musdb18`'s, in dB, and of mrstft less is "
        "better; means over songs, at the songs' own rate. Made by `python -m benchmarks.codec_ceiling`.",
        "",
    ]
    return "\n".join(lines)


def main(given: Sequence[str] | None = None) -> int:
    """Decode, score, print and write."""
    arguments = parsed(None if given is None else list(given))
    try:
        report = report_of(arguments)
    except SepkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.out.with_suffix(".json"), json.dumps(report, indent=2) + "\n")
    write_text(arguments.out.with_suffix(".md"), markdown(report))
    print(markdown(report))
    return 0


def _mean(songs: Mapping[str, Any], stem: str, metric: str) -> str:
    values = [found[stem][metric] for found in songs.values() if found.get(stem, {}).get(metric) is not None]
    return f"{fmean(values):.2f}" if values else "–"


if __name__ == "__main__":
    sys.exit(main())
