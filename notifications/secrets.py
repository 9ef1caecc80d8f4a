"""What a database must not give away: a JSON column that is encrypted at rest.

The key is derived from SECRET_KEY; with SECRET_KEY_FALLBACKS older texts are still read, and written anew with the
newest key when they are next saved.
"""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression

_PURPOSE = b"selfheal notifications secrets"
_TOKEN = "gAAAAA"
"""How every encrypted text begins: Fernet's version and the high bytes of its time."""


class Undecryptable(dict[str, Any]):
    """What stands in place of a value that no key of ours opens: empty, and told apart from what was left empty."""

    def __init__(self, token: str = "") -> None:
        super().__init__()
        self.token = token


def encrypt(text: str) -> str:
    return _fernet().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Raise InvalidToken where it was encrypted with a key that is not known any more, or tampered with."""
    return _fernet().decrypt(token.encode()).decode()


def _fernet() -> MultiFernet:
    return _fernet_of((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=8)
def _fernet_of(secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_key(secret)) for secret in secrets])


def _key(secret: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret.encode())
    return base64.urlsafe_b64encode(derived)


def _opened(token: str) -> Any:
    try:
        return json.loads(decrypt(token))
    except InvalidToken:
        return Undecryptable(token)


if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField


class EncryptedJSONField(_TextField):
    """Plain JSON in Python, one encrypted text in the database; it cannot be searched."""

    def from_db_value(
        self, value: str | None, expression: Expression, connection: BaseDatabaseWrapper
    ) -> Any:
        return _opened(value) if value else {}

    def get_prep_value(self, value: Any) -> str:
        if isinstance(value, Undecryptable):
            raise ValidationError(
                "These settings cannot be decrypted with SELFHEAL_SECRET_KEY and would be lost; "
                "give the former key in SELFHEAL_SECRET_KEY_FALLBACKS, or enter them anew."
            )
        return encrypt(json.dumps(value))

    def value_to_string(self, obj: models.Model) -> str:
        """For `dumpdata`: as it stands in the database."""
        value = self.value_from_object(obj)
        return value.token if isinstance(value, Undecryptable) else self.get_prep_value(value)

    def to_python(self, value: Any) -> Any:
        """A form may hand over JSON text, `loaddata` what is encrypted."""
        if not isinstance(value, str):
            return value
        if value.startswith(_TOKEN):
            return _opened(value)
        try:
            return json.loads(value) if value.strip() else {}
        except ValueError as error:
            raise ValidationError(f"is no JSON: {error}") from None
