"""What the README of an exported test says: how to serve it, and what to keep to oneself."""

from __future__ import annotations

from .manifest import Manifest
from .presets import PRESETS


def readme(manifest: Manifest) -> str:
    """Instructions for whoever runs the test, as Markdown; it names no method, since it may end up on the server."""
    preset = PRESETS[manifest.preset]
    minutes = len(manifest.pages) * len(manifest.pages[0].stimuli) * manifest.seconds * 2 / 60 + 2
    return f"""# Listening test `{manifest.name}`

{len(manifest.pages)} excerpts of {manifest.seconds:g} s, {len(manifest.pages[0].stimuli)} sounds each; about \
{minutes:.0f} minutes for a listener who hears every sound twice.

## Serve it

1. Get webMUSHRA (github.com/audiolabs/webMUSHRA). It needs a web server with PHP that may write into its folder
   `results/`.
2. Copy the folders `configs` and `wavs` of this test into webMUSHRA's own folder. **Leave `manifest.json` here**: it
   says which file is which.
3. For a trial on this machine: `php -S localhost:8000` in webMUSHRA's folder.
4. Give every listener the address `…/?config={manifest.name}.yaml` and a code of letters and digits of their own. The
   last page asks for the code; it tells the listeners apart.

Go through it once yourself before you invite others, and look whether the results arrive.

## Read the results

webMUSHRA appends every listener's answers to `results/{manifest.name}/{preset.results_file}`. With that file:

    sepkit listening-test read FOLDER {preset.results_file}

where FOLDER is the folder of this README.
"""
