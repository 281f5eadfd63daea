"""A real Prometheus reads both sides with compose's own file, and every panel shows something.

Debian calls it `prometheus`, and so does the path; without it the test is skipped.
"""

import asyncio
import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.needs import PROMETHEUS
from tests.serving.deployment import Deployment, free_port
from tests.serving.servers import wait_until
from tests.serving.soak import portrait, soak
from tests.serving.stores import SHIPPED
from tests.serving.test_monitoring import DASHBOARD, FOLDER, RULES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ts") is None, reason="needs the extra torchserve"),
    PROMETHEUS.mark,
]
LOAD_S = 30.0
SCRAPE_S = "1s"


def configuration(deployment: Deployment, metrics: str) -> dict[str, Any]:
    """Compose's, with the addresses of this deployment where names are looked up."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"]["scrape_interval"] = SCRAPE_S
    services, models = config["scrape_configs"]
    for job in (services, models):
        del job["dns_sd_configs"]
    # On the loopback interface there are no keys.
    del services["authorization"]
    addresses = [f"127.0.0.1:{service.port}" for service in deployment.services]
    services["static_configs"] = [{"targets": addresses}]
    models["static_configs"] = [{"targets": [metrics.removeprefix("http://")]}]
    return config  # type: ignore[no-any-return]


class Prometheus:
    """One that keeps what it reads below `folder`."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.base = f"http://127.0.0.1:{free_port()}"
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        shutil.copy(FOLDER / "alerts.yml", folder)
        command = ["prometheus", f"--config.file={folder}/prometheus.yml"]
        command += [f"--storage.tsdb.path={folder}/data", "--log.level=error"]
        command += [f"--web.listen-address={self.base.removeprefix('http://')}"]
        self.process = subprocess.Popen(command)
        wait_until(lambda: self.get("/-/ready") is not None, self.process)

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        reply = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        return list(json.loads(reply)["data"]["result"])

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def get(self, path: str) -> bytes:
        """What it answers to a path."""
        with urllib.request.urlopen(self.base + path, timeout=10) as reply:
            return bytes(reply.read())


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has watched a deployment of the shipped models under a mixed load."""
    metrics = f"http://127.0.0.1:{free_port()}"
    deployment = Deployment(SHIPPED, metrics, store_timeout_s=60.0)
    folder = tmp_path_factory.mktemp("prometheus")
    try:
        deployment.mend()
        watching = Prometheus(folder, configuration(deployment, metrics))
        try:
            asyncio.run(soak(deployment, LOAD_S, rounds=2, sent=portrait(folder)))
            yield watching
        finally:
            watching.close()
    finally:
        deployment.close()


def test_every_replica_and_torchserve_are_read(prometheus):
    up = {
        series["metric"]["job"]: series["value"][1]
        for series in prometheus.ask("min by (job) (up)")
    }
    assert up == {"countenance": "1", "torchserve": "1"}
    assert prometheus.ask('count(up{job="countenance"})')[0]["value"][1] == "2"


def test_it_judges_every_alert_and_none_of_a_service_that_is_well(prometheus):
    groups = json.loads(prometheus.get("/api/v1/rules"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert not [rule["name"] for rule in rules if rule["state"] == "firing"]


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_every_panel_has_something_to_show(prometheus, panel):
    for target in panel["targets"]:
        series = prometheus.ask(target["expr"])
        assert series, target["expr"]
        labels = {name for one in series for name in one["metric"]}
        asked = {part.split("}}")[0] for part in target["legendFormat"].split("{{")[1:]}
        assert asked <= labels
        assert any(one["value"][1] != "NaN" for one in series)
