"""What the services have in common: strict settings, one exchange, and a judgement of its answer."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from notifications.channels.exchange import Answer, Request, exchange, fault_of
from notifications.channels.services.reading import read_fields
from notifications.core.alert import Message
from notifications.core.errors import ChannelError, PermanentError, TemporaryError
from notifications.core.fields import Field
from notifications.core.masking import mask
from notifications.core.ports import Sent


@dataclass(frozen=True, slots=True)
class Service(ABC):
    """A channel that is one HTTP request. A subclass says its fields, the request, and how it reads the answer."""

    FIELDS: ClassVar[tuple[Field, ...]] = ()
    SECRET_FIELDS: ClassVar[frozenset[str]] = frozenset()
    HIDDEN: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        values = read_fields(config, cls.FIELDS, cls.HIDDEN)
        cls.check(values)
        return cls(**values)

    @classmethod  # noqa: B027  # most have nothing to check
    def check(cls, values: Mapping[str, Any]) -> None:
        """Raise ConfigError where fields do not fit together; values that are not filled in are missing."""

    def send(self, message: Message) -> str | Sent:
        try:
            answer = exchange(self.request(message))
            fault = self.fault(answer)
        except ChannelError as error:
            fault = error
        if fault is not None:
            raise self._masked(fault)
        return self.sent(answer, message)

    @abstractmethod
    def request(self, message: Message) -> Request:
        """What is sent for this message."""

    def fault(self, answer: Answer) -> ChannelError | None:
        """None where the service has taken the message."""
        return fault_of(answer)

    def sent(self, answer: Answer, message: Message) -> str | Sent:
        """The answer as people see it, and the thread that was opened, where there is one."""
        return self.mask(answer.shown)

    def mask(self, text: str) -> str:
        return mask(text, (getattr(self, name) for name in sorted(self.SECRET_FIELDS)))

    def _masked(self, fault: ChannelError) -> ChannelError:
        text = self.mask(str(fault))
        if isinstance(fault, TemporaryError):
            return TemporaryError(text, fault.retry_after)
        return PermanentError(text)


def json_request(url: str, payload: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Request:
    """A POST of JSON in UTF-8."""
    content = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Request(url, content, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


def read_json(answer: Answer) -> Mapping[str, Any]:
    """The JSON object of an answer; an empty one where it is anything else."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, Mapping) else {}


def seconds_of(said: Any) -> float | None:
    """What a service says in JSON for how long to wait: a day at most, None where it is no number."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < math.inf:
        return None
    return float(min(said, 86_400))


def coded_fault(
    answer: Answer, names: tuple[str, ...], temporary: frozenset[Any], good: tuple[Any, ...] = (0,)
) -> ChannelError | None:
    """For services that answer 200 and say in a field of the JSON whether it is one. No such field is a failure too."""
    fault = fault_of(answer)
    if fault is not None:
        return fault
    said = read_json(answer)
    code = next((said[name] for name in names if name in said), None)
    if code in good and type(code) is type(good[0]):
        return None
    text = f"answered {answer.shown}"
    if code in temporary:
        return TemporaryError(text, answer.retry_after)
    return PermanentError(text)
