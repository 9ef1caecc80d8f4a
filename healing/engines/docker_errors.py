"""What goes wrong between us and an engine, as errors of healing.core.errors with a sentence on what to do."""

from __future__ import annotations

import grp
import http.client
import json
import os
import socket
import ssl

from healing.core.errors import (
    ActionFailed,
    ActionTimedOut,
    ContainerNotFound,
    EngineConflict,
    EngineRefused,
    EngineUnreachable,
    PluginError,
)
from healing.core.wording import storable
from healing.engines.address import Address

MESSAGE_LIMIT = 600

_GATEWAY = (502, 504)
"""What a proxy answers for an engine that has not answered it; engines themselves never do."""
_AMBIGUOUS = ("multiple ids found with provided prefix", "more than one result for container")
_HTTP_TO_HTTPS = "client sent an http request to an https server"
_HOSTNAME_MISMATCH = (62, 64)
_EXPIRED = (9, 10)
_TLS_ALERT = "\x15\x03"
_OUR_CERTIFICATE = (
    ("CERTIFICATE_EXPIRED", "it has expired, or is not valid yet; renew tls_cert, and check both clocks"),
    ("CERTIFICATE_REQUIRED", "it wants one; give the files tls_cert and tls_key that its CA has signed"),
    ("UNKNOWN_CA", "its CA has not signed it; give a tls_cert and tls_key that its CA has signed"),
    ("CERTIFICATE", "give a tls_cert and tls_key that its CA has signed and that are valid now"),
    ("HANDSHAKE_FAILURE", "give a tls_cert and tls_key that its CA has signed and that are valid now"),
)
"""What an engine says of our certificate (part of OpenSSL's reason) -> what to do."""


class NotSentError(Exception):
    """Wraps a PluginError that arose before a request was sent, so that an action can be told to be not done."""

    def __init__(self, error: PluginError) -> None:
        super().__init__(str(error))
        self.error = error


def transport_error(address: Address, error: BaseException, seconds: float) -> PluginError:
    """The error for a connection that could not be made, or broke, or stayed silent for `seconds`."""
    if isinstance(error, PluginError):
        return error
    if isinstance(error, ssl.SSLError):
        return _tls_error(address, error)
    if isinstance(error, TimeoutError):
        return EngineUnreachable(f"no answer from the engine at {address} within {seconds:g} s")
    if isinstance(error, socket.gaierror):
        return EngineUnreachable(
            f"the name {address.host!r} in {address} does not resolve: correct the address, or mend this machine's DNS"
        )
    if isinstance(error, OSError) and not isinstance(error, http.client.RemoteDisconnected):
        return _os_error(address, error)
    return _http_error(address, error)


def refusal(status: int, body: bytes, address: Address, what: str) -> PluginError:
    """The error for an HTTP status that is no success; `what` is the request in words ("restart web")."""
    message = engine_message(body)
    if message is None:
        return _foreign_answer(status, body, address)
    # A name that is nobody's is taken for the beginning of an id, and of more than one id it is nobody's.
    is_nobodys = any(words in message.lower() for words in _AMBIGUOUS)
    if is_nobodys or (status == 404 and "page not found" not in message.lower()):
        return ContainerNotFound(f"{what}: {message}")
    if status == 409:
        return EngineConflict(f"{what}: {message}")
    if status in (401, 403):
        return EngineRefused(
            f"{what}: the engine at {address}, or a proxy before it, forbids this request: {message}"
        )
    if status == 404 or (status == 400 and "client version" in message):
        return EngineRefused(f"{what}: the engine at {address} does not know this request: {message}")
    return ActionFailed(f"{what}: the engine answered {status}: {message}")


def action_refusal(status: int, body: bytes, address: Address, what: str) -> PluginError:
    """As `refusal`, of a request that changes something: where a proxy answers, the engine may be at work on it."""
    if status in _GATEWAY or (status >= 500 and engine_message(body) is None):
        said = f"a proxy before the engine at {address} answered {status}"
        return ActionTimedOut(f"{what}: {said}, so it may still happen")
    return refusal(status, body, address, what)


def engine_message(body: bytes) -> str | None:
    """The `message` of an engine's error answer; None where the body is not one."""
    try:
        decoded = json.loads(body)
    except ValueError:
        return None
    if not isinstance(decoded, dict) or not isinstance(decoded.get("message"), str):
        return None
    return storable(decoded["message"]).strip()[:MESSAGE_LIMIT]


def not_an_engine(address: Address, seen: bytes | str) -> EngineRefused:
    """What listens at the address is something else."""
    text = seen.decode("utf-8", "replace") if isinstance(seen, bytes) else seen
    return EngineRefused(
        f"what answers at {address} is not a container engine (it said {text.strip()[:80]!r}): "
        "correct the host's address"
    )


def too_old(address: Address, spoken: str, needed: str) -> EngineRefused:
    """The engine speaks no API version that we can use."""
    return EngineRefused(
        f"the engine at {address} is too old: it speaks version {spoken} of Docker's API, and {needed} is the least "
        "that is needed (Docker 1.12); upgrade it"
    )


def _os_error(address: Address, error: OSError) -> PluginError:
    if isinstance(error, FileNotFoundError):
        return EngineUnreachable(
            f"there is no socket {address.path}: start the engine, or correct the host's address (DOCKER_HOST)"
        )
    if isinstance(error, PermissionError):
        return EngineRefused(
            f"this user may not use {address.path or address}: {_group_advice(address.path)}"
        )
    if isinstance(error, ConnectionRefusedError):
        return EngineUnreachable(
            f"nothing listens at {address}: start the engine, or correct the host's address"
        )
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return _hung_up(address)
    if "path too long" in str(error):
        return EngineRefused(f"the path of {address} is too long for a socket: link it to a shorter one")
    return EngineUnreachable(f"the connection to the engine at {address} failed: {error.strerror or error}")


def _group_advice(path: str) -> str:
    """How to get at the socket: by the group that owns it, or Docker's usual one where that cannot be seen."""
    try:
        group = grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        group = "docker"
    if group == "root":
        return "give the socket a group of its own, such as docker, and add this user to it, or run as a user that may"
    return f"add it to the group {group!r} and sign in again, or run as a user that may"


def _http_error(address: Address, error: BaseException) -> PluginError:
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        if str(error).startswith(_TLS_ALERT):
            return _wants_tls(address)
        return not_an_engine(address, str(error).strip("'\""))
    if isinstance(error, http.client.RemoteDisconnected):
        return _hung_up(address)
    if isinstance(error, http.client.IncompleteRead):
        return EngineUnreachable(f"the engine at {address} broke off in the middle of its answer")
    return EngineUnreachable(f"the connection to the engine at {address} failed: {error}")


def _hung_up(address: Address) -> EngineUnreachable:
    doubts = ", does it want TLS, and does it accept our certificate" if address.scheme == "tcp" else ""
    return EngineUnreachable(f"{address} closed the connection without an answer: is it an engine{doubts}?")


def _wants_tls(address: Address) -> EngineRefused:
    return EngineRefused(
        f"the engine at {address} wants TLS: set tls_ca, tls_cert and tls_key for this host, "
        "or correct the port (2375 is usual without TLS)"
    )


def _tls_error(address: Address, error: ssl.SSLError) -> EngineRefused:
    """TLS does not come about: the other side speaks no TLS, has the wrong certificate, or wants one of us."""
    reason = (error.reason or str(error)).upper().replace(" ", "_")
    if isinstance(error, ssl.SSLCertVerificationError):
        return EngineRefused(f"TLS with {address} refused: {_certificate_advice(address, error)}")
    if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason or "RECORD_LAYER_FAILURE" in reason:
        return EngineRefused(
            f"the engine at {address} does not speak TLS: correct the port (2376 is usual for TLS), "
            "or empty the TLS files if it really runs without"
        )
    for words, advice in _OUR_CERTIFICATE:
        if words in reason:
            return EngineRefused(
                f"the engine at {address} does not accept our TLS certificate ({error.reason}): {advice}"
            )
    return EngineRefused(f"TLS with {address} failed: {error}")


def _certificate_advice(address: Address, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _HOSTNAME_MISMATCH:
        return f"its certificate is not for {address.host!r}; use the name in the certificate, or have it made anew"
    if error.verify_code in _EXPIRED:
        return f"its certificate is not valid now ({error.verify_message}); renew it, and check both clocks"
    return f"its certificate is not signed by the CA in tls_ca ({error.verify_message}); give the CA's file"


def _foreign_answer(status: int, body: bytes, address: Address) -> EngineRefused:
    text = body.decode("utf-8", "replace").strip()
    if _HTTP_TO_HTTPS in text.lower():
        return _wants_tls(address)
    if status in (401, 403):
        return EngineRefused(
            f"a proxy before the engine at {address} forbids this request ({status}): {text[:80]}"
        )
    return not_an_engine(address, f"HTTP {status} {text}")
