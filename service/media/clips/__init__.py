"""Clips: a file of pictures and sound, read by a bounded child process (`process.open_clip`)."""
