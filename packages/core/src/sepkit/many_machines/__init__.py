"""Work spread over the cores of one machine, or over many machines, by Ray: `--engine ray`."""
