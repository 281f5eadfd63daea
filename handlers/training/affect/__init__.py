"""Learning of affect: latent networks on single faces and spectrograms, then sequences."""
