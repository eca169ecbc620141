"""The door to sound files: open one for reading or writing by blocks, and ask beforehand what a format can hold."""

from __future__ import annotations

from .formats import FORMATS, Bits, FileFormat, check_writable, file_format, format_of
from .readers import Reader, open_reader
from .writers import ClippingWarning, Writer, open_writer

__all__ = [
    "FORMATS",
    "Bits",
    "ClippingWarning",
    "FileFormat",
    "Reader",
    "Writer",
    "check_writable",
    "file_format",
    "format_of",
    "open_reader",
    "open_writer",
]
