"""`ophora model merge` and `ophora model diff`: adapters as files, without loading a base."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from ophora_model.comparison import AdapterDifference, LayerDifference

_MOST_LAYERS = 20

Adapters = Annotated[list[Path], typer.Argument(help="Release folders or adapter files.")]


def merge(
    adapters: Adapters,
    out: Annotated[Path, typer.Option("--out", help="Adapter file to write (.safetensors).")],
    weight: Annotated[
        list[float] | None, typer.Option(help="One for each adapter; equal by default.")
    ] = None,
    rank: Annotated[
        int | None, typer.Option(help="Of the result, for adapters of different seeds.")
    ] = None,
) -> None:
    """Write the weighted mean of adapters of one base as one adapter."""
    from ophora_model.adapter_file import write_adapter
    from ophora_model.comparison import merge_adapters
    from ophora_model.errors import PlanInvalid
    from ophora_model.release import read_release

    if out.exists():
        raise PlanInvalid(f"--out {out}: is there already; give another name")
    weights = weight or [1.0] * len(adapters)
    merged = merge_adapters([read_release(path).content for path in adapters], weights, rank=rank)
    write_adapter(out, merged)
    card = merged.card
    privacy = "no epsilon is known" if card.epsilon is None else f"epsilon {card.epsilon:g}"
    typer.echo(f"{out}: rank {card.rank}, stage {card.stage}, {len(adapters)} adapters; {privacy}")


def diff(
    first: Annotated[Path, typer.Argument(help="Release folder or adapter file.")],
    second: Annotated[Path, typer.Argument(help="Another one of the same base.")],
    every: Annotated[bool, typer.Option("--all", help="Show every layer.")] = False,
) -> None:
    """Show how far two adapters are apart: in all, by layer, and in what their cards say."""
    from rich.console import Console

    from ophora_model.comparison import diff_adapters
    from ophora_model.release import read_release

    found = diff_adapters(read_release(first).content, read_release(second).content)
    _show(Console(), found, every=every)


def _show(console: "Console", found: "AdapterDifference", *, every: bool) -> None:
    from rich.table import Table

    table = Table("layer", "first", "second", "apart", "cosine", title="norms and difference")
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("all shared layers", *_figures(found.whole), end_section=True)
    apart = sorted(found.layers, key=lambda layer: -layer.relative)
    shown = apart if every else apart[:_MOST_LAYERS]
    for layer in shown:
        table.add_row(layer.name, *_figures(layer))
    console.print(table)
    if len(shown) < len(apart):
        console.print(f"the {len(shown)} that differ most of {len(apart)}; --all shows every layer")
    for name, layers in (("first", found.only_in_a), ("second", found.only_in_b)):
        if layers:
            console.print(f"only in the {name}: {len(layers)} layers, {', '.join(layers[:3])}")
    if found.card:
        card = Table("card", "first", "second")
        for key, (one, other) in found.card.items():
            card.add_row(key, str(one), str(other))
        console.print(card)


def _figures(layer: "LayerDifference") -> tuple[str, str, str, str]:
    cosine = "-" if layer.cosine is None else f"{layer.cosine:.4f}"
    return f"{layer.norm_a:.4g}", f"{layer.norm_b:.4g}", f"{layer.relative:.4f}", cosine
