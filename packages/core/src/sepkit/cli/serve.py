"""`sepkit serve`: the page in the browser, and the API that `sepkit separate --server` uses."""

from __future__ import annotations

import signal
import webbrowser
from typing import Annotated

import typer

from .pool import leave
from .terminal import print_note, show_warning, stdout

app = typer.Typer(help="A web page that separates, and its HTTP API.")


@app.command("serve")
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is every one of this machine.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 7860,
    max_megabytes: Annotated[float, typer.Option(help="The largest file.")] = 200.0,
    max_minutes: Annotated[float, typer.Option(help="The longest file.")] = 15.0,
    max_waiting: Annotated[int, typer.Option(min=1, help="Separations in the queue, with the one at work.")] = 20,
    keep_minutes: Annotated[
        float, typer.Option(help="Results are deleted so long after they were last asked for.")
    ] = 30.0,
    device: Annotated[str, typer.Option("-d", "--device", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    api_only: Annotated[bool, typer.Option("--api-only", help="No page, only the API.")] = False,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve a page to separate music in the browser; Ctrl-C stops it and deletes everything that was sent to it."""
    from ..config import validated
    from ..devices import choose_device
    from ..web.limits import Limits
    from ..web.server import Server

    limits = {
        "max_megabytes": max_megabytes, "max_minutes": max_minutes,
        "max_waiting": max_waiting, "keep_minutes": keep_minutes,
    }  # fmt: skip
    choose_device(device, movable=True)  # a wrong one is told now and not with the first file
    server = Server(validated(Limits, limits, "sepkit serve"), host=host, port=port, device=device, page=not api_only)
    if not server.loopback:
        show_warning(
            f"listening on {host}: whoever can reach this machine can use it, without a password, and what is sent "
            "is not encrypted. Put a proxy with both in front of it, or leave --host out."
        )

    def ready() -> None:
        stdout().print(server.url, soft_wrap=True, markup=False)
        print_note("Ctrl-C stops the server; nothing is kept.")
        if browser and not api_only:
            webbrowser.open(server.url)

    before = signal.signal(signal.SIGTERM, leave)  # being terminated cleans up too
    try:
        server.serve(ready)
    except KeyboardInterrupt:
        print_note("Stopped; everything that was sent is deleted.")
    finally:
        signal.signal(signal.SIGTERM, before)
