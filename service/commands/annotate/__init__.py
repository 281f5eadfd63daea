"""`countenance annotate`: many videos by many workers."""
