"""From result files to a result: read, screened, computed and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...partial_files import refuse_existing, replacing
from .answers import read_answers
from .manifest import read_manifest
from .outcome import Outcome, outcome_of
from .outcome_chart import chart
from .outcome_tables import markdown
from .screening import screen


def read_results(folder: Path, files: Sequence[Path]) -> Outcome:
    """What the listeners of the test in `folder` said, from webMUSHRA's result files.

    Raises what `read_manifest` and `read_answers` raise.
    """
    manifest = read_manifest(folder)
    answers = read_answers(files, manifest)
    return outcome_of(screen(answers, manifest), manifest, answers.notes)


def write_outcome(outcome: Outcome, out: Path, *, overwrite: bool = False) -> dict[str, Path]:
    """Write outcome.json, outcome.md and outcome.svg into `out`; raises OutputExistsError for names that are taken."""
    texts = {
        "outcome.json": outcome.model_dump_json(indent=2) + "\n",
        "outcome.md": markdown(outcome),
        "outcome.svg": chart(outcome),
    }
    for name in texts:
        refuse_existing(out / name, overwrite)
    for name, text in texts.items():
        with replacing(out / name, overwrite=overwrite) as path:
            path.write_text(text, encoding="utf-8")
    return {name: out / name for name in texts}
