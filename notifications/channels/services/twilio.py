"""Twilio: a short message or a call to one telephone."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from notifications.channels.exchange import Request
from notifications.channels.services.base import Service
from notifications.channels.services.reading import require_token
from notifications.channels.services.words import cut, short, title_of
from notifications.core.alert import Message
from notifications.core.errors import ConfigError
from notifications.core.fields import Field, secret_names

SMS_LIMIT = 480
"""Three short messages, or seven in Chinese; Twilio takes up to 1,600 characters."""
SPOKEN_LIMIT = 300
_NUMBER = re.compile(r"\+[1-9][0-9]{5,14}")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class _Twilio(Service):
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field(
            "account_sid", "Account SID", "Begins with AC; on the first page of the console", required=True
        ),
        Field("auth_token", "Auth token", "Beside it", "secret", secret=True, required=True),
        Field("from_number", "From", "One of your Twilio numbers: +4915112345678", required=True),
        Field(
            "to_number",
            "To",
            "One number with its country code; make a channel for each person",
            required=True,
        ),
    )
    SECRET_FIELDS: ClassVar[frozenset[str]] = secret_names(FIELDS)
    HIDDEN: ClassVar[tuple[str, ...]] = ("api_base",)

    account_sid: str = ""
    auth_token: str = field(default="", repr=False)
    from_number: str = ""
    to_number: str = ""
    api_base: str = "https://api.twilio.com"

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        require_token(values, "account_sid", "auth_token")
        if not values["account_sid"].startswith("AC"):
            raise ConfigError("account_sid", "begins with AC")
        for name in ("from_number", "to_number"):
            if not _NUMBER.fullmatch(values[name]):
                raise ConfigError(name, "write + and the country code, then digits only: +4915112345678")

    def form_request(self, resource: str, fields: Mapping[str, str]) -> Request:
        account = quote(self.account_sid, safe="")
        url = f"{self.api_base}/2010-04-01/Accounts/{account}/{resource}.json"
        login = base64.b64encode(f"{self.account_sid}:{self.auth_token}".encode()).decode()
        content = urlencode(
            {"From": self.from_number, "To": self.to_number, **fields}, errors="replace"
        ).encode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
        return Request(url, content, headers)


@dataclass(frozen=True, slots=True)
class TwilioSmsChannel(_Twilio):
    """The title and one link, as a short message."""

    def request(self, message: Message) -> Request:
        return self.form_request("Messages", {"Body": short(message, SMS_LIMIT)})


@dataclass(frozen=True, slots=True)
class TwilioVoiceChannel(_Twilio):
    """The title, read out twice, in Chinese where it is Chinese."""

    def request(self, message: Message) -> Request:
        said = cut(title_of(message), SPOKEN_LIMIT)
        language = "zh-CN" if _CHINESE.search(said) else "en-US"
        say = f'<Say language="{language}" loop="2">{escape(said)}</Say>'
        return self.form_request("Calls", {"Twiml": f"<Response>{say}</Response>"})
