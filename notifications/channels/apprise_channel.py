"""The apprise channel: any of Apprise's services that are reached by HTTP, and its mail, by their addresses."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from notifications.channels import apprise_library as library
from notifications.channels.exchange import Answer, fault_of
from notifications.channels.services.base import read_json
from notifications.channels.services.words import body_and_links, cut, one_line, title_of
from notifications.core.alert import AlertKind, AlertLevel, Message
from notifications.core.config import refuse_unknown
from notifications.core.errors import ChannelError, ConfigError, PermanentError, TemporaryError
from notifications.core.fields import Field, secret_names
from notifications.core.masking import mask

_TYPES: Mapping[AlertLevel, str] = {
    AlertLevel.INFO: "info",
    AlertLevel.WARNING: "warning",
    AlertLevel.ERROR: "failure",
    AlertLevel.CRITICAL: "failure",
}
WHOLE_TIMEOUT = 40.0
"""Seconds for all addresses and recipients; shorter than the time for which a delivery is claimed."""
FILE_ARGUMENTS = frozenset({"template", "keyfile", "subfile", "pgppub", "pgpprv"})
_CODES = ("errcode", "StatusCode", "code")
"""Where services that answer 200 to everything say that they refused; Apprise does not look there."""
_CODED = frozenset({"dingtalk", "feishu", "lark", "wecombot"})
_VERBATIM = frozenset({"json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"})
"""Schemes whose receivers call nobody for a name in the text."""
_MENTION = re.compile(
    r"@(?=(?:everyone|here|all|channel|room)\b|\*\*)|<(?=[@!#&]|at\b|users/)", re.IGNORECASE
)
_NOTHING = "\u200b"
"""A space without width."""


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """`url`: one address of Apprise, or several, one per line. What one of them refuses counts as not sent."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "url",
            "Addresses",
            "Addresses of Apprise, one per line, such as gotify://host/token; use one channel for each service, "
            "so that a repeat to one is none to the others",
            "lines",
            secret=True,
            required=True,
        ),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    urls: tuple[str, ...] = field(repr=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Each address is read and tried out on its plug-in; nothing is sent."""
        refuse_unknown(config, ("url",))
        urls = _lines(config.get("url"))
        for number, url in enumerate(urls, 1):
            _plugin_of(url, f"line {number}: " if len(urls) > 1 else "")
        return cls(urls)

    def send(self, message: Message) -> str:
        answers: list[str] = []
        faults: list[ChannelError] = []
        until = time.monotonic() + WHOLE_TIMEOUT
        for url in self.urls:
            fault, answer = _send_to(url, message, until)
            answers.append(answer)
            if fault is not None:
                faults.append(fault)
        if not faults:
            return "; ".join(answers)
        raise _worst(faults, len(self.urls))


def _lines(value: Any) -> tuple[str, ...]:
    """From a list, or from a text with an address on each line."""
    texts = value.splitlines() if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ConfigError("url", "must be a list of addresses of Apprise")
    urls = tuple(text.strip() for text in texts if text.strip())
    if not urls:
        raise ConfigError("url", "must hold an address of Apprise, such as gotify://host/token")
    return urls


def _plugin_of(url: str, where: str = "") -> Any:
    """The plug-in for an address. Raise ConfigError, which quotes nothing of it but its scheme."""
    parts = library.parse(url)
    if not parts or not parts.get("schema"):
        raise ConfigError(
            "url", f"{where}no service of Apprise reads this address; its documentation lists them"
        )
    reason = library.refusal_of(str(parts["schema"]).lower())
    if reason:
        raise ConfigError("url", f"{where}{reason}")
    named = sorted(FILE_ARGUMENTS & {str(name).lower() for name in parts.get("qsd", {})})
    if named:
        raise ConfigError("url", f"{where}{named[0]}= names a file, and none is read; leave it out")
    try:
        plugin = library.instantiate(parts)
    except Exception as error:
        shown = _mask(one_line(str(error))[:200], url)
        raise ConfigError("url", f"{where}{parts['schema']}:// cannot be used as written: {shown}") from None
    if plugin is None:
        raise ConfigError("url", f"{where}{parts['schema']}:// cannot be used as written")
    return plugin


def _send_to(url: str, message: Message, until: float) -> tuple[ChannelError | None, str]:
    """What went wrong, None for nothing; and the answer as people see it."""
    name, schema, sent = "Apprise", "", False
    with library.watching(until) as seen:
        try:
            plugin = _plugin_of(url)
            name, schema = str(plugin.service_name), str(plugin.schema)
            sent = plugin.notify(**_words(plugin, message, str if schema in _VERBATIM else _unmentioning))
        except (ChannelError, ConfigError):
            raise
        except Exception as error:
            seen.said.append(f"{type(error).__name__}: {error}")
    fault = _fault_of(seen, sent, schema)
    if fault is None:
        return None, _mask(f"{name}: {seen.answers[-1].shown if seen.answers else 'sent'}", url)
    text = _mask(f"{name}: {fault}", url)
    if isinstance(fault, TemporaryError):
        return TemporaryError(text, fault.retry_after), ""
    return PermanentError(text), ""


def _unmentioning(text: str) -> str:
    """With what chats take for a mention of everybody broken, so that no container calls people by its output."""
    return _MENTION.sub(lambda found: found[0] + _NOTHING, text)


def _words(plugin: Any, message: Message, clean: Callable[[str], str]) -> dict[str, Any]:
    """One message of plain text within the service's limits, never several."""
    resolved = message.status is AlertKind.RESOLVED
    title = clean(title_of(message))
    room = int(plugin.body_maxlen)
    if plugin.title_maxlen > 0:
        title = cut(title, int(plugin.title_maxlen))
    else:
        title = cut(title, max(room // 3, 1))
        room -= len(title) + 2
    return {
        "title": title,
        "body": body_and_links(message, max(room, 1), clean=clean) or title,
        "notify_type": "success" if resolved else _TYPES[message.alert.level],
        "body_format": "text",
        "overflow": "truncate",
    }


def _fault_of(seen: library.Seen, sent: bool, schema: str) -> ChannelError | None:
    coded = next((fault for answer in seen.answers if (fault := _coded(answer, schema))), None)
    if sent:
        return coded
    faults = [*seen.faults, *(fault for answer in seen.answers if (fault := fault_of(answer)))]
    if coded is not None:
        faults.append(coded)
    if faults:
        return _worst(faults, 1)
    said = one_line(seen.said[-1])[:300] if seen.said else "it gave no reason"
    if seen.answers:
        return PermanentError(f"refused it: {said}; answered {seen.answers[-1].shown}")
    return TemporaryError(f"did not send it: {said}")


def _coded(answer: Answer, schema: str) -> ChannelError | None:
    if schema not in _CODED or fault_of(answer) is not None:
        return None
    values = read_json(answer)
    code = next((values[name] for name in _CODES if name in values), 0)
    return PermanentError(f"answered {answer.shown}") if code != 0 else None


def _mask(text: str, url: str) -> str:
    """In many addresses the host is a token; it is one unless it has dots, as names of machines and addresses do."""
    authority = re.split(r"[/?]", url.partition("://")[2], maxsplit=1)[0]
    return mask(
        text, [url, *(part for part in re.split("[@:]", authority) if len(part) > 5 and "." not in part)]
    )


def _worst(faults: list[ChannelError], of: int) -> ChannelError:
    """For now if any is, because then a repeat helps."""
    text = "; ".join(str(fault) for fault in faults)
    if len(faults) < of:
        text = f"{text}; the other {of - len(faults)} took it"
    waits = [fault.retry_after for fault in faults if isinstance(fault, TemporaryError) and fault.retry_after]
    if any(isinstance(fault, TemporaryError) for fault in faults):
        return TemporaryError(text, max(waits, default=None))
    return PermanentError(text)
