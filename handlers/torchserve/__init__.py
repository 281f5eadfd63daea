"""TorchServe's adaptors, model directories, starting and watching, and nothing else.

TorchServe is no longer maintained. It is pinned, reached by the service alone, and can be replaced
by another server of the same messages without touching what is outside this folder.
"""
