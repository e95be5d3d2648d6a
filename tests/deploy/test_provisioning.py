"""Keys are private from the first moment, certificates verify, and nothing is overwritten."""

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ophora_deploy.errors import ProvisioningFailed
from ophora_deploy.provisioning import make_node_key, make_server_identity


@pytest.mark.parametrize(("host", "trusted"), [("localhost", True), ("elsewhere", False)])
def test_the_certificate_verifies_for_its_hosts_alone(
    tmp_path: Path, host: str, trusted: bool
) -> None:
    identity = make_server_identity(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(identity.certificate, identity.key)
    calling = ssl.create_default_context(cafile=str(identity.authority))
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            serving.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    server = threading.Thread(target=serve)
    server.start()
    if trusted:
        calling.wrap_socket(ours, server_hostname=host).close()
    else:
        with pytest.raises(ssl.SSLCertVerificationError):
            calling.wrap_socket(ours, server_hostname=host)
        ours.close()
    server.join()


def test_keys_are_private_and_kept(tmp_path: Path) -> None:
    identity, node = make_server_identity(tmp_path / "tls"), make_node_key(tmp_path / "keys")
    for path in (identity.key, tmp_path / "tls" / "ca.key", node.private):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = node.private.read_bytes(), identity.certificate.read_bytes()
    make_server_identity(tmp_path / "tls")
    make_node_key(tmp_path / "keys")
    assert (node.private.read_bytes(), identity.certificate.read_bytes()) == before


def test_the_node_key_is_what_openssh_writes(tmp_path: Path) -> None:
    node = make_node_key(tmp_path)
    private = serialization.load_ssh_private_key(node.private.read_bytes(), None)
    public = serialization.load_ssh_public_key(node.public.read_bytes())
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert isinstance(private.curve, ec.SECP384R1)
    assert private.public_key() == public
    assert node.public.read_text().startswith("ecdsa-sha2-nistp384 ")


def test_half_an_identity_is_refused(tmp_path: Path) -> None:
    identity = make_server_identity(tmp_path)
    identity.key.unlink()
    with pytest.raises(ProvisioningFailed, match=r"server\.crt"):
        make_server_identity(tmp_path)
