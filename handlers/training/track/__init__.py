"""Learning of the tracker: its box tracker and its face validator."""
