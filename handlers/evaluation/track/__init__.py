"""Evaluation of the tracker over clips: its figures, tables and report."""
