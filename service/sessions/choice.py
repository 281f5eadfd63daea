"""Settings into the session store that they name."""

from service.sessions.base import SessionStore
from service.sessions.measured import MeasuredStore
from service.sessions.memory import MemoryStore
from service.sessions.redis import RedisStore
from service.settings import Settings
from service.telemetry.metrics import Metrics


def make_store(settings: Settings, metrics: Metrics) -> SessionStore:
    """Return the store, connected to nothing yet; raises ConfigurationError for a wrong address."""
    ttl_s, most = settings.session_ttl_s, settings.max_session_bytes
    if settings.redis_url is None:
        return MeasuredStore(MemoryStore(ttl_s, settings.max_sessions, most), metrics)
    store = RedisStore(settings.redis_url, ttl_s, most, settings.store_timeout_s)
    return MeasuredStore(store, metrics)
