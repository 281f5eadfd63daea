"""The figures that the dashboard shows are those that the service has; the files fit together."""

import json
import re
from pathlib import Path

import pytest
import yaml

from service.telemetry import Metrics
from tests.serving.composing import load

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "service" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")


OURS = [p for p in DASHBOARD["panels"] if not p["title"].startswith("TorchServe")]


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:countenance|process)_[a-z_]+", expression))


@pytest.mark.parametrize("panel", OURS, ids=lambda panel: panel["title"])
def test_every_panel_asks_for_figures_that_there_are(panel):
    known = {family.name + suffix for family in Metrics().registry.collect() for suffix in SUFFIXES}
    for target in panel["targets"]:
        asked = names_in(target["expr"])
        assert asked
        assert asked <= known
        shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"])) - {"instance"}
        assert all(re.search(rf"\b{label}\b", target["expr"]) for label in shown)


RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_watches_figures_that_there_are(rule):
    known = {family.name + suffix for family in Metrics().registry.collect() for suffix in SUFFIXES}
    asked = names_in(rule["expr"])
    assert asked <= known
    assert asked or "up{" in rule["expr"]


def test_prometheus_reads_the_alerts():
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (mount,) = (
        volume
        for volume in load(ROOT / "docker-compose.yml")["services"]["prometheus"]["volumes"]
        if "alerts" in volume
    )
    assert mount == f"./service/monitoring/{config['rule_files'][0]}:/etc/prometheus/alerts.yml:ro"


def test_prometheus_reads_the_key_that_the_first_start_made_and_finds_both_sides():
    services = load(ROOT / "docker-compose.yml")["services"]
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    job, workers = config["scrape_configs"]
    folder, name = job["authorization"]["credentials_file"].rsplit("/", 1)
    assert name == "key"
    assert f"monitoring-key:{folder}:ro" in services["prometheus"]["volumes"]
    assert job["dns_sd_configs"][0]["names"] == ["service"]
    (found,) = workers["dns_sd_configs"]
    assert found["names"] == [name for name in services if name.startswith("models")]
    assert found["port"] == 8082


def test_every_mounted_file_is_there_and_in_its_place():
    services = load(ROOT / "docker-compose.yml")["services"]
    mounts = [v.split(":") for name in ("prometheus", "grafana") for v in services[name]["volumes"]]
    files = {target: ROOT / source for source, target, *_ in mounts if source.startswith("./")}
    assert all(path.is_file() for path in files.values())
    provider = yaml.safe_load((FOLDER / "dashboards.yml").read_text())["providers"][0]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).parent == Path(provider["options"]["path"])
    assert home in files
    source = yaml.safe_load((FOLDER / "grafana.yml").read_text())["datasources"][0]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
