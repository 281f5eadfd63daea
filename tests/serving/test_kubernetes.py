"""The manifests for Kubernetes fit its published schemas, and say the same as compose."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.settings import PREFIX, Settings
from tests.serving.composing import load

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
VERSION = "1.31"


def documents(path: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def resources(folder: str) -> list[dict[str, Any]]:
    """All that a kustomization names, in its order."""
    (config,) = documents(FOLDER / folder / "kustomization.yaml")
    return [one for name in config["resources"] for one in documents(FOLDER / folder / name)]


BASE = resources("base")
PODS = {one["metadata"]["name"]: one for one in BASE if one["kind"] == "Deployment"}
COMPOSE = load(ROOT / "docker-compose.yml")["services"]


@pytest.mark.parametrize("one", BASE, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_resource_fits_the_schema_of_its_kind(one):
    kubernetes_validate.validate(one, VERSION, strict=True)


def test_every_file_of_the_base_is_named_by_it():
    (config,) = documents(FOLDER / "base" / "kustomization.yaml")
    files = {path.name for path in (FOLDER / "base").glob("*.yaml")}
    assert files == {"kustomization.yaml", *config["resources"]}


def test_the_overlay_changes_containers_that_there_are_and_asks_for_a_gpu():
    (patch,) = documents(FOLDER / "gpu" / "models.yaml")
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    known = PODS[patch["metadata"]["name"]]["spec"]["template"]["spec"]["containers"]
    assert container["name"] in {one["name"] for one in known}
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert container["env"] == [{"name": "COUNTENANCE_MODEL_DEVICE", "value": "gpu"}]


@pytest.mark.parametrize("name", PODS)
def test_every_container_is_confined_as_in_compose(name):
    pod = PODS[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert {"readinessProbe", "livenessProbe"} <= container.keys()


def test_the_settings_of_the_service_are_settings():
    (container,) = PODS["service"]["spec"]["template"]["spec"]["containers"]
    for one in container["env"]:
        assert one["name"].removeprefix(PREFIX).lower() in Settings.model_fields


def test_redis_runs_as_in_compose():
    (container,) = PODS["redis"]["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    assert environment["ACL"].split() == COMPOSE["redis"]["environment"]["ACL"].split()
    assert container["image"] == COMPOSE["redis"]["image"]


def test_every_pod_is_reached_by_those_alone_who_need_it():
    policies = {one["metadata"]["name"]: one["spec"] for one in BASE if "Policy" in one["kind"]}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name in ("models", "redis"):
        assert "egress" not in policies[name]
        first = policies[name]["ingress"][0]["from"]
        selected = [one["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for one in first]
        assert selected == ["service"]
