"""Tracking of faces: its route, its interface, its session and its replies."""
