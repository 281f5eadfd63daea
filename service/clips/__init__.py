"""Clips: streams that are here already, received, read, asked about and answered chunk by chunk."""
