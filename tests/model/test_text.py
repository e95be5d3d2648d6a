"""What an embedding depends on is known without embedding anything."""

import torch

from ophora_model.presets import find_preset
from ophora_model.text import TextEncoder, load_text_encoder


def _with(encoder: torch.nn.Module, **changed) -> TextEncoder:
    return TextEncoder(None, encoder, **{"length": 32, "masked": True, **changed})


def test_the_identity_is_that_of_weights_mask_and_length():
    encoder = torch.nn.Linear(3, 2)
    first = _with(encoder).identity()
    assert first == _with(encoder).identity()
    assert first != _with(encoder, masked=False).identity()
    assert first != _with(encoder, length=33).identity()
    with torch.no_grad():
        encoder.bias.add_(1e-3)
    assert first != _with(encoder).identity()


def test_the_shipped_encoder_has_one_identity(tmp_path):
    preset = find_preset("tiny")
    one, two = (load_text_encoder(preset, tmp_path, torch.float32) for _ in range(2))
    assert one.identity() == two.identity()
    assert one.identity()["text_length"] == preset.text_length
