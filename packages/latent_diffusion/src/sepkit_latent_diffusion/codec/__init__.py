"""The package's own codec, and the way to any codec that a network may live in."""
