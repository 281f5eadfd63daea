"""Valence and arousal: the routes for clips and live sessions, and their replies."""
