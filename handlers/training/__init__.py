"""How the networks learn: data, losses, recipes."""
