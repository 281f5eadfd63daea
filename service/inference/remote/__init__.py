"""Inference by workers elsewhere: the client of TorchServe."""
