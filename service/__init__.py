"""The HTTP side: limits, keys, settings and routes in front of the models; knows no torch."""
