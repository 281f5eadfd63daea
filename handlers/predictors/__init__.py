"""Predictors join networks and processing; handlers serve them and evaluation measures them."""
