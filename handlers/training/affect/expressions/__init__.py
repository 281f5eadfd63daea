"""Learning what faces express, from the votes of people on photographs."""
