"""`python -m sepkit`: the same as the `sepkit` command."""

from __future__ import annotations

import sys

from .cli.main import main

if __name__ == "__main__":  # worker processes import this module too
    sys.exit(main())
