"""Evaluation of single-picture alignment: its figures, tables and report."""
