from typer.testing import CliRunner

from ophora_curation.phantom.errors import InvalidRequest
from ophora_curation.phantom_cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["make", *arguments])


def test_make_writes_what_was_asked(tmp_path):
    result = run(
        "--out", str(tmp_path), "--patients", "1", "--size", "96x64", "--phases", "incision,"
        "viscoelastic", "--weights", "incision=1", "--no-voice", "--speech-share", "0",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(list(tmp_path.glob("*/*.mp4"))) == 1


def test_a_wrong_size_weight_or_phase_is_named(tmp_path):
    for arguments, message in (
        (("--size", "big"), "size='big'"),
        (("--weights", "incision"), "weights='incision'"),
        (("--phases", "incision,lasik"), "phase='lasik'"),
    ):
        result = run("--out", str(tmp_path), *arguments)
        assert isinstance(result.exception, InvalidRequest)
        assert message in str(result.exception)
