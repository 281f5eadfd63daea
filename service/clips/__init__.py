"""Affect of whole clips: a stream that is already here, by the same steps as a live one."""
