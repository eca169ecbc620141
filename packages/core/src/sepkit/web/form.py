"""The page itself, in Gradio: a file or a recording, a method and its time, progress, players and the zip."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Any

import gradio
from starlette.concurrency import run_in_threadpool

from ..checkpoint import read_header
from ..errors import SepkitError
from ..registry import SeparatorSummary, list_separators
from .jobs import Jobs
from .limits import NoSuchJob, NotSound
from .wishes import read_wishes

POLL_SECONDS = 0.3
BUDGET = "time budget"
DRAWS = 4
CSS = """
.gradio-container { max-width: 72rem !important; margin: 0 auto !important; }
.told { min-height: 2.2rem; line-height: 1.4; } .told progress { width: 100%; height: .7rem; accent-color: #0b5cad; }
.told .bad { color: #b3261e; font-weight: 600; } .dark .told .bad { color: #ffb4ab; }
.stems-out iframe { width: 100%; height: 30rem; border: 0; display: block; }
.stems-out .links { display: flex; flex-wrap: wrap; gap: .6rem 1.4rem; align-items: center; margin: .2rem 0 .6rem; }
.stems-out a.zip { background: #0b5cad; color: #fff; padding: .5rem 1rem; border-radius: 6px; text-decoration: none; }
"""


LEAVING = """<script>
addEventListener("pagehide", () => {
  const session = document.querySelector("#session [data-session]");
  if (session) navigator.sendBeacon("page/closed/" + encodeURIComponent(session.dataset.session));
});
</script>"""  # closing the page deletes what was sent; without a word from it, that happens after a while


class Uploads:
    """What Gradio keeps of each session's files, so that it goes with the session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, set[Path]] = {}

    def take(self, given: str | None, session: str) -> Path:
        """The path of an uploaded file; raises NotSound where there is none."""
        if not given:
            raise NotSound("There is no sound yet: drop a file or record something first.")
        path = Path(given).resolve()
        if not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            raise NotSound("That file was not uploaded here, or is gone: drop it again.")
        self._known.setdefault(session, set()).add(path)
        return path

    def forget(self, session: str) -> None:
        """Delete a session's files, but for those that another session sent too: equal ones share a path."""
        shared = set().union(*(paths for other, paths in self._known.items() if other != session))
        for path in self._known.pop(session, set()) - shared:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
        for path in self.folder.glob("tmp*"):  # Gradio leaves an empty one for every file that it hands over
            if path.is_file() and path.stat().st_size == 0:
                path.unlink(missing_ok=True)


def page(jobs: Jobs, uploads: Uploads) -> Any:
    """The Gradio page over a queue of jobs."""
    methods = {one.name: one for one in list_separators() if one.error is None}
    first = "lightsaft" if "lightsaft" in methods else next(iter(methods), None)
    limits = jobs.limits
    with gradio.Blocks(title="sepkit", analytics_enabled=False) as blocks:
        gradio.Markdown(
            "# sepkit\nMusic in, stems out. "
            f"Up to {limits.max_megabytes:g} MB and {limits.max_minutes:g} minutes; everything is deleted when this "
            f"page is closed, and {limits.keep_minutes:g} minutes after it was last used."
        )
        with gradio.Row():
            with gradio.Column(), gradio.Tabs():
                with gradio.Tab("File"):
                    file = gradio.File(label="Sound file", elem_id="file", height=150)
                with gradio.Tab("Record"):
                    recorded = gradio.Audio(
                        sources=["microphone"], type="filepath", format="wav", label="Recording", elem_id="record"
                    )
            with gradio.Column():
                choices = [(_label(one), name) for name, one in methods.items()]
                model = gradio.Dropdown(choices, value=first, label="Method", elem_id="method")
                quality = gradio.Radio(["fast", "balanced", "best", BUDGET], value="balanced", label="Time and quality")
                budget = gradio.Number(60, label="Seconds for this file", minimum=1, precision=0, visible=False)
                draws = gradio.Checkbox(
                    False, visible=first is not None and _may_be_random(methods[first]), elem_id="draws",
                    label=f"Show where {DRAWS} random draws differ ({DRAWS} times the work)",
                )  # fmt: skip
                with gradio.Accordion("More", open=False):
                    kind = gradio.Dropdown(["wav", "flac", "mp3", "ogg", "opus"], value="wav", label="Format")
                    seed = gradio.Number(0, label="Seed of random methods", precision=0)
        with gradio.Row():
            start = gradio.Button("Separate", variant="primary", elem_id="start")
            cancel = gradio.Button("Cancel", elem_id="cancel")
        told = gradio.HTML(elem_classes="told", elem_id="told")
        result = gradio.HTML(elem_classes="stems-out", elem_id="result")
        session = gradio.HTML(elem_id="session")
        blocks.load(_own_session, None, session, api_visibility="private")
        file.upload(_keeper(uploads), file, None, api_visibility="private")
        recorded.stop_recording(_keeper(uploads), recorded, None, api_visibility="private")
        asked = [file, recorded, model, quality, budget, draws, kind, seed]
        quality.change(lambda one: gradio.update(visible=one == BUDGET), quality, budget, api_visibility="private")
        model.change(
            lambda one: gradio.update(visible=_may_be_random(methods[one]), value=False),
            model, draws, api_visibility="private",
        )  # fmt: skip
        start.click(
            _runner(jobs, uploads), asked, [told, result],
            concurrency_limit=None, show_progress="hidden", api_visibility="private",
        )  # fmt: skip
        cancel.click(_canceller(jobs), None, None, queue=False, api_visibility="private")
        blocks.unload(_forgetter(jobs, uploads))
    return blocks


def _label(one: SeparatorSummary) -> str:
    if not one.stems:
        return one.name
    untrained = "" if one.trained or one.trained is None else ", untrained"
    return f"{one.name}: {', '.join(one.stems)}{untrained}"


def _may_be_random(one: SeparatorSummary) -> bool:
    """Whether several draws of a method can differ; True where that is not known before it is loaded."""
    return one.config_path is None or read_header(one.config_path.parent).info.random


def _runner(jobs: Jobs, uploads: Uploads) -> Any:
    async def run(
        file: str | None, recorded: str | None, model: str, quality: str, budget: float, draws: bool, kind: str,
        seed: float, request: gradio.Request,
    ) -> AsyncIterator[tuple[str, str]]:  # fmt: skip
        session = str(request.session_hash)
        wishes = {
            "model": model,
            "quality": f"{int(budget or 60)}s" if quality == BUDGET else quality,
            "uncertainty": DRAWS if draws else None,
            "format": kind,
            "seed": int(seed or 0),
            "players": True,
        }
        yield _said("Looking at the file …"), ""
        try:
            path = uploads.take(file or recorded, session)
            name = path.name if file else "recording.wav"
            with path.open("rb") as stream:
                job = await run_in_threadpool(jobs.submit, stream, name, read_wishes(wishes), session=session)
            while not job.ended:
                yield _progress(jobs.status(job.id)), ""
                await asyncio.sleep(POLL_SECONDS)
            yield _ending(jobs.status(job.id))
        except NoSuchJob:  # the page was closed
            return
        except (SepkitError, OSError) as error:
            yield _said(str(error), bad=True), ""

    return run


def _canceller(jobs: Jobs) -> Any:
    def cancel(request: gradio.Request) -> None:
        jobs.cancel_session(str(request.session_hash))

    return cancel


def _own_session(request: gradio.Request) -> str:
    return f'<span data-session="{escape(str(request.session_hash))}"></span>'


def _keeper(uploads: Uploads) -> Any:
    def keep(path: str | None, request: gradio.Request) -> None:
        with contextlib.suppress(NotSound):  # told when the separation starts
            uploads.take(path, str(request.session_hash))

    return keep


def forget(jobs: Jobs, uploads: Uploads, session: str) -> None:
    """Delete all there is of a session, and stop what it has running."""
    jobs.forget_session(session)
    uploads.forget(session)


def _forgetter(jobs: Jobs, uploads: Uploads) -> Any:
    def unloaded(request: gradio.Request) -> None:
        forget(jobs, uploads, str(request.session_hash))

    return unloaded


def _said(text: str, *, bad: bool = False) -> str:
    return f'<div role="{"alert" if bad else "status"}"{" class=bad" if bad else ""}>{escape(text)}</div>'


def _progress(status: dict[str, Any]) -> str:
    if status["state"] == "waiting":
        ahead = status["ahead"]
        text = f"Waiting: {ahead} ahead of this one." if ahead else "Waiting …"
        return _said(text) + "<progress></progress>"
    done, whole = status["done_seconds"], status["audio_seconds"]
    part = f"{100 * done / whole:.0f} % of {_clock(whole)}" if status["doing"] == "separating" else status["doing"]
    value = f' value="{done / whole:.3f}"' if status["doing"] == "separating" and done else ""
    return _said(f"Working: {part} ({_clock(status['seconds'])} so far)") + f"<progress{value}></progress>"


def _ending(status: dict[str, Any]) -> tuple[str, str]:
    if status["state"] == "failed":
        return _said(status["error"], bad=True), ""
    if status["state"] == "cancelled":
        return _said("Cancelled; nothing was kept."), ""
    clipped = "".join(f" {count} samples of {stem} were clipped." for stem, count in status["clipped_samples"].items())
    job = f"api/jobs/{status['job']}"
    return _said(f"Done in {_clock(status['seconds'])}.{clipped}"), (
        f'<div class="links"><a class="zip" href="{job}/result.zip" download>Download all stems (zip)</a>'
        f'<a href="{job}/players" target="_blank">Players on a page of their own</a></div>'
        f'<iframe src="{job}/players" title="players of the stems"></iframe>'
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
