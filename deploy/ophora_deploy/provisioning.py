"""Key material of a federation: an authority, the coordinator's certificate, one key per site.

The authority and the server's key are made at the coordinator. A site makes its own key; only the
public half leaves it, and the coordinator registers that. So sites are added and revoked one by one
and a new authority is never needed for a new site.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ophora_deploy.errors import ProvisioningFailed
from ophora_model.draft import write_private

_CLOCK_SKEW = datetime.timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """Files of the coordinator: the authority's certificate goes to the sites, the keys stay."""

    authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeKey:
    """A site's key pair in OpenSSH format; `public` is all that leaves the site."""

    private: Path
    public: Path


def make_server_identity(
    folder: Path,
    *,
    hosts: Sequence[str] = ("localhost", "127.0.0.1"),
    days: int = 365,
) -> ServerIdentity:
    """An authority and a server certificate for `hosts` (names or addresses) in `folder`.

    What is there already is kept. Raises ProvisioningFailed when it is there only in part.
    """
    identity = ServerIdentity(
        authority=folder / "ca.crt", certificate=folder / "server.crt", key=folder / "server.key"
    )
    files = (identity.authority, identity.certificate, identity.key)
    present = [path.name for path in files if path.exists()]
    if len(present) == len(files):
        return identity
    if present:
        raise ProvisioningFailed(f"{folder}: only {present} are there; remove them or restore all")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority_key = ec.generate_private_key(ec.SECP384R1())
    authority = _certificate("ophora authority", authority_key, days=days)
    server_key = ec.generate_private_key(ec.SECP384R1())
    certificate = _certificate(
        "ophora coordinator", server_key, days=days, issuer=(authority, authority_key), hosts=hosts
    )
    write_private(folder / "ca.key", _pem(authority_key))
    write_private(identity.key, _pem(server_key))
    identity.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    identity.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    return identity


def make_node_key(folder: Path) -> NodeKey:
    """The site's key in `folder`, as `ssh-keygen -t ecdsa -b 384` makes it; an old one is kept."""
    pair = NodeKey(private=folder / "node_key", public=folder / "node_key.pub")
    if pair.private.exists() and pair.public.exists():
        return pair
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    write_private(pair.private, private)
    pair.public.write_bytes(public + b"\n")
    return pair


def make_secret(path: Path) -> Path:
    """32 random bytes that only this user can read; an old file is kept."""
    if not path.exists():
        write_private(path, os.urandom(32))
    return path


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    days: int,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    """Self-signed authority without `issuer`; otherwise a server certificate for `hosts`."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_authority = issuer is None
    signer = issuer[1] if issuer else key
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not is_authority:
        names = x509.SubjectAlternativeName([_host_name(host) for host in hosts])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(names, critical=False).add_extension(usage, critical=False)
    return builder.sign(signer, hashes.SHA384())


def _key_usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
