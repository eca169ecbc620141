"""The HTTP API: jobs by addresses under /api, JSON and multipart, as docs/web.md describes them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from .. import __version__
from ..errors import OptionError, SepkitError
from ..registry import list_separators
from .jobs import Jobs
from .limits import Refusal
from .results import PLAYERS, ZIP
from .wishes import Wishes, read_wishes

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def api(jobs: Jobs) -> APIRouter:
    """The addresses of one queue of jobs."""
    router = APIRouter()
    _add_questions(router, jobs)
    _add_jobs(router, jobs)
    return router


def _add_questions(router: APIRouter, jobs: Jobs) -> None:
    @router.get("/api/methods")
    def methods() -> JSONResponse:
        """Every method and the server's limits."""
        found = [one.model_dump(exclude={"config_path"}) for one in list_separators()]
        return _json({"version": __version__, "limits": jobs.limits.model_dump(), "methods": found})

    @router.post("/api/check")
    async def check(request: Request) -> JSONResponse:
        """Whether settings can be used, and what they would write, before a file is sent."""
        wishes = read_wishes(_parsed(await request.body()))
        separator, stems = await _aside(jobs.check, wishes)
        return _json({"stems": stems, "info": separator.info.model_dump(), "limits": jobs.limits.model_dump()})


def _add_jobs(router: APIRouter, jobs: Jobs) -> None:
    @router.post("/api/separate")
    def separate(file: UploadFile, settings: Annotated[str, Form()] = "{}") -> JSONResponse:
        """Take a file into the queue."""
        job = jobs.submit(file.file, file.filename, read_wishes(_parsed(settings)))
        return _json(jobs.status(job.id), 202)

    @router.get("/api/jobs/{key}")
    def status(key: str) -> JSONResponse:
        """How far a job is."""
        return _json(jobs.status(key))

    @router.get("/api/jobs/{key}/result.zip")
    def result(key: str) -> Response:
        """The stems and their record."""
        name = f"{jobs.get(key).source.stem} stems.zip"
        return FileResponse(jobs.file(key, ZIP), media_type="application/zip", filename=name, headers=HEADERS)

    @router.get("/api/jobs/{key}/players")
    def players(key: str) -> Response:
        """The page that plays the stems."""
        return FileResponse(jobs.file(key, PLAYERS), media_type="text/html", headers=HEADERS)

    @router.post("/api/jobs/{key}/cancel")
    def cancel(key: str) -> JSONResponse:
        """Stop a job, which can still be asked for."""
        return _json(jobs.status(jobs.cancel(key).id))

    @router.delete("/api/jobs/{key}")
    def forget(key: str) -> JSONResponse:
        """Stop a job and delete all there is of it."""
        jobs.forget(key)
        return _json({"job": key, "state": "deleted"})


def answer_errors(app: FastAPI) -> None:
    """Every error of ours as JSON: its message, and the class that the client raises again."""

    @app.exception_handler(SepkitError)
    async def told(request: Request, error: Exception) -> JSONResponse:
        status = error.status if isinstance(error, Refusal) else 400
        return _json({"error": str(error), "kind": type(error).__name__}, status)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        text = f"{place}: {first['msg']}. POST /api/separate wants multipart/form-data with a file named 'file'."
        return _json({"error": text, "kind": "OptionError"}, 400)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return _json({"error": str(error.detail), "kind": "Refusal"}, error.status_code)


def _json(value: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(value, status, headers=HEADERS)


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise OptionError(f"The settings are no JSON: {error}.") from error


async def _aside(work: Callable[[Wishes], Any], wishes: Wishes) -> Any:
    """Work that takes long, in a thread of its own."""
    from starlette.concurrency import run_in_threadpool

    waiting: Awaitable[Any] = run_in_threadpool(work, wishes)
    return await waiting
