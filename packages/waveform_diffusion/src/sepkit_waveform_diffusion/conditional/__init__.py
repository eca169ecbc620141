"""Mixture-conditioned waveform diffusion (arXiv 2511.21342): a generator that is shown what to look for in the mixture."""
