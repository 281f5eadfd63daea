"""How the service reaches the models: one protocol, the wire, and the ways behind them."""

from service.inference.base import Answer, Batch, Inference, Load, Question, Readiness

__all__ = ["Answer", "Batch", "Inference", "Load", "Question", "Readiness"]
