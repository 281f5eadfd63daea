"""Learning of landmarks and of denoising on single pictures."""
