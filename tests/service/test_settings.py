"""Settings: from the environment alone, strict, and safe before they are convenient."""

import pytest

from service.errors import ConfigurationError
from service.settings import PREFIX, Settings, load_settings


def test_the_defaults_listen_on_this_machine_alone():
    settings = load_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.on_loopback
    assert settings.max_upload_bytes == 10 * 2**20


def test_the_environment_is_read_and_arguments_go_first(monkeypatch):
    monkeypatch.setenv(PREFIX + "PORT", "9000")
    monkeypatch.setenv(PREFIX + "ALLOWED_ORIGINS", "https://A.example, https://b.example")
    assert load_settings().port == 9000
    assert load_settings(port=9001).port == 9001
    assert load_settings().allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("MAX_UPLOAD_BYTES", "0"),
        ("MAX_FACES", "65"),
        ("READ_TIMEOUT_S", "-1"),
        ("READ_TIMEOUT_S", "nan"),
        ("INFERENCE", "remote"),
        ("LOG_LEVEL", "loud"),
        ("PROT", "8000"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(monkeypatch, name, value):
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError, match=PREFIX + name):
        load_settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "faces.example"])
def test_a_host_that_others_reach_needs_keys_and_names(host, tmp_path):
    with pytest.raises(ConfigurationError, match="API_KEYS_FILE"):
        load_settings(host=host)
    with pytest.raises(ConfigurationError, match="ALLOWED_HOSTS"):
        load_settings(host=host, api_keys_file=tmp_path)
    assert load_settings(host=host, api_keys_file=tmp_path, allowed_hosts="a.example").allowed_hosts


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_a_loopback_host_needs_neither(host):
    assert load_settings(host=host).on_loopback


def test_every_setting_is_described():
    assert all(field.description for field in Settings.model_fields.values())
