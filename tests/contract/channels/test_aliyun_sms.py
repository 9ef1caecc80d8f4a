"""Text messages by Aliyun: a local endpoint checks the signature as theirs does, and answers as theirs does."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from notifications.channels import build
from notifications.channels.aliyun_sms import AliyunSmsChannel, canonical_query, signed_headers
from notifications.core.errors import ConfigError, PermanentError, TemporaryError
from tests.contract.channels.receiver import Received, Receiver
from tests.contract.channels.samples import ALIYUN, MESSAGE, config_of


def is_signed(received: Received, secret: str) -> bool:
    """The endpoint's part, from the request as it came: signature method V3."""
    headers = {name.lower(): value for name, value in received.headers.items()}
    found = re.fullmatch(
        r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
        headers["authorization"],
    )
    assert found is not None
    names = found[2].split(";")
    assert {"host", *(name for name in headers if name.startswith("x-acs-"))} == set(names)
    parts = urlsplit(received.path)
    query = "&".join(sorted(parts.query.split("&")))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    body = hashlib.sha256(received.body).hexdigest()
    assert headers["x-acs-content-sha256"] == body
    request = f"POST\n{parts.path}\n{query}\n{lines}\n{found[2]}\n{body}"
    to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.compare_digest(found[3], hmac.digest(secret.encode(), to_sign.encode(), "sha256").hex())


def sent(receiver: Receiver) -> dict[str, str]:
    query = parse_qs(urlsplit(receiver.received[-1].path).query, strict_parsing=True)
    return {name: values[0] for name, values in query.items()}


def test_known_signature() -> None:
    """Protects the signature: the example of the documentation of signature method V3."""
    query = canonical_query(
        {"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}
    )
    headers = signed_headers(
        "YourAccessKeyId",
        "YourAccessKeySecret",
        query,
        host="ecs.cn-shanghai.aliyuncs.com",
        action="RunInstances",
        version="2014-05-26",
        now=datetime(2023, 10, 26, 10, 22, 32, tzinfo=UTC),
        nonce="3156853299f313e23d1673dc12e1703d",
    )
    assert headers["Authorization"].endswith(
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_query_is_encoded_as_theirs() -> None:
    """Protects texts with the characters in which ways of encoding differ."""
    assert canonical_query({"b": "1", "a": "x*~ y/中+"}) == "a=x%2A~%20y%2F%E4%B8%AD%2B&b=1"


def test_request_is_signed_and_complete(receiver: Receiver) -> None:
    """Protects the sending: the endpoint verifies the signature over what it got, in any language."""
    channel = build("aliyun_sms", config_of("aliyun_sms", receiver))
    message = replace(MESSAGE, alert=replace(MESSAGE.alert, title="容器 web*~ 挂了\n& more"))
    assert channel.send(message) == "OK, BizId 1"
    (received,) = receiver.received
    assert is_signed(received, ALIYUN["access_key_secret"])
    assert not is_signed(received, "another")
    headers = {name.lower(): value for name, value in received.headers.items()}
    assert (headers["x-acs-action"], headers["x-acs-version"]) == ("SendSms", "2017-05-25")
    age = datetime.now(UTC) - datetime.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=UTC
    )
    assert abs(age) < timedelta(minutes=10)
    got = sent(receiver)
    assert json.loads(got.pop("TemplateParam")) == {
        "title": "容器 web*~ 挂了 & more",
        "host": "local",
        "container": "shop-web-1",
    }
    assert got == {
        "PhoneNumbers": "8613800000000,8613900000000",
        "SignName": "运维",
        "TemplateCode": "SMS_1",
        "OutId": MESSAGE.id,
    }
    assert ALIYUN["access_key_secret"] not in str(received)


def test_each_request_has_its_nonce(receiver: Receiver) -> None:
    """Protects repeats, which are refused as replays otherwise."""
    channel = build("aliyun_sms", config_of("aliyun_sms", receiver))
    channel.send(MESSAGE)
    channel.send(MESSAGE)
    first, second = ({k.lower(): v for k, v in one.headers.items()} for one in receiver.received)
    assert first["x-acs-signature-nonce"] != second["x-acs-signature-nonce"]


def test_variables_are_those_of_the_template(receiver: Receiver) -> None:
    """Protects approved templates: their names, their length, and no variable without a value."""
    params = {"name": "title", "level": "level", "n": "count", "where": "tenant"}
    config = {**config_of("aliyun_sms", receiver), "template_params": params, "value_limit": 10}
    build("aliyun_sms", config).send(replace(MESSAGE, alert=replace(MESSAGE.alert, title="x" * 50)))
    assert json.loads(sent(receiver)["TemplateParam"]) == {
        "name": "x" * 9 + "…",
        "level": "critical",
        "n": "1",
        "where": "-",
    }


@pytest.mark.parametrize(
    ("status", "code", "text", "error", "pause"),
    [
        (200, "isv.BUSINESS_LIMIT_CONTROL", "触发分钟级流控Permits:1", TemporaryError, 60),
        (200, "isv.BUSINESS_LIMIT_CONTROL", "触发小时级流控Permits:5", TemporaryError, 3600),
        (200, "isv.BUSINESS_LIMIT_CONTROL", "触发天级流控Permits:10", TemporaryError, 21600),
        (200, "isv.BUSINESS_LIMIT_CONTROL", "too many", TemporaryError, None),
        (200, "isv.DAY_LIMIT_CONTROL", "触发日发送限额", TemporaryError, None),
        (200, "isp.SYSTEM_ERROR", "系统异常", TemporaryError, None),
        (200, "isv.AMOUNT_NOT_ENOUGH", "账户余额不足", TemporaryError, None),
        (400, "Throttling.User", "Request was denied due to user flow control.", TemporaryError, None),
        (503, "ServiceUnavailable", "The request has failed.", TemporaryError, None),
        (500, "Whatever", "", TemporaryError, None),
        (200, "isv.MOBILE_NUMBER_ILLEGAL", "非法手机号", PermanentError, None),
        (200, "isv.SMS_TEMPLATE_ILLEGAL", "该账号下找不到对应模板", PermanentError, None),
        (403, "Forbidden.RAM", "User not authorized", PermanentError, None),
        (404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.", PermanentError, None),
        (400, "SignatureDoesNotMatch", "wrong", PermanentError, None),
    ],
)
def test_their_codes_decide(
    status: int, code: str, text: str, error: type[Exception], pause: float | None, receiver: Receiver
) -> None:
    """Protects alerts from being given up under a limit that passes, and the limit from repeats that cannot help."""
    channel = build("aliyun_sms", config_of("aliyun_sms", receiver))
    receiver.status = status
    receiver.body = json.dumps({"Code": code, "Message": text}, ensure_ascii=False).encode()
    with pytest.raises(error, match=re.escape(code)) as fault:
        channel.send(MESSAGE)
    assert getattr(fault.value, "retry_after", None) == pause


def test_answer_of_something_else_is_temporary(receiver: Receiver) -> None:
    """Protects from taking a proxy's page for a success."""
    channel = build("aliyun_sms", config_of("aliyun_sms", receiver))
    receiver.body = b"<html>welcome</html>"
    with pytest.raises(TemporaryError, match="not as SendSms does"):
        channel.send(MESSAGE)


def test_secret_is_named_and_hidden(receiver: Receiver) -> None:
    """Protects the key in forms, tracebacks, and answers that echo it."""
    channel = build("aliyun_sms", config_of("aliyun_sms", receiver))
    secret = ALIYUN["access_key_secret"]
    assert {"access_key_secret"} == AliyunSmsChannel.SECRET_FIELDS
    assert str(secret) not in repr(channel)
    receiver.body = json.dumps({"Code": "X", "Message": f"key {secret} is wrong"}).encode()
    with pytest.raises(PermanentError, match=r"key \*\*\* is wrong"):
        channel.send(MESSAGE)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"access_key_id": ""}, "access_key_id"),
        ({"access_key_secret": 5}, "access_key_secret"),
        ({"phone_numbers": []}, "phone_numbers"),
        ({"phone_numbers": ["call me"]}, "phone_numbers"),
        ({"phone_numbers": ["1" * 30]}, "phone_numbers"),
        ({"template_params": []}, "template_params"),
        ({"template_params": {"a": "secret_key"}}, "template_params"),
        ({"template_params": {"a": {}}}, "template_params"),
        ({"value_limit": 0}, "value_limit"),
        ({"endpoint": "dysmsapi.aliyuncs.com"}, "endpoint"),
    ],
)
def test_config_is_refused_at_its_field(config: dict[str, Any], field: str) -> None:
    """Protects the form, which shows the error beside the field."""
    with pytest.raises(ConfigError) as refusal:
        build("aliyun_sms", {**ALIYUN, **config})
    assert refusal.value.field == field
