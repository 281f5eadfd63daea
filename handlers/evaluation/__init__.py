"""Evaluation of the very predictors that are served, over annotated data, and its reports."""
