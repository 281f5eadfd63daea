"""Image and geometry processing on NumPy arrays; no networks, no files."""
