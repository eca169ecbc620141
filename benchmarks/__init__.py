"""Programs that measure: `python -m benchmarks.run` scores every method, the others measure one thing each."""
