"""The parts of recipes that tests share: networks that are tiny, learnt in no time."""

SINGLE = """
size = "tiny"
[schedule]
steps = 2
batch = 4
rate = 1e-3
seed = 1
warmup = 1
precision = "32-true"
"""
