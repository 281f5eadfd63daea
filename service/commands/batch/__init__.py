"""Many files by one command: sources, results, progress and processes."""
