"""The latents cache: content decides the key, nothing is encoded twice, nothing lies open."""

import copy
import hashlib
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ophora_model.base import Base, load_base
from ophora_model.errors import BaseMissing, CacheUnreadable, PlanInvalid, VideoUnreadable
from ophora_model.latents import ClipSource, LatentsCache
from ophora_model.presets import find_preset
from ophora_model.video import read_frames, write_video

KEY = bytes(range(32))
MakeClip = Callable[..., ClipSource]


@pytest.fixture(scope="module")
def base() -> Base:
    """Shared: nothing of it is changed by filling a cache."""
    return load_base(find_preset("tiny"), parts=("vae", "text"))


@pytest.fixture
def cache(tmp_path: Path, base: Base) -> LatentsCache:
    return LatentsCache(tmp_path / "cache", base, key=KEY)


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """A clip of 5 s whose left half has that red, and whose right half turns green after 2.5 s."""

    def make(red: int = 200, instruction: str = "a red half") -> ClipSource:
        frames = np.zeros((40, 128, 192, 3), np.uint8)
        frames[:, :, :96, 0] = red
        frames[20:, :, 96:, 1] = 200
        path = tmp_path / f"clip{red}.mp4"
        write_video(path, frames, 8)
        return ClipSource(
            clip_id=f"c{red}",
            patient_id="p1",
            path=path,
            instruction=instruction,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )

    return make


def entries(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"{kind}-*"))


def test_a_clip_is_encoded_once_and_decodes_to_itself(
    cache: LatentsCache, base: Base, make_clip: MakeClip
) -> None:
    clip = make_clip()
    assert cache.fill([clip]) == 1
    assert cache.fill([clip]) == 0
    cached = cache.load([clip])[0]
    with torch.no_grad():
        latent = cached.mean_TCHW.float().permute(1, 0, 2, 3)[None]
        made = base.vae.decode(latent).sample[0].permute(1, 2, 3, 0)
    real = torch.from_numpy(read_frames(clip.path, frames=9, height=64, width=96, fps=2.0)).float()
    error = (made.add(1).mul(127.5) - real).abs().mean((1, 2, 3))  # of 255, by frame
    assert error[:5].max() < 12
    # the jump to green is smeared over one latent frame; its one mean colour would be far worse
    assert error.mean() < (real - real.mean((0, 1, 2))).abs().mean() / 3


def test_another_process_with_the_same_key_encodes_nothing_again(
    tmp_path: Path, cache: LatentsCache, base: Base, make_clip: MakeClip
) -> None:
    clip = make_clip()
    cache.fill([clip])
    assert LatentsCache(tmp_path / "cache", base, key=KEY).fill([clip]) == 0


def test_clips_that_share_a_pass_get_what_each_gets_alone(
    tmp_path: Path, base: Base, make_clip: MakeClip
) -> None:
    clips = [make_clip(red) for red in (40, 120, 200)]
    shared = LatentsCache(tmp_path / "shared", base, key=KEY, batch_size=2)
    alone = LatentsCache(tmp_path / "alone", base, key=KEY, batch_size=1)
    assert shared.fill(clips) == alone.fill(clips) == 3
    for one, other in zip(shared.load(clips), alone.load(clips), strict=True):
        assert one.clip_id == other.clip_id
        torch.testing.assert_close(one.mean_TCHW, other.mean_TCHW, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(one.logvar_TCHW, other.logvar_TCHW, rtol=1e-3, atol=1e-3)
    first, last = shared.load([clips[0], clips[2]])
    assert (first.mean_TCHW - last.mean_TCHW).abs().max() > 0.1  # rows of a pass aren't swapped


def test_a_text_is_embedded_and_stored_once_however_many_clips_have_it(
    tmp_path: Path, cache: LatentsCache, base: Base, make_clip: MakeClip
) -> None:
    clips = [make_clip(40), make_clip(120), make_clip(200, "a bright half")]
    cache.fill(clips)
    assert len(entries(tmp_path / "cache", "text")) == 3  # two texts and the empty one
    one, two, three = cache.load(clips)
    assert one.prompt_LD is two.prompt_LD
    wanted = base.encode_text(["a bright half"])[0].half()
    torch.testing.assert_close(three.prompt_LD, wanted, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(three.unconditional_LD, base.encode_text([""])[0].half())


def test_equal_files_share_an_entry(cache: LatentsCache, make_clip: MakeClip) -> None:
    clip = make_clip()
    twin = replace(clip, clip_id="c2", patient_id="p2")
    assert cache.fill([clip, twin]) == 1
    assert [cached.patient_id for cached in cache.load([clip, twin])] == ["p1", "p2"]


def test_every_setting_that_changes_a_latent_is_another_entry(
    tmp_path: Path, tiny_base: Base, make_clip: MakeClip
) -> None:
    clip, preset = make_clip(), tiny_base.preset
    changes = [{"frames": 17}, {"height": 48, "width": 80}, {"fps": 4.0}]

    def encoded(base: Base) -> int:
        return LatentsCache(tmp_path / "cache", base, key=KEY).fill([clip])

    assert encoded(tiny_base) == 1
    for change in changes:
        assert encoded(replace(tiny_base, preset=replace(preset, **change))) == 1
    other = torch.float32 if tiny_base.compute == torch.bfloat16 else torch.bfloat16
    assert encoded(replace(tiny_base, compute=other)) == 1
    tiny_base.vae.enable_tiling()
    assert encoded(tiny_base) == 1
    tiny_base.vae.disable_tiling()
    assert encoded(tiny_base) == 0
    tiny_base.vae.register_to_config(scaling_factor=2.0)
    assert encoded(tiny_base) == 1
    with torch.no_grad():
        next(tiny_base.vae.parameters()).add_(1e-3)
    assert encoded(tiny_base) == 1
    # the denoiser has no part in a latent
    assert encoded(replace(tiny_base, fingerprint="f" * 64, transformer=None)) == 0


def test_another_text_encoder_or_length_is_another_text_entry(
    tmp_path: Path, tiny_base: Base
) -> None:
    def stored(base: Base) -> int:
        LatentsCache(tmp_path / "cache", base, key=KEY).fill([])
        return len(entries(tmp_path / "cache", "text"))

    assert stored(tiny_base) == 1
    assert stored(tiny_base) == 1
    shorter = copy.copy(tiny_base.text)
    shorter._length = 16
    assert stored(replace(tiny_base, text=shorter)) == 2
    with torch.no_grad():
        next(tiny_base.text._encoder.parameters()).add_(1e-3)
    assert stored(tiny_base) == 3


def test_cached_files_are_for_the_site_alone(
    tmp_path: Path, base: Base, make_clip: MakeClip
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o755)
    LatentsCache(folder, base, key=KEY).fill([make_clip()])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_neither_names_nor_files_show_a_text_a_clip_or_a_latent(
    tmp_path: Path, cache: LatentsCache, make_clip: MakeClip
) -> None:
    clip = make_clip(instruction="Mr Example of ward 7")
    cache.fill([clip])
    latents = cache.load([clip])[0].mean_TCHW.numpy().tobytes()
    guesses = [clip.instruction, clip.sha256, hashlib.sha256(clip.instruction.encode()).hexdigest()]
    for path in (tmp_path / "cache").iterdir():
        assert re.fullmatch(r"(key|(clip|text)-[0-9a-f]{64})\.sealed", path.name)
        content = path.read_bytes()
        assert not any(guess[:16] in path.name for guess in guesses)
        assert not any(guess.encode() in content for guess in guesses)
        assert b"logvar" not in content  # the header of a plain tensor file
        assert latents[:64] not in content


def test_two_sites_give_the_same_clip_and_text_other_names(
    tmp_path: Path, base: Base, make_clip: MakeClip
) -> None:
    clip = make_clip()
    for folder, key in (("one", KEY), ("two", bytes(32))):
        LatentsCache(tmp_path / folder, base, key=key).fill([clip])
    names = [{path.name for path in (tmp_path / folder).iterdir()} for folder in ("one", "two")]
    assert names[0] & names[1] == {"key.sealed"}


def test_another_sites_key_is_refused_at_once(
    tmp_path: Path, cache: LatentsCache, base: Base
) -> None:
    with pytest.raises(CacheUnreadable, match="delete the cache folder and encode again"):
        LatentsCache(tmp_path / "cache", base, key=bytes(32))


@pytest.mark.parametrize("key", [b"", b"short", None])
def test_there_is_no_cache_without_a_key(tmp_path: Path, base: Base, key: bytes) -> None:
    with pytest.raises(PlanInvalid, match="32 bytes or more"):
        LatentsCache(tmp_path / "cache", base, key=key)
    assert not (tmp_path / "cache").exists()


def test_a_cut_entry_shows_in_the_first_fill_and_in_load(
    tmp_path: Path, cache: LatentsCache, base: Base, make_clip: MakeClip
) -> None:
    clip = make_clip()
    cache.fill([clip])
    path = entries(tmp_path / "cache", "clip")[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CacheUnreadable, match="delete the cache folder and encode again"):
        cache.load([clip])
    with pytest.raises(CacheUnreadable):
        LatentsCache(tmp_path / "cache", base, key=KEY).fill([clip])


def test_an_entry_put_in_anothers_place_is_refused(
    tmp_path: Path, cache: LatentsCache, make_clip: MakeClip
) -> None:
    clips = [make_clip(40), make_clip(200)]
    cache.fill(clips)
    one, other = entries(tmp_path / "cache", "clip")
    one.write_bytes(other.read_bytes())
    with pytest.raises(CacheUnreadable, match="renamed"):
        cache.load(clips)


def test_load_before_fill_is_an_error_of_ours(cache: LatentsCache, make_clip: MakeClip) -> None:
    with pytest.raises(CacheUnreadable):
        cache.load([make_clip()])


def test_progress_counts_what_is_there_and_then_each_pass(
    tmp_path: Path, base: Base, make_clip: MakeClip
) -> None:
    clips = [make_clip(red) for red in (40, 80, 120, 160)]
    cache = LatentsCache(tmp_path / "cache", base, key=KEY, batch_size=2)
    cache.fill(clips[:1])
    seen: list[tuple[int, int]] = []
    cache.fill(clips, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (3, 4), (4, 4)]


def test_a_bad_clip_stops_its_pass_before_any_of_it_is_stored(
    tmp_path: Path, base: Base, make_clip: MakeClip
) -> None:
    cache = LatentsCache(tmp_path / "cache", base, key=KEY, batch_size=2)
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"not a video")
    broken = replace(
        make_clip(), path=path, sha256=hashlib.sha256(b"not a video").hexdigest(), instruction="x"
    )
    with pytest.raises(VideoUnreadable, match="can't be decoded"):
        cache.fill([make_clip(40), broken])
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["key.sealed"]


@pytest.mark.parametrize("change", ["missing", "changed"])
def test_a_clip_that_is_not_the_file_it_was_is_refused(
    cache: LatentsCache, make_clip: MakeClip, change: str
) -> None:
    clip = make_clip()
    if change == "missing":
        clip.path.unlink()
    else:
        write_video(clip.path, np.zeros((20, 64, 96, 3), np.uint8), 8)
    with pytest.raises(VideoUnreadable, match=r"clip c200 .*curate it again"):
        cache.fill([clip])


def test_pruning_leaves_only_what_the_clips_to_keep_use(
    tmp_path: Path, cache: LatentsCache, base: Base, make_clip: MakeClip
) -> None:
    kept, forgotten = make_clip(40), make_clip(200, "a text of one clip alone")
    cache.fill([kept, forgotten])
    folder = tmp_path / "cache"
    (folder / ".clip-0.sealed.1.part").write_bytes(b"draft of a killed process")
    (folder / "clip-0.safetensors").write_bytes(b"plain")
    assert cache.prune([kept]) == 3  # a clip, its text and the plain file
    assert len(entries(folder, "clip")) == 1
    assert len(entries(folder, "text")) == 2
    assert len(list(folder.iterdir())) == 4
    assert cache.prune([kept]) == 0
    assert cache.load([kept])[0].clip_id == "c40"
    assert cache.fill([forgotten]) == 1
    assert cache.prune([]) == 4
    assert LatentsCache(folder, base, key=KEY).fill([]) == 0


@pytest.mark.parametrize("frames", [0, 8, 13, 48])
def test_frame_counts_that_the_autoencoder_would_change_are_refused(
    tmp_path: Path, base: Base, frames: int
) -> None:
    preset = replace(base.preset, frames=frames)
    with pytest.raises(PlanInvalid, match=rf"frames={frames}: must be 8k\+1; the nearest are "):
        LatentsCache(tmp_path / "cache", replace(base, preset=preset), key=KEY)


@pytest.mark.parametrize("batch_size", [0, -1, True, 1.5])
def test_a_batch_that_is_no_count_is_refused(tmp_path: Path, base: Base, batch_size: int) -> None:
    with pytest.raises(PlanInvalid, match="batch_size"):
        LatentsCache(tmp_path / "cache", base, key=KEY, batch_size=batch_size)


def test_a_base_without_the_parts_says_which(
    tmp_path: Path, base: Base, make_clip: MakeClip
) -> None:
    for part in ("vae", "text"):
        cache = LatentsCache(tmp_path / "cache", replace(base, **{part: None}), key=KEY)
        with pytest.raises(BaseMissing, match=f"part '{part}'"):
            cache.fill([make_clip()])


def test_frames_are_taken_at_the_presets_rate(make_clip: MakeClip) -> None:
    frames = read_frames(make_clip().path, frames=9, height=64, width=96, fps=2.0)
    assert frames.shape == (9, 64, 96, 3)
    green = frames[:, 32, 72, 1].astype(int)
    assert list(green > 100) == [False] * 5 + [True] * 4  # the change is at 2.5 s


def test_a_broken_clip_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    with pytest.raises(VideoUnreadable):
        read_frames(tmp_path / "broken.mp4", frames=9, height=64, width=96, fps=2.0)
