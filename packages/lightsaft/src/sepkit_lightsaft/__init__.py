"""LightSAFT-Net and LaSAFT-Net: one spectrogram network conditioned on the stem that is asked for."""
