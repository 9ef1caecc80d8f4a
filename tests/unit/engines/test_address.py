"""Engine addresses, and what `open_engine` makes of a configuration."""

from __future__ import annotations

import pytest

from healing.core.errors import ConfigError
from healing.core.ports import EngineConfig
from healing.engines import engine_kinds, open_engine
from healing.engines.address import (
    DEFAULT_DOCKER_ADDRESS,
    Address,
    default_docker_address,
    docker_config,
    parse_address,
)
from healing.engines.docker import DockerEngine
from healing.engines.fake import FakeEngine


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:///var/run/docker.sock", {"scheme": "unix", "path": "/var/run/docker.sock"}),
        ("tcp://10.0.0.5:2376", {"scheme": "tcp", "host": "10.0.0.5", "port": 2376}),
        ("tcp://node-1.example.com:2375", {"scheme": "tcp", "host": "node-1.example.com", "port": 2375}),
        ("tcp://[::1]:2375", {"scheme": "tcp", "host": "::1", "port": 2375}),
        ("ssh://ops@node-1", {"scheme": "ssh", "host": "node-1", "user": "ops"}),
        ("ssh://node-1:2222", {"scheme": "ssh", "host": "node-1", "port": 2222}),
        ("process:///srv/selfheal/processes", {"scheme": "process", "path": "/srv/selfheal/processes"}),
        ("fake://lab", {"scheme": "fake", "host": "lab"}),
    ],
)
def test_good_addresses(text: str, expected: dict[str, object]) -> None:
    """Every form that the documentation names."""
    assert parse_address(text) == Address(text, **expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "begins with one of"),
        ("/var/run/docker.sock", "begins with one of"),
        ("unix://var/run/docker.sock", "three slashes"),
        ("unix:///", "three slashes"),
        ("http://10.0.0.5:2375", "write tcp://"),
        ("tcp://10.0.0.5", "add the port"),
        ("tcp://10.0.0.5:0", "no port"),
        ("tcp://10.0.0.5:99999", "no port"),
        ("tcp://10.0.0.5:2375/v1.41", "no port"),
        ("tcp://10.0.0.5:23x", "no port"),
        ("tcp://:2375", "host name"),
        ("tcp://user:secret@host:2375", "no port"),
        ("ssh://-oProxyCommand=evil", "host name"),
        ("ssh://-l@host", "write the user"),
        ("ssh://ops:secret@host", "no place in an address"),
        ("ssh://host/path", "no port"),
        ("process://relative/folder", "three slashes"),
        ("fake://", "letters, digits"),
        ("tcp://host:2375 ", "white space"),
        ("unix:///run/\ndocker.sock", "white space"),
    ],
)
def test_bad_addresses_say_what_to_write(text: str, advice: str) -> None:
    """A malformed address is told at once, with what to write instead."""
    with pytest.raises(ConfigError, match=advice) as caught:
        parse_address(text)
    assert caught.value.field == "address"


def test_the_default_engine_is_dockers_own() -> None:
    """Without configuration we look where the docker command looks."""
    assert default_docker_address({}) == DEFAULT_DOCKER_ADDRESS == "unix:///var/run/docker.sock"
    assert default_docker_address({"DOCKER_HOST": "tcp://h:2375"}) == "tcp://h:2375"
    assert default_docker_address({"DOCKER_HOST": ""}) == DEFAULT_DOCKER_ADDRESS


def test_dockers_tls_settings_are_followed() -> None:
    """DOCKER_TLS_VERIFY and DOCKER_CERT_PATH work as for the docker command."""
    environment = {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}
    config = docker_config(environment)
    assert (config.tls_ca, config.tls_cert, config.tls_key) == (
        "/certs/ca.pem",
        "/certs/cert.pem",
        "/certs/key.pem",
    )
    assert config.tls_verify
    assert docker_config({"DOCKER_HOST": "tcp://h:2375"}).tls_ca == ""
    assert docker_config({"DOCKER_CERT_PATH": "/certs"}).tls_ca == ""
    assert docker_config({**environment, "DOCKER_TLS_VERIFY": ""}).tls_verify is False


def test_open_engine_gives_the_engine_of_the_kind() -> None:
    """The registry is the only place that knows which class a kind is."""
    assert isinstance(open_engine(EngineConfig("docker", "unix:///nowhere.sock")), DockerEngine)
    assert isinstance(open_engine(EngineConfig("podman", "unix:///nowhere.sock")), DockerEngine)
    assert isinstance(open_engine(EngineConfig("fake", "fake://registry-test")), FakeEngine)
    assert engine_kinds() == ["docker", "fake", "podman", "process"]


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        (EngineConfig("dokcer", "unix:///d.sock"), "kind", "write one of docker, fake, podman, process"),
        (EngineConfig("docker", "fake://lab"), "address", "write unix:// or tcp:// or ssh://"),
        (EngineConfig("process", "unix:///d.sock"), "address", "write process://"),
        (EngineConfig("docker", "nonsense"), "address", "begins with one of"),
        (EngineConfig("docker", "unix:///d.sock", timeout=0), "timeout", "above 0"),
        (EngineConfig("docker", "unix:///d.sock", tls_ca="/ca.pem"), "tls_ca", "does not use TLS"),
    ],
)
def test_open_engine_refuses_what_cannot_work(config: EngineConfig, field: str, words: str) -> None:
    """A host that cannot work is refused when it is written down, not when it is needed."""
    with pytest.raises(ConfigError, match=words) as caught:
        open_engine(config)
    assert caught.value.field == field
