"""The file that TorchServe loads: it wants one for every model, with one class in it."""

from handlers.torchserve.adaptor import Adaptor


class Model(Adaptor):
    """The model whose name the directory bears."""
