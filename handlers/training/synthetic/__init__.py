"""Made videos: still faces that move, speak, get dark and covered, with exact landmarks."""
