"""The root command: light, complete, and honest about errors."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ophora_deploy import cli
from ophora_server.errors import ServerError

HEAVY = (
    "torch",
    "flwr",
    "fastapi",
    "diffusers",
    "transformers",
    "spacy",
    "av",
    "cv2",
    "sqlalchemy",
)


def test_help_imports_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from ophora_deploy.cli import build_app\n"
        "try:\n"
        "    build_app()(['--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        f"print('heavy:', sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "generator" in done.stdout
    assert done.stdout.rstrip().endswith("heavy: []")


def test_a_part_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "GROUPS", (("ghost", "ophora_absent.ghost_cli", "Absent."),))
    monkeypatch.setattr(cli, "COMMANDS", (("spectre", "ophora_server.absent_cli"),))
    app = cli.build_app()
    assert app.registered_groups == []
    assert app.registered_commands == []


def test_a_part_that_is_there_but_lacks_a_library_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ophora_broken_cli.py").write_text("import a_library_that_is_absent\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(cli, "GROUPS", (("broken", "ophora_broken_cli", "Broken."),))
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_absent"):
        cli.build_app()


def test_the_module_runs_as_a_command() -> None:
    command = [sys.executable, "-m", "ophora_deploy.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("error", "own"), [(ServerError("x=1: must be 2"), True), (ValueError("x"), False)]
)
def test_only_our_own_errors_become_one_line(
    error: Exception,
    own: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "build_app", lambda: app)
    monkeypatch.setattr(sys, "argv", ["ophora"])
    expected: type[BaseException] = SystemExit if own else ValueError
    with pytest.raises(expected) as caught:
        cli.main()
    if own:
        assert isinstance(caught.value, SystemExit)
        assert caught.value.code == cli.EXIT_OWN_ERROR
        assert capsys.readouterr().err == "error: x=1: must be 2\n"
