"""Where sessions live between two steps: one protocol, and Redis or this process's memory."""

from service.sessions.base import (
    Address,
    Outcome,
    Session,
    SessionStore,
    StoreUnavailable,
    new_epoch,
)

__all__ = ["Address", "Outcome", "Session", "SessionStore", "StoreUnavailable", "new_epoch"]
