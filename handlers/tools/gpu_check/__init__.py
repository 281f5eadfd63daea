"""What a GPU makes of the networks, in ten minutes: is it right, how fast is it, does it heal."""
