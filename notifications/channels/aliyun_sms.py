"""The aliyun_sms channel: text messages by Aliyun's (Alibaba Cloud's) SendSms, signed with ACS3-HMAC-SHA256."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlsplit

from notifications.channels.http import JSON_LIMIT, TIMEOUT, Answer, judge, post
from notifications.core.alert import Message
from notifications.core.config import (
    read_integer,
    read_lines,
    read_text,
    read_url,
    refuse_unknown,
    shortened,
)
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from notifications.core.fields import Field, secret_names
from notifications.core.masking import mask

ENDPOINT = "https://dysmsapi.aliyuncs.com"
VERSION = "2017-05-25"
ALGORITHM = "ACS3-HMAC-SHA256"
VALUE_LIMIT = 35
"""Characters that a variable of a template may have, unless a person knows better about theirs."""
TEMPLATE = {"title": "title", "host": "host", "container": "container"}
_WORDS = (
    "title",
    "body",
    "status",
    "level",
    "alertname",
    "host",
    "project",
    "service",
    "container",
    "tenant",
    "count",
)
_PASSING = (
    "isv.BUSINESS_LIMIT_CONTROL", "isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL", "isv.OUT_OF_SERVICE",
    "isv.AMOUNT_NOT_ENOUGH", "isp.SYSTEM_ERROR", "isp.GATEWAY_ERROR", "isp.UNKNOWN", "Throttling",
    "ServiceUnavailable", "InternalError", "SignatureNonceUsed", "InvalidTimeStamp",
)  # fmt: skip
"""Beginnings of the codes that another time may be otherwise; all others are matters of the settings."""
_PAUSES = (("分钟级", 60.0), ("小时级", 3_600.0), ("天级", 21_600.0))
"""Which limit was reached stands in the message: per minute, per hour, per day."""
_PHONE = re.compile(r"\+?[0-9]{5,20}")


@dataclass(frozen=True, slots=True)
class AliyunSmsChannel:
    """Each message is one request for all numbers. The texts go into the variables of an approved template."""

    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "access_key_id", "AccessKey ID", "Of a RAM user who may do dysms:SendSms, no more.", required=True
        ),
        Field("access_key_secret", "AccessKey secret", "", "secret", secret=True, required=True),
        Field("phone_numbers", "Numbers", "One a line, up to 1,000.", "lines", required=True),
        Field("sign_name", "Signature", "The approved signature (SignName).", required=True),
        Field("template_code", "Template", "The approved template, such as SMS_123456789.", required=True),
        Field(
            "template_params",
            "Variables",
            f"Which text each variable of the template gets, of: {', '.join(_WORDS)}. "
            f"Without it: {json.dumps(TEMPLATE)}",
            "json",
        ),
        Field(
            "value_limit", "Length", "Characters that a variable may have; 35 unless yours differ.", "integer"
        ),
        Field("endpoint", "Endpoint", f"{ENDPOINT} unless yours differs.", "url"),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)

    access_key_id: str
    access_key_secret: str = field(repr=False)
    phone_numbers: tuple[str, ...]
    sign_name: str
    template_code: str
    template_params: tuple[tuple[str, str], ...] = tuple(TEMPLATE.items())
    value_limit: int = VALUE_LIMIT
    endpoint: str = ENDPOINT
    timeout: float = TIMEOUT

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        refuse_unknown(config, tuple(each.name for each in cls.FIELDS))
        return cls(
            access_key_id=_read_word(config, "access_key_id"),
            access_key_secret=_read_word(config, "access_key_secret"),
            sign_name=_read_word(config, "sign_name"),
            template_code=_read_word(config, "template_code"),
            phone_numbers=_read_numbers(config),
            template_params=_read_params(config),
            value_limit=read_integer(config, "value_limit", VALUE_LIMIT, 1, 1000),
            endpoint=read_url(config, "endpoint") if config.get("endpoint") else ENDPOINT,
        )

    def send(self, message: Message) -> str:
        query = canonical_query(self._parameters(message))
        headers = signed_headers(
            self.access_key_id,
            self.access_key_secret,
            query,
            host=urlsplit(self.endpoint).netloc.rpartition("@")[2],
            action="SendSms",
            version=VERSION,
            now=datetime.now(UTC),
            nonce=uuid.uuid4().hex,
        )
        url = f"{self.endpoint.rstrip('/')}/?{query}"
        answer = post(url, b"", headers, timeout=self.timeout, answer_limit=JSON_LIMIT)
        return _judge(answer, [self.access_key_secret])

    def _parameters(self, message: Message) -> dict[str, str]:
        words = _words(message)
        values = {name: shortened(words[word], self.value_limit) for name, word in self.template_params}
        return {
            "PhoneNumbers": ",".join(self.phone_numbers),
            "SignName": self.sign_name,
            "TemplateCode": self.template_code,
            "TemplateParam": json.dumps(values, ensure_ascii=False),
            "OutId": message.id,
        }


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Sorted, and percent-encoded as RFC 3986 has it."""
    return "&".join(f"{_encoded(name)}={_encoded(parameters[name])}" for name in sorted(parameters))


def signed_headers(
    key_id: str, secret: str, query: str, *, host: str, action: str, version: str, now: datetime, nonce: str
) -> dict[str, str]:
    """The headers of a POST to `/` without a body, by Alibaba Cloud's signature method V3."""
    nothing = hashlib.sha256(b"").hexdigest()
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": nothing,
        "x-acs-date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"POST\n/\n{query}\n{lines}\n{names}\n{nothing}"
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = f"{ALGORITHM} Credential={key_id},SignedHeaders={names},Signature={signature}"
    return {**headers, "Authorization": authorization, "User-Agent": "selfheal"}


def _encoded(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="-_.~")


def _words(message: Message) -> dict[str, str]:
    """On one line each. An empty one is `-`: a variable without a value is an error there."""
    alert = message.alert
    words = {name: str(getattr(alert, name, "")) for name in _WORDS}
    words |= {
        "title": message.title,
        "body": message.body,
        "status": message.status.value,
        "level": alert.level.value,
        "count": str(len(message.all)),
    }
    return {name: _one_line(text) or "-" for name, text in words.items()}


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())


def _judge(answer: Answer, secrets: list[str]) -> str:
    """Most faults come as a Code in the body, with a status of 200 or of 4xx."""
    said = answer.json()
    if not isinstance(said, dict) or not isinstance(said.get("Code"), str):
        judge(answer, secrets)
        raise TemporaryError(
            f"answered {answer.status}, but not as SendSms does: {mask(answer.text, secrets)}"
        )
    code, text = said["Code"], _one_line(str(said.get("Message") or ""))[:300]
    if code == "OK":
        return f"OK, BizId {_one_line(str(said.get('BizId')))[:100]}"
    reason = mask(f"answered {code[:100]}: {text}", secrets)
    if code.startswith(_PASSING) or answer.status >= 500 or answer.status == 429:
        raise TemporaryError(reason, answer.retry_after or _pause(code, text))
    raise PermanentError(reason)


def _pause(code: str, text: str) -> float | None:
    if not code.startswith("isv.BUSINESS_LIMIT_CONTROL"):
        return None
    return next((seconds for word, seconds in _PAUSES if word in text), None)


def _read_word(config: Mapping[str, Any], name: str) -> str:
    return read_text(config, name, required=True, limit=200)


def _read_numbers(config: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = tuple(
        re.sub(r"[ ()-]", "", each) for each in read_lines(config, "phone_numbers", required=True, most=1000)
    )
    for number in numbers:
        if not _PHONE.fullmatch(number):
            raise ConfigError(
                "phone_numbers", f"{number[:30]!r} is no number; write digits, with the country's code"
            )
    return tuple(number.removeprefix("+") for number in numbers)


def _read_params(config: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    value = config.get("template_params", TEMPLATE)
    if not isinstance(value, Mapping):
        raise ConfigError("template_params", f"must be an object, such as {json.dumps(TEMPLATE)}")
    for name, word in value.items():
        if not isinstance(name, str) or word not in _WORDS:
            raise ConfigError(
                "template_params", f"{word!r} is no text of an alert; there are {', '.join(_WORDS)}"
            )
    return tuple(value.items())
