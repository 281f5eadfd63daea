"""Clips made of still faces and acted utterances, with exact labels."""
