"""Tracking of faces from frame to frame, as a function of input and state."""
