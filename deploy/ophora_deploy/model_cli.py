"""`ophora model`: check says what a base costs and whether its files are sound; merge and diff.

The figures come from the architecture alone, before anything is downloaded or allocated; the check
of the files reads every byte and is made for a folder, or where `--verify` asks for it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ophora_deploy.adapter_cli import diff, merge

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ophora_model.base_check import BaseReport
    from ophora_model.footprint import Footprint, Memory
    from ophora_model.presets import Preset

app = typer.Typer(no_args_is_help=True)
app.command()(merge)
app.command()(diff)


@app.command()
def check(
    base: Annotated[str, typer.Argument(metavar="PRESET|DIR", help="A preset, or a base folder.")],
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter; the preset's own.")] = None,
    batch: Annotated[int, typer.Option(help="Clips in one pass of a tuning step.")] = 1,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check a preset's files too; a folder's always are.")
    ] = False,
    pins: Annotated[
        Path | None, typer.Option(help="Hashes that sha256sum wrote; the files must have them.")
    ] = None,
) -> None:
    """Show what a base costs and check that its files are whole, finite and the right ones."""
    from dataclasses import replace

    from rich.console import Console

    from ophora_model.adapter_spec import AdapterSpec
    from ophora_model.footprint import measure_footprint

    preset, folder = _find_base(base)
    spec = AdapterSpec.of_preset(preset, seed=0)
    if rank is not None:
        spec = replace(spec, rank=rank)
    console = Console()
    console.print(_costs(preset, measure_footprint(preset, spec=spec, batch=batch)))
    console.print(_dtypes(preset), highlight=False)
    if verify or folder is not None or pins is not None:
        _verify(console, preset, folder, pins)


def _find_base(text: str) -> tuple["Preset", Path | None]:
    """The preset, and the folder where one was named. A preset's name comes first."""
    from ophora_model.architecture import find_preset_of
    from ophora_model.errors import UnknownPreset
    from ophora_model.presets import PRESET_NAMES, find_preset

    if text in PRESET_NAMES:
        return find_preset(text), None
    if not Path(text).is_dir():
        raise UnknownPreset(
            f"base={text!r}: neither a preset ({', '.join(PRESET_NAMES)}) nor a folder"
        )
    return find_preset_of(Path(text)), Path(text)


def _costs(preset: "Preset", cost: "Footprint") -> "Table":
    from rich.table import Table

    adapter = cost.adapter
    title = f"{cost.preset}: {preset.frames} frames of {preset.height} x {preset.width}"
    table = Table("what", "detail", "size", title=f"{title}, {cost.tokens:,} tokens")
    for part in cost.parts:
        table.add_row(
            f"{part.part}, {part.dtype}", f"{part.parameters:,} parameters", _size(part.num_bytes)
        )
    table.add_row(
        f"adapter of rank {adapter.rank}, {adapter.matrices} matrices",
        f"{adapter.trained + adapter.frozen:,} parameters",
        _size((adapter.trained + adapter.frozen) * 4),
    )
    table.add_row(
        "an update on the wire", f"{adapter.trained:,} parameters", _size(adapter.update_bytes)
    )
    table.add_row("cache: a clip's posterior", "", _size(cost.posterior_bytes))
    table.add_row("cache: an instruction", "", _size(cost.prompt_bytes), end_section=True)
    table.add_row("forward", "", _flops(cost.forward.total))
    table.add_row(f"tuning step, batch {cost.batch}", "", _flops(cost.step.total))
    table.add_row("the same, checkpointed", "", _flops(cost.step_checkpointed.total))
    table.columns[1].justify = table.columns[2].justify = "right"
    table.rows[-1].end_section = True
    for what, memory in (
        ("memory of a tuning step", cost.tuning),
        ("the same, checkpointed", cost.tuning_checkpointed),
        ("memory of generation", cost.generation),
    ):
        table.add_row(what, _split(memory), f"about {_size(memory.total)}")
    return table


def _split(memory: "Memory") -> str:
    return f"weights {_size(memory.weights)}, activations {_size(memory.activations)}"


def _dtypes(preset: "Preset") -> str:
    from ophora_model.base import place

    device, compute = place(preset)
    return (
        f"weights are {preset.dtype}: {preset.dtype_reason}; on this machine ({device.type})"
        f" products run in {str(compute).removeprefix('torch.')}"
    )


def _verify(console: "Console", preset: "Preset", folder: Path | None, pins: Path | None) -> None:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from ophora_model.base_check import check_base, read_pins

    pinned = None if pins is None else read_pins(pins)
    columns = (TextColumn("checking the files"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        report = check_base(
            preset,
            folder,
            pinned=pinned,
            on_bytes=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(_files(report))
    console.print(
        f"{report.num_tensors:,} tensors with {report.num_parameters:,} parameters: names and"
        f" shapes are those of {report.preset}, all values are finite;"
        f" {'the hashes are those pinned' if pins else 'no hashes were given to compare'}",
        highlight=False,
    )
    console.print(f"fingerprint {report.fingerprint}", highlight=False, soft_wrap=True)


def _files(report: "BaseReport") -> "Table":
    from rich.table import Table

    table = Table("file", "size", "sha256")
    table.columns[1].justify = "right"
    for file in report.files:
        table.add_row(file.name, _size(file.num_bytes), file.sha256[:16])
    return table


def _size(num_bytes: float) -> str:
    """Decimal units, three digits."""
    for unit in ("B", "kB", "MB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:,.3g} GB" if num_bytes < 1000 else f"{num_bytes:,.0f} GB"


def _flops(flops: float) -> str:
    return f"{flops / 1e12:,.3g} TFLOP" if flops < 1e15 else f"{flops / 1e12:,.0f} TFLOP"
