"""Typer commands of the generator host."""

import typer

app = typer.Typer(help="Serve videos from a release.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass
