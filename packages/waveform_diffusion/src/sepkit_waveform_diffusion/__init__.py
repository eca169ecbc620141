"""Diffusion on waveforms: cold-diffusion DiffWave, and generation of a stem conditioned on the mixture."""
