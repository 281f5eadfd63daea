"""Where the models run, as the settings say."""

from service.inference.base import Inference
from service.inference.local import LocalInference
from service.inference.remote.torchserve import TorchServeInference
from service.settings import Settings


def make_inference(settings: Settings) -> Inference:
    """Return the way to the models, not yet open; raises ConfigurationError."""
    if settings.workers:
        return TorchServeInference.from_settings(settings)
    return LocalInference.from_settings(settings)
