"""The server behind `sepkit serve`: page and API on one port, and nothing left when it stops."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from ..errors import MissingExtraError, OptionError
from .gate import LOOPBACK, Gate
from .jobs import Jobs
from .limits import Limits

BACKLOG = 64
STARTING_SECONDS = 30.0


def build_app(jobs: Jobs, *, loopback: bool = True, page: bool = True) -> Gate:
    """The whole as an ASGI application; without `page` the API alone, which needs FastAPI and no Gradio."""
    from fastapi import FastAPI

    from .api import answer_errors, api

    app = FastAPI(title="sepkit", docs_url=None, redoc_url=None, openapi_url=None)  # those pages load from elsewhere
    app.include_router(api(jobs))
    answer_errors(app)
    if page:
        _mount_page(app, jobs)
    return Gate(app, jobs.limits, loopback=loopback)


def _mount_page(app: Any, jobs: Jobs) -> None:
    jobs.uploads.mkdir()
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(jobs.uploads)  # read when the page is mounted
    try:
        import gradio

        from .form import CSS, LEAVING, Uploads, forget, page

        kept = Uploads(jobs.uploads)

        @app.post("/page/closed/{session}")  # type: ignore[untyped-decorator]  # `app` is Any: FastAPI may be missing
        def closed(session: str) -> dict[str, str]:
            forget(jobs, kept, session)
            return {"state": "deleted"}

        blocks = page(jobs, kept)
        blocks.queue(default_concurrency_limit=None)
        theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
        gradio.mount_gradio_app(
            app, blocks, path="/", footer_links=[], run_history=False, allowed_paths=[], ssr_mode=False,
            max_file_size=jobs.limits.max_bytes, theme=theme, css=CSS, head=LEAVING, enable_monitoring=False, pwa=False,
        )  # fmt: skip
    finally:
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before


class Server:
    """A server on `host` and `port` (0: any that is free), bound on entering; `serve()` runs it until it is stopped.

    Raises MissingExtraError without the extra `web`, and OptionError for an address that cannot be had.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        device: str = "auto",
        page: bool = True,
    ) -> None:
        for package in ("fastapi", "uvicorn", *(("gradio",) if page else ())):
            if find_spec(package) is None:
                raise MissingExtraError(package, "web", "sepkit serve")
        self.loopback = host in LOOPBACK
        self._socket = _bound(host, port)
        self.port = int(self._socket.getsockname()[1])
        named = f"[{host}]" if ":" in host else host
        self.url = f"http://{named}:{self.port}"
        self.jobs = Jobs(limits, device=device)
        self._page = page
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def serve(self, ready: Callable[[], None] | None = None) -> None:
        """Answer until Ctrl-C, SIGTERM or `close()`; `ready` is called before the first request is answered."""
        import uvicorn

        try:
            app = build_app(self.jobs, loopback=self.loopback, page=self._page)
            config = uvicorn.Config(
                app, log_level="warning", timeout_graceful_shutdown=2, server_header=False, access_log=False
            )
            self._server = uvicorn.Server(config)
            if ready is not None:
                ready()
            self._server.run(sockets=[self._socket])
        finally:
            self.jobs.close()
            self._socket.close()

    def __enter__(self) -> Server:
        """Serve from a thread of its own, as tests and notebooks do; returns once requests are answered."""
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        end = time.monotonic() + STARTING_SECONDS
        while not getattr(self._server, "started", False):
            if not self._thread.is_alive() or time.monotonic() > end:
                raise RuntimeError("the server did not start")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering and delete everything."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=15)
        self.jobs.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OptionError(
            f"cannot listen on {host} port {port} ({reason}): choose another --port or --host."
        ) from error
