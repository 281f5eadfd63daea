"""Readers of valence and arousal: official layouts of public sets, and weak labels of words."""
