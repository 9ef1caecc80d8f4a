"""How DingTalk's and Feishu's robots are signed: the same two lines, used in two ways."""

from __future__ import annotations

import base64
import hashlib
import hmac


def dingtalk_signature(timestamp: int, secret: str) -> str:
    """Of a time in milliseconds: the secret is the key."""
    return _base64(hmac.digest(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256))


def feishu_signature(timestamp: int, secret: str) -> str:
    """Of a time in seconds: both lines are the key, and the signed text is empty."""
    return _base64(hmac.digest(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256))


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
