"""Prediction of valence and arousal, one window after another."""
