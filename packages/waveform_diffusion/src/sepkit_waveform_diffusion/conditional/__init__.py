"""Mixture-conditioned waveform diffusion (arXiv 2511.21342): a generator told what to look for in the mixture."""
