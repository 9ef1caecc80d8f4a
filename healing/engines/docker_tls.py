"""TLS settings towards an engine: files are read here, and each that cannot be used is named with what to do."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from healing.core.errors import ConfigError, EngineRefused
from healing.core.ports import EngineConfig

_FILES = ("tls_ca", "tls_cert", "tls_key")


def check_tls(config: EngineConfig) -> None:
    """Raise ConfigError where TLS files are given for an address that has no use for them."""
    given = [name for name in _FILES if getattr(config, name)]
    if given and not config.address.startswith("tcp://"):
        raise ConfigError(
            given[0], f"{config.address} does not use TLS: leave it empty, or write a tcp:// address"
        )


def tls_context(config: EngineConfig) -> ssl.SSLContext | None:
    """The TLS settings of `config`, None without TLS files; raise EngineRefused that names the file that cannot be used."""
    given = [name for name in _FILES if getattr(config, name)]
    if not given:
        return None
    if bool(config.tls_cert) != bool(config.tls_key):
        raise EngineRefused("tls_cert and tls_key belong together: give both files, or neither")
    for field in given:
        _readable(field, getattr(config, field))
    context = ssl.create_default_context()
    if not config.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.tls_ca:
        _use("tls_ca", config.tls_ca, lambda: context.load_verify_locations(config.tls_ca))
    if config.tls_cert:
        _use("tls_cert, tls_key", config.tls_cert, lambda: _load_pair(context, config))
    return context


def _readable(field: str, path: str) -> None:
    try:
        with open(path, "rb") as file:
            file.read(1)
    except FileNotFoundError as error:
        raise EngineRefused(
            f"{field}: cannot read {path}: there is no such file on the machine that talks to the engine; correct the path"
        ) from error
    except PermissionError as error:
        raise EngineRefused(
            f"{field}: cannot read {path}: permission denied; let the user who runs Selfheal read it"
        ) from error
    except OSError as error:
        raise EngineRefused(f"{field}: cannot read {path}: {error.strerror or error}") from error


def _load_pair(context: ssl.SSLContext, config: EngineConfig) -> None:
    def no_passphrase() -> str:
        # Without this OpenSSL would ask for it on the terminal, and wait.
        raise EngineRefused(
            f"tls_key: {config.tls_key} is locked with a passphrase, which nobody can type here: "
            f"save it without, as `openssl pkey -in {config.tls_key} -out FILE` does"
        )

    context.load_cert_chain(config.tls_cert, config.tls_key, no_passphrase)


def _use(field: str, path: str, load: Callable[[], object]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise EngineRefused(
                f"{field}: the key is not that of the certificate {path}: give the pair that was made together"
            ) from error
        raise EngineRefused(f"{field}: {path} is no usable PEM file: {error}") from error
