"""Half a minute of mixed load on a real deployment leaves nothing behind; see soak.py for more."""

import asyncio
from dataclasses import asdict
from importlib.util import find_spec

import pytest

from tests.serving.soak import Look, grown, soak

SECONDS = 30.0


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ts") is None, reason="needs the extra torchserve")
async def test_half_a_minute_of_mixed_load_grows_nothing(deployment):
    await asyncio.to_thread(deployment.mend)
    looks = await soak(deployment, SECONDS)
    assert grown(looks) == []


def test_growth_of_any_kind_is_seen():
    still = Look(0.0, 100.0, 500.0, 80, 5, 40)
    assert grown([still] * 4) == []
    for change in (
        {"service_mb": 130.0},
        {"models_mb": 600.0},
        {"descriptors": 100},
        {"processes": 8},
        {"keys": 41},
    ):
        more = Look(**{**asdict(still), **change})
        assert len(grown([still, still, more, more])) == 1
