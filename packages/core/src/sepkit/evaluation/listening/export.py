"""Write a test: the anonymous sounds, webMUSHRA's configuration, the key to them, and how to serve it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ... import __version__
from ...errors import OptionError, OutputExistsError
from .manifest import FILE, Manifest
from .material import Material, find_material
from .page_writer import PageWriter
from .passages import choose_passages
from .presets import PRESETS, Preset
from .serving import readme
from .settings import ExportSettings, anchors_of
from .webmushra import config_text

STUDIO_RATES = (44_100, 48_000)
WRITTEN = {FILE, "README.md", "configs", "wavs"}
MOST_CONDITIONS = 12  # more are refused by webMUSHRA's check for BS.1534, and by listeners


def export(run: Path, out: Path, settings: ExportSettings, *, overwrite: bool = False) -> Manifest:
    """Write the stems of the run in the folder `run` as a listening test into `out`, and return its key.

    The result depends on the run and the settings only, byte for byte. Raises what `find_material` and
    `choose_passages` raise, OptionError for too many conditions, OutputExistsError for a folder that is not empty.
    """
    preset = PRESETS[settings.preset]
    material = find_material(run, settings.stem, settings.methods, settings.tracks)
    seconds = settings.seconds or preset.seconds
    passages, training = choose_passages(material.tracks, settings.excerpts or preset.excerpts, seconds, settings.seed)
    _refuse_too_many(material, preset, settings)
    with _new_folder(out, overwrite) as folder:
        writer = PageWriter(folder, preset, settings, _rate(material))
        pages = tuple(writer.page(f"e{number}", passage, material) for number, passage in enumerate(passages, start=1))
        training_page = writer.training_page(training)
        tone_burst, tone_burst_lufs = writer.burst(pages)
        manifest = Manifest(
            name=writer.name,
            preset=preset.name,
            stem=settings.stem,
            methods=material.methods,
            seed=settings.seed,
            seconds=seconds,
            sample_rate=writer.sample_rate,
            bits=settings.bits,
            pages=pages,
            training=training_page,
            notes=material.notes,
            written_by=f"sepkit {__version__}",
            tone_burst=tone_burst,
            tone_burst_lufs=tone_burst_lufs,
        )
        manifest.write(folder)
        (folder / "configs").mkdir()
        (folder / "configs" / f"{manifest.name}.yaml").write_text(config_text(manifest), encoding="utf-8")
        (folder / "README.md").write_text(readme(manifest), encoding="utf-8")
    return manifest


def _rate(material: Material) -> int:
    """One rate for all pages: the tracks' own if it is a studio rate that all share, else 44.1 kHz."""
    rates = {track.sample_rate for track in material.tracks}
    return next((rate for rate in STUDIO_RATES if rates == {rate}), STUDIO_RATES[0])


def _refuse_too_many(material: Material, preset: Preset, settings: ExportSettings) -> None:
    count = len(material.methods) + len(anchors_of(preset, settings))
    if count > MOST_CONDITIONS:
        raise OptionError(
            f"{len(material.methods)} methods and {count - len(material.methods)} anchors on one page were asked for: "
            f"at most {MOST_CONDITIONS} are wanted; name fewer with --methods."
        )


@contextmanager
def _new_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """A hidden folder that becomes `out` when all of it is written."""
    there = {path.name for path in out.iterdir()} if out.is_dir() else {out.name} if out.exists() else set()
    if there and not overwrite:
        raise OutputExistsError(f"{out} is already there: pass --overwrite, or choose another folder.")
    if there - WRITTEN:
        raise OutputExistsError(
            f"{out} holds more than an exported test ({', '.join(sorted(there - WRITTEN))}), which would be lost: "
            "choose another folder."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if out.is_dir():
            shutil.rmtree(out)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
