"""Certificates for TLS between Selfheal and an engine, made anew in every run."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from healing.core.ports import EngineConfig


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    cert_file: str
    key_file: str


def make_pair(
    folder: Path, name: str, signer: Pair | None = None, address: str = "127.0.0.1", days: float = 1
) -> Pair:
    """Signed by `signer`, or a certificate authority of its own; valid for so many days, over where negative."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), True)
        .sign(signer.key if signer else key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}-key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return Pair(certificate, key, str(cert_file), str(key_file))


@dataclass(frozen=True)
class Certificates:
    """An authority, a server's and a client's certificate of it, and a stranger authority."""

    authority: Pair
    server: Pair
    client: Pair
    stranger: Pair

    @classmethod
    def made_in(cls, folder: Path) -> Certificates:
        authority = make_pair(folder, "authority")
        server, client = make_pair(folder, "server", authority), make_pair(folder, "client", authority)
        return cls(authority, server, client, make_pair(folder, "stranger"))

    def server_context(self, server: Pair | None = None) -> ssl.SSLContext:
        """As dockerd --tlsverify: clients without a certificate of the authority are turned away."""
        used = server or self.server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(used.cert_file, used.key_file)
        context.load_verify_locations(self.authority.cert_file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def config(self, address: str, **changes: object) -> EngineConfig:
        files = {
            "tls_ca": self.authority.cert_file,
            "tls_cert": self.client.cert_file,
            "tls_key": self.client.key_file,
        }
        return EngineConfig("docker", address, timeout=3, **{**files, **changes})  # type: ignore[arg-type]
