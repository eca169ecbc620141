"""Latent diffusion: a codec's frames of a stem, drawn by a U-Net that is told the mixture's frames."""
