"""How the service reaches the models: one protocol, the wire, and the ways behind them."""

from service.inference.base import Answer, Batch, Inference, Question, Readiness

__all__ = ["Answer", "Batch", "Inference", "Question", "Readiness"]
