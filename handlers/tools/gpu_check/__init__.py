"""A check of the networks on a GPU in ten minutes: correctness, speed, recovery from faults."""
