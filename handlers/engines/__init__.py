"""Engines that compute the networks: torch on GPUs and in training, ONNX Runtime on processors."""
