"""Networks of the thesis: tensors in, tensors out; they know nothing of images or files."""
