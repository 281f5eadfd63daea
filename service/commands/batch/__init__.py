"""Many files by one command: sources, results, progress and the pool."""
