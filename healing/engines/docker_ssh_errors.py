"""Why ssh to an engine's machine came to nothing, told from what ssh wrote, with what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from healing.core.errors import EngineRefused, EngineUnreachable, PluginError
from healing.engines.address import Address

_LONGEST = 600
_COMMAND_MISSING = 127
"""The exit status of a shell that does not find the command."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Words of ssh, or of what ran over there -> what to do. `is_refusal`: a person has to mend it."""

    words: re.Pattern[str]
    advice: str
    is_refusal: bool = True


def _rule(words: str, advice: str, is_refusal: bool = True) -> _Rule:
    return _Rule(re.compile(words, re.IGNORECASE), advice, is_refusal)


_NO_DOCKER = _rule(
    r"docker: (command )?not found|command not found: docker|unknown command:? docker",
    "the `docker` command is missing over there, or is not in the PATH of {whom}: install Docker's command line there",
)
_RULES = (
    _rule(
        "remote host identification has changed",
        "{host} shows another key than it used to: if it was installed anew, forget the old key with "
        "`ssh-keygen -R {known_as}` and accept the new one",
    ),
    _rule(
        "host key verification failed|host key is known",
        "the key of {host} is not known here: compare and accept it once, by hand, as the user who runs Selfheal",
    ),
    _rule(
        r"permission denied.*(docker|podman)|(docker|podman).*permission denied",
        "{whom} may not use the engine over there: add that user to the group docker on {host}",
    ),
    _rule(
        "permission denied|too many authentication failures",
        "{host} does not accept our key: add the public key of the user who runs Selfheal to "
        "~/.ssh/authorized_keys of {whom}",
    ),
    _rule(
        "is not a docker command|unknown (command|flag|shorthand)|no help topic",
        "the `docker` command over there is older than 18.09 and cannot pass a connection on: upgrade it",
    ),
    _NO_DOCKER,
    _rule(
        "docker daemon|docker api|docker.sock|podman.sock",
        "{host} was reached, but no engine answers over there: start it",
        is_refusal=False,
    ),
    _rule(
        "could not resolve hostname",
        "the name {host} does not resolve: correct the address, or mend this machine's DNS",
        is_refusal=False,
    ),
    _rule(
        "connection refused",
        "no ssh server listens there: start it, or correct the port",
        is_refusal=False,
    ),
    _rule(
        "timed out|no route to host|network is unreachable",
        "{host} cannot be reached from here: see that it runs and that no firewall is in between",
        is_refusal=False,
    ),
    _rule("no such identity|bad permissions|bad owner", "mend the file that ssh names"),
)


def ssh_error(address: Address, complaint: str, status: int | None = None) -> PluginError:
    """ssh ended before the engine answered; `complaint` is what was written to stderr (or else to stdout)."""
    lines = [line.strip("@ \t\r") for line in complaint.splitlines() if line.strip("@ \t\r")]
    rule, line = _first_match(lines)
    if rule is None and status == _COMMAND_MISSING:
        rule = _NO_DOCKER
    said = (line or (lines[-1] if lines else "ssh ended without a message"))[:_LONGEST]
    text = f"ssh to {address} failed: {said}"
    if rule is not None:
        text += f"; {_filled(rule.advice, address)}"
    text += f". Try `{_by_hand(address)}` on this machine until it works without a question"
    return (EngineRefused if rule is not None and rule.is_refusal else EngineUnreachable)(text)


def _first_match(lines: list[str]) -> tuple[_Rule | None, str]:
    for rule in _RULES:
        for line in lines:
            if rule.words.search(line):
                return rule, line
    return None, ""


def _filled(advice: str, address: Address) -> str:
    known_as = f"'[{address.host}]:{address.port}'" if address.port else address.host
    whom = f"{address.user}@{address.host}" if address.user else f"your user on {address.host}"
    return advice.format(host=address.host, known_as=known_as, whom=whom)


def _by_hand(address: Address) -> str:
    port = f"-p {address.port} " if address.port else ""
    user = f"{address.user}@" if address.user else ""
    return f"ssh {port}{user}{address.host} docker version"
