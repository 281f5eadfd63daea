"""Readers that turn the published layouts of face data sets into plain records."""
