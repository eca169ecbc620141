"""A test as webMUSHRA's configuration: which pages a listener goes through, in webMUSHRA's own words.

Keys and page types are those of `doc/experimenter.md` of github.com/audiolabs/webMUSHRA, read together with its page
classes (commit d995452): a likert page without `response` only plays and stores nothing; conditions are
shuffled for each listener; a mushra page adds the hidden reference itself and calls it `reference`.
"""

from __future__ import annotations

from html import escape
from typing import Any

from ...errors import MissingExtraError
from .manifest import Manifest, Page
from .presets import PRESETS, Preset

HIDDEN_REFERENCE = "reference"
"""The name under which webMUSHRA reports the hidden reference of its own mushra pages."""
RATER_FIELD = "rater"
"""The field of the questionnaire that tells listeners apart: lms.csv has no other."""

Config = dict[str, Any]


def config_text(manifest: Manifest) -> str:
    """The configuration as YAML without folded lines, which webMUSHRA's parser need not understand."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyyaml", "eval", "Writing a configuration of webMUSHRA") from error
    return yaml.safe_dump(config(manifest), sort_keys=False, allow_unicode=True, width=2**20)


def config(manifest: Manifest) -> Config:
    """The configuration: volume, training, the excerpts in random order, and a last page that sends the results."""
    preset = PRESETS[manifest.preset]
    return {
        "testname": f"Listening test: {manifest.stem}",
        "testId": manifest.name,
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": False,
        "remoteService": "service/write.php",
        "pages": [
            _welcome(manifest, preset),
            _volume(manifest),
            *_training(manifest, preset),
            ["random", *(_test_page(page, manifest.stem, preset) for page in manifest.pages)],
            _finish(),
        ],
    }


def _welcome(manifest: Manifest, preset: Preset) -> Config:
    stem = escape(manifest.stem)
    if preset.page_type == "mushra":
        task = (
            "On each page, play the reference and every condition as often as you like, and move the slider of each "
            "condition to say how good it is compared with the reference. One of the conditions is the reference "
            "itself: it should get 100."
        )
    else:
        task = (
            f"On each page, play every sound to its end, then rate how well it gives the {stem} of the song and "
            f"nothing else. {_ends(preset, stem)}"
        )
    return {
        "type": "generic",
        "id": "welcome",
        "name": "Welcome",
        "content": f"<p>You will hear {len(manifest.pages)} short pieces of songs, each in several versions. The "
        f"versions come in random order and are not named.</p><p>{task}</p><p>Use headphones in a quiet room.</p>",
    }


def _volume(manifest: Manifest) -> Config:
    return {
        "type": "volume",
        "id": "volume",
        "name": "Volume",
        "content": "Play the tone bursts. Set a volume at which they are clear and comfortable, then leave it there.",
        "stimulus": manifest.tone_burst,
        "defaultVolume": 0.5,
    }


def _training(manifest: Manifest, preset: Preset) -> list[Config]:
    """Training: what the task is about, the right answer and a poor one; nothing of it counts."""
    stem, page = escape(manifest.stem), manifest.training
    if preset.page_type == "mushra":
        content = (
            f"This page is for practice and does not count. The reference is the true {stem} of a song. Of the named "
            "conditions, one is the reference itself, which is worth 100; hear what the others lack."
        )
        return [_mushra(page, "Training", content) | {"id": page.id, "showConditionNames": True, "randomize": False}]
    words = {
        "mixture": ("the song", f"The song as it is. Listen for its {stem}."),
        "reference": (f"the true {stem}", f"The true {stem} of this song: worth {preset.highest}."),
        "poor_example": ("a poor example", f"A poor separation of the {stem}: worth {preset.lowest}."),
    }
    return [
        {
            "type": "likert_multi_stimulus",
            "id": f"{page.id}-{number}",
            "name": f"Training {number} of {len(words)}: {words[role][0]}",
            "content": words[role][1],
            "mustRate": False,
            "stimuli": {stimulus.key: stimulus.file},
        }
        for number, role in enumerate(words, start=1)
        for stimulus in page.stimuli
        if stimulus.role == role
    ]


def _test_page(page: Page, stem: str, preset: Preset) -> Config:
    if preset.page_type == "mushra":
        content = (
            f"The reference is the true {escape(stem)} of this song. How good is each condition, compared with it?"
        )
        return _mushra(page, "Rate every condition", content)
    return {
        "type": "likert_multi_stimulus",
        "id": page.id,
        "name": "Rate every sound",
        "content": f"How well does each sound give the {escape(stem)} of this song and nothing else? "
        + _ends(preset, escape(stem)),
        "mustRate": True,
        "mustPlayback": "ended",
        "stimuli": {stimulus.key: stimulus.file for stimulus in page.stimuli},
        "response": [{"value": str(n), "label": str(n)} for n in range(preset.lowest, preset.highest + 1)],
    }


def _mushra(page: Page, name: str, content: str) -> Config:
    return {
        "type": "mushra",
        "id": page.id,
        "name": name,
        "content": content,
        "showWaveform": True,
        "enableLooping": True,
        "strict": True,
        "switchBack": False,
        "randomize": True,
        "reference": page.reference.file,
        "createAnchor35": False,  # ours are files, matched in loudness
        "createAnchor70": False,
        "stimuli": {stimulus.key: stimulus.file for stimulus in page.stimuli if stimulus.role != "reference"},
    }


def _finish() -> Config:
    return {
        "type": "finish",
        "name": "Thank you",
        "content": "Please enter the code that you were given (or any word of letters and digits that nobody else will "
        "take), and send your answers.",
        "popupContent": "Your answers were sent. Thank you.",
        "showResults": False,
        "showErrors": True,
        "writeResults": True,
        "questionnaire": [{"type": "text", "label": "Code", "name": RATER_FIELD}],
    }


def _ends(preset: Preset, stem: str) -> str:
    low, high = (words.format(stem=stem) for words in preset.ends or ("", ""))
    return f"{preset.lowest} means: {low}. {preset.highest} means: {high}."
