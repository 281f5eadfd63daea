"""One module an address: what it takes, whom it asks, what it answers."""
