"""Training of the networks: data, losses, recipes."""
