"""A server of `sepkit serve` as Python sees it: check, send, watch, fetch and forget, with the standard library."""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from .. import errors
from ..errors import OptionError, SepkitError
from . import limits
from .limits import Limits, TooLarge
from .wishes import Wishes

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 60.0
LOADING_SECONDS = 600.0  # a method may be loaded, or downloaded, before the first answer


class ServerError(SepkitError, ConnectionError):
    """A server that cannot be reached, or that answers nothing sensible."""


class RemoteServer:
    """A server by its address, `http://host:7860`; methods raise ServerError, or what the server itself raised."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OptionError(f"--server {url!r} is no address; write for example --server http://localhost:7860.")
        try:
            self._port = parts.port
        except ValueError as error:
            raise OptionError(f"--server {url!r}: {error}.") from error
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._host, self._path, self._secure = parts.hostname, parts.path.rstrip("/"), parts.scheme == "https"

    def methods(self) -> dict[str, Any]:
        """The server's version, limits and methods."""
        return self._asked("GET", "/api/methods")

    def check(self, wishes: Wishes) -> dict[str, Any]:
        """What these settings would write (`stems`), the method's `info` and the server's `limits`."""
        return self._asked("POST", "/api/check", wishes.model_dump(mode="json"), timeout_seconds=LOADING_SECONDS)

    def submit(self, path: Path, wishes: Wishes, bounds: Limits) -> str:
        """Send a file and return its job's id; raises TooLarge, before anything is sent, for one above `bounds`."""
        size = path.stat().st_size
        if size > bounds.max_bytes:
            raise TooLarge(f"{path} has {size / 1e6:.0f} MB, and {self.url} takes at most {bounds.max_megabytes:g}.")
        border = secrets.token_hex(16)
        settings = json.dumps(wishes.model_dump(mode="json"))
        name = path.name.replace("\\", "_").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = (
            f'--{border}\r\nContent-Disposition: form-data; name="settings"\r\n\r\n{settings}\r\n'
            f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{border}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={border}",
            "Content-Length": str(len(head) + size + len(tail)),
        }
        with path.open("rb") as file:
            answer = self._answer("POST", "/api/separate", _body(head, file, size, tail), headers, LOADING_SECONDS)
        return str(answer["job"])

    def status(self, job: str) -> dict[str, Any]:
        """How far a job is."""
        return self._asked("GET", f"/api/jobs/{quote(job)}")

    def fetch(self, job: str, path: Path) -> None:
        """Write a job's zip to `path`."""
        connection = self._connect(TIMEOUT_SECONDS)
        try:
            response = self._exchange(connection, "GET", f"/api/jobs/{quote(job)}/result.zip", None, {})
            if response.status != 200:
                raise self._error(response.status, response.read())
            with path.open("wb") as file:
                shutil.copyfileobj(response, file, CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, SepkitError):
                raise
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def forget(self, job: str) -> None:
        """Stop a job and have everything about it deleted."""
        self._asked("DELETE", f"/api/jobs/{quote(job)}")

    def _asked(
        self, verb: str, path: str, value: Any = None, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        body = None if value is None else json.dumps(value).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self._answer(verb, path, body, headers, timeout_seconds)

    def _answer(
        self, verb: str, path: str, body: Any, headers: dict[str, str], timeout_seconds: float
    ) -> dict[str, Any]:
        connection = self._connect(timeout_seconds)
        try:
            response = self._exchange(connection, verb, path, body, headers)
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise self._error(response.status, content)
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ServerError(f"{self.url} is no server of sepkit: its answer to {path} is no JSON object.")
        return answer

    def _exchange(
        self, connection: http.client.HTTPConnection, verb: str, path: str, body: Any, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection.connect()
        with suppress(BrokenPipeError, ConnectionResetError):  # who refuses may answer early, and then not listen
            connection.request(verb, f"{self._path}{path}", body=body, headers=headers)
        return connection.getresponse()

    def _connect(self, timeout_seconds: float) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_seconds, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout_seconds)

    def _unreachable(self, error: Exception) -> ServerError:
        if isinstance(error, TimeoutError | socket.timeout):
            return ServerError(f"{self.url} does not answer. Is it busy? Try again, or separate without --server.")
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ServerError(f"{self.url} cannot be reached ({reason}). Is sepkit serve running there?")

    def _error(self, status: int, content: bytes) -> SepkitError:
        """The server's own error, of the class that it had there."""
        try:
            told = json.loads(content)
            message, name = str(told["error"]), str(told.get("kind", ""))
        except (ValueError, TypeError, LookupError):
            return ServerError(f"{self.url} answered with HTTP status {status}: is that the address of a sepkit serve?")
        kind = getattr(errors, name, None) or getattr(limits, name, None)
        if not (isinstance(kind, type) and issubclass(kind, SepkitError)) or kind is errors.MissingExtraError:
            return ServerError(f"{self.url}: {message}")
        return kind(f"{self.url}: {message}")


def _body(head: bytes, file: IO[bytes], size: int, tail: bytes) -> Iterator[bytes]:
    """The form around a file, which must not change its size meanwhile."""
    yield head
    left = size
    while left and (chunk := file.read(min(left, CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk
    if left:
        raise ServerError("The file became shorter while it was being sent.")
    yield tail
