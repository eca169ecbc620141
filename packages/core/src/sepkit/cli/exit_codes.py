"""The exit codes of every `sepkit` command."""

from __future__ import annotations

OK = 0
FAILED = 1
"""The command ran, and something it worked on failed: a file, a plugin, a conformance case."""
USAGE = 2
"""Nothing was started: a wrong option, an unknown method, weights or a device that cannot be used."""
INTERRUPTED = 130
TERMINATED = 143
