"""The thin app that Flower carries to the sites: configuration that names installed code."""

from pathlib import Path

BUNDLE = Path(__file__).resolve().parent / "flower_app"
