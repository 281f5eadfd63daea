"""Recorded clips with labels, cut, looked at and kept for training."""
