"""Landmarks of one picture: its route, its interface and its boxes."""
