"""The commands of the coordinator's page, up to the real process over TLS."""

import datetime
import ipaddress
import signal
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from ophora_deploy.federation_cli import app
from ophora_server.desk.errors import PageRefused
from ophora_server.desk.password import PASSWORD_FILE, PasswordHash
from ophora_server.errors import InvalidFederation

COMMAND = "from ophora_deploy.federation_cli import app; app()"
RIGHT = "correct horse battery"


def _asked(folder: Path, *typed: str):
    words = ["page-password", "--run", str(folder)]
    return CliRunner().invoke(app, words, input="".join(f"{each}\n" for each in typed))


def test_a_password_is_asked_for_twice_and_kept_as_a_hash(tmp_path: Path) -> None:
    result = _asked(tmp_path, RIGHT, RIGHT)
    assert result.exit_code == 0
    assert RIGHT not in result.output
    path = tmp_path / PASSWORD_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PasswordHash.read(path).matches(RIGHT)


def test_two_that_differ_or_a_short_one_set_nothing(tmp_path: Path) -> None:
    assert _asked(tmp_path, RIGHT, "correct horse batterx").exit_code != 0
    assert isinstance(_asked(tmp_path, "short", "short").exception, PageRefused)
    assert list(tmp_path.iterdir()) == []
    assert isinstance(_asked(tmp_path / "none", RIGHT, RIGHT).exception, InvalidFederation)


def test_the_page_does_not_start_without_a_password_or_in_the_open(tmp_path: Path) -> None:
    for words, told in (
        ((), "ophora federation page-password"),
        (("--host", "0.0.0.0"), "add --certificate and --key"),
    ):
        result = CliRunner().invoke(app, ["page", "--run", str(tmp_path), *words])
        assert isinstance(result.exception, PageRefused)
        assert told in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_over_tls_it_answers_to_its_certified_name_alone_until_ctrl_c(tmp_path: Path) -> None:
    PasswordHash.of(RIGHT).write(tmp_path / PASSWORD_FILE)
    certificate, key = _write_pair(tmp_path)
    words = ["--host", "0.0.0.0", "--certificate", certificate, "--key", key]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "page", "--run", tmp_path, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    home = process.stdout.readline().strip().rstrip("/")
    assert home.startswith("https://127.0.0.1:")
    port = home.rpartition(":")[2]
    trusted = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(verify=trusted, base_url=home, trust_env=False) as client:
        form = {"password": RIGHT}
        entered = client.post("/login", data=form, headers={"Origin": home})
        assert entered.status_code == 303
        assert "secure" in entered.headers["set-cookie"].lower()
        assert "has not started" in client.get("/").text
        assert client.get("/", headers={"Host": f"evil.example:{port}"}).status_code == 421
        assert client.get("/", headers={"Host": f"0.0.0.0:{port}"}).status_code == 421
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert not (tmp_path / "registry").exists()


def _write_pair(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "page")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, key_file = folder / "page.pem", folder / "page.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, key_file
