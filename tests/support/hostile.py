"""Two hundred damaged and hostile files, made the same way every time from a few small videos.

`make_corpus(folder, canary)` writes them below one folder a patient; what would lead a careless
decoder elsewhere points at the `Canary`'s file and address.
"""

import random
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from os import mkfifo
from pathlib import Path
from tempfile import NamedTemporaryFile

import av
import numpy as np

PATIENT = "Poe_Edgar_MRN990017"
SIZE = (192, 128)
_FRAMES = 24  # 3 s
_FORMATS = {  # name -> container, codec, options of the container
    "front.mp4": ("mp4", "libx264", {"movflags": "faststart"}),
    "back.mp4": ("mp4", "libx264", {}),
    "pieces.mp4": ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "a.mkv": ("matroska", "libx264", {}),
    "a.webm": ("webm", "libvpx-vp9", {}),
    "a.avi": ("avi", "mpeg4", {}),
    "a.ts": ("mpegts", "mpeg2video", {}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """What nobody may open: a file, and an address that listens."""

    path: Path
    address: str  # "127.0.0.1:41234"


def make_corpus(folder: Path, canary: Canary) -> list[Path]:
    """Write all files; the videos among them, without the sidecars, in a fixed order."""
    home = folder / PATIENT
    home.mkdir(parents=True)
    seeds = {name: make_video(*_FORMATS[name]) for name in _FORMATS}
    plain = dict(_all_contents(seeds, canary))
    paths = []
    for name, content in plain.items():
        path = home / name
        path.write_bytes(content)
        paths.append(path)
    paths += _special_files(home, seeds["front.mp4"], canary)
    paths += _with_sidecars(home, seeds["front.mp4"], canary)
    paths += _odd_names(home, seeds["front.mp4"])
    return paths


def make_video(kind: str, codec: str, options: dict[str, str], *, frames: int = _FRAMES) -> bytes:
    """A small video without sound: a disc that moves over a smooth ground."""
    with (
        NamedTemporaryFile() as target,
        av.open(target.name, "w", format=kind, options=options) as container,
    ):
        container.flags |= av.container.Flags.bitexact.value
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        if codec == "gif":
            stream.pix_fmt = "rgb8"
        stream.thread_count = 1
        stream.codec_context.options = {"g": "8"}
        rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
        for index in range(frames):
            picture = np.stack([rows, columns, 128 + rows // 4], axis=2).astype(np.uint8)
            disc = (rows - 64) ** 2 + (columns - 20 - 6 * index) ** 2 < 900
            picture[disc] = (220, 60, 40)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        container.close()
        return Path(target.name).read_bytes()


def _all_contents(seeds: dict[str, bytes], canary: Canary) -> Iterator[tuple[str, bytes]]:
    yield from _truncated(seeds)
    yield from _flipped(seeds)
    yield from _holed(seeds)
    yield from _disguised(seeds)
    yield from _playlists(seeds, canary)
    yield from _huge_pictures(seeds)
    yield from _false_numbers(seeds)
    yield from _nested(seeds)
    yield from _sounds()
    yield from _foreign()
    yield from _dicom(seeds)


def _truncated(seeds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name, content in seeds.items():
        for percent in (2, 20, 45, 70, 95):
            yield f"cut{percent}-{name}", content[: len(content) * percent // 100]


def _flipped(seeds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name, content in seeds.items():
        for number, (start, end, count) in enumerate(
            ((0.0, 1.0, 12), (0.0, 1.0, 400), (0.0, 0.12, 6), (0.0, 0.12, 60), (0.8, 1.0, 30))
        ):
            rng = random.Random(f"{name}/{number}")
            changed = bytearray(content)
            for _ in range(count):
                place = rng.randrange(int(start * len(changed)), int(end * len(changed)))
                changed[place] ^= 1 << rng.randrange(8)
            yield f"flip{number}-{name}", bytes(changed)


def _holed(seeds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name, content in seeds.items():
        for percent in (15, 60):
            start = len(content) * percent // 100
            end = start + len(content) // 5
            yield f"hole{percent}-{name}", content[:start] + bytes(end - start) + content[end:]


def _disguised(seeds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Wrong suffixes and files that are two things at once."""
    film = seeds["front.mp4"]
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.txt", bytes(100_000))
    page = b"<html><script>alert(1)</script></html>"
    yield "matroska.mp4", seeds["a.mkv"] + b"\x00"
    yield "mp4.avi", film + box(b"free", b"1")
    yield "mp4.jpg", film + box(b"free", b"2")
    yield "avi.ts", seeds["a.avi"] + bytes(8)
    yield "text.mp4", b"Mary Poe came in on Monday. " * 200
    yield "random.mp4", random.Random(1).randbytes(20_000)
    yield "zeros.mkv", bytes(20_000)
    yield "film-and-zip.mp4", film + archive.getvalue()
    yield "zip.mp4", archive.getvalue()
    yield "pdf-and-film.mp4", b"%PDF-1.7\n" + film
    yield "page-and-film.mp4", page + film
    yield "page-in-box.mp4", box(b"free", page) + film
    yield "gif-and-film.mp4", b"GIF89a" + bytes(100) + film
    yield "program.mp4", b"\x7fELF\x02\x01\x01" + bytes(500)
    yield "script.mp4", b"#!/bin/sh\nrm -rf /\n"
    yield "png.avi", png_of(64, 64)


def _playlists(seeds: dict[str, bytes], canary: Canary) -> Iterator[tuple[str, bytes]]:
    """Texts and boxes that name another file or an address."""
    file, url = f"{canary.path}", f"http://{canary.address}/a.ts"
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n"
    yield "hls-file.mp4", f"{head}#EXTINF:9,\n{file}\n#EXT-X-ENDLIST\n".encode()
    yield "hls-passwd.mp4", f"{head}#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n".encode()
    yield "hls-http.mp4", f"{head}#EXTINF:9,\n{url}\n#EXT-X-ENDLIST\n".encode()
    yield "hls-mark.ts", b"\xef\xbb\xbf" + f"{head}#EXTINF:9,\nfile://{file}\n".encode()
    yield (
        "hls-key.mkv",
        f'{head}#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:9,\n{file}\n'.encode(),
    )
    yield "concat.mp4", f"ffconcat version 1.0\nfile '{file}'\nfile '{url}'\n".encode()
    yield "concat.avi", f"file {file}\n".encode()
    yield "dash.mp4", f'<?xml version="1.0"?><MPD><BaseURL>{url}</BaseURL></MPD>'.encode()
    yield "session.mp4", f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 {canary.address}\n".encode()
    yield "redirect.asf", f"[Reference]\nRef1={url}\n".encode()
    yield "elsewhere.mp4", _elsewhere(seeds["front.mp4"], f"file://{file}")
    yield "elsewhere-http.mp4", _elsewhere(seeds["front.mp4"], url)


def _elsewhere(content: bytes, place: str) -> bytes:
    """The film, whose index says that its samples lie in another file."""
    known = box(b"url ", struct.pack(">I", 1))
    named = box(b"url ", struct.pack(">I", 0) + place.encode() + b"\0")
    named += bytes(0)
    start = content.index(known)
    grown = len(named) - len(known)
    changed = bytearray(content[:start] + named + content[start + len(known) :])
    for kind in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = content.rindex(kind, 0, start) - 4
        length = struct.unpack(">I", changed[at : at + 4])[0]
        changed[at : at + 4] = struct.pack(">I", length + grown)
    return bytes(changed)


def _huge_pictures(seeds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Headers that claim 16k x 16k and more."""
    film, small, large = (
        seeds["front.mp4"],
        struct.pack(">HH", *SIZE),
        struct.pack(">HH", *[16384] * 2),
    )
    yield "claims-16k.mp4", film.replace(small, large)
    yield "claims-64k.mp4", film.replace(small, b"\xff\xff\xff\xff")
    yield "h264-16k.ts", _h264_of(16384, 16384)
    yield "h264-8k.ts", _h264_of(8192, 8192)
    yield "png-16k.mp4", _one_packet("mp4", "png", png_of(16384, 16384))
    yield "png-64k.avi", _one_packet("avi", "png", png_of(65535, 65535))
    yield "mjpeg-64k.avi", _one_packet("avi", "mjpeg", _jpeg_of(65500, 65500))
    yield "vp9-64k.webm", _vp9_of(seeds["a.webm"], 65536, 65536)
    yield "vp9-track.webm", seeds["a.webm"].replace(b"\xb0\x81\xc0", b"\xb0\x81\xff")
    yield "raw-16k.avi", _raw_avi(16384, 16384)
    yield "raw-minus.avi", _raw_avi(-16384, -16384)
    yield (
        "mpeg2-16k.ts",
        seeds["a.ts"].replace(b"\x00\x00\x01\xb3\x0c\x00\x80", b"\x00\x00\x01\xb3\xff\xff\xff"),
    )


def _false_numbers(seeds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Endless durations, counts of billions, sizes below nothing."""
    film, most = seeds["front.mp4"], b"\xff" * 4
    for kind, at in ((b"mvhd", 16), (b"mdhd", 16), (b"tkhd", 20), (b"elst", 8)):
        yield f"endless-{kind.decode()}.mp4", patched(film, kind, at, b"\x7f\xff\xff\xff")
    for kind, at in ((b"mvhd", 12), (b"mdhd", 12)):
        yield f"slow-{kind.decode()}.mp4", patched(film, kind, at, struct.pack(">I", 1))
        yield f"stopped-{kind.decode()}.mp4", patched(film, kind, at, bytes(4))
    yield "late.mp4", patched(film, b"stts", 12, b"\x7f\xff\xff\xff")
    for kind, at in ((b"stsz", 8), (b"stco", 4), (b"stsc", 4), (b"stts", 4), (b"ctts", 4)):
        yield f"many-{kind.decode()}.mp4", patched(film, kind, at, most)
    yield "large-stsz.mp4", patched(film, b"stsz", 12, most * 8)
    yield "far-stco.mp4", patched(film, b"stco", 8, most)
    for size in (b"\x00\x00\x00\x00", b"\x00\x00\x00\x07", b"\x80\x00\x00\x00", most):
        yield f"moov-{size.hex()}.mp4", patched(film, b"moov", -4, size)
    yield "mdat-64-bit.mp4", box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"mdat", 2**63)
    matroska = seeds["a.mkv"]
    yield "endless.mkv", patched(matroska, b"\x44\x89\x88", 0, struct.pack(">d", 1e15))
    yield "nan.mkv", patched(matroska, b"\x44\x89\x88", 0, struct.pack(">d", float("nan")))
    yield "fast.avi", patched(seeds["a.avi"], b"avih", 4, struct.pack("<I", 1))
    yield "many.avi", patched(seeds["a.avi"], b"avih", 20, most)


def _nested(seeds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    deep = b""
    for _ in range(8000):
        deep = box(b"udta", deep)
    yield "deep.mp4", box(b"ftyp", b"isom") + box(b"moov", deep) + seeds["front.mp4"][32:]
    track = box(b"trak", box(b"tkhd", bytes(84)))
    yield "crowd.mp4", box(b"ftyp", b"isom") + box(b"moov", track * 20_000)
    master = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7
    yield "deep.mkv", master + b"\x12\x54\xc3\x67\x01\xff\xff\xff\xff\xff\xff\xff" * 4000
    yield "boxes.mp4", box(b"free", b"") * 50_000 + seeds["front.mp4"]


def _sounds() -> Iterator[tuple[str, bytes]]:
    """Sound without a picture."""
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        8036,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        16000,
        32000,
        2,
        16,
        b"data",
        8000,
    )
    yield "wave.mp4", header + bytes(8000)
    for name, kind, codec in (("sound.mp4", "mp4", "aac"), ("sound.mkv", "matroska", "pcm_s16le")):
        target = BytesIO()
        with av.open(target, "w", format=kind) as container:
            stream = container.add_stream(codec, rate=16000, layout="mono")
            form = stream.codec_context.format.name
            samples = np.zeros((1, 16000), np.float32 if form == "fltp" else np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format=form, layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        yield name, target.getvalue()


def _foreign() -> Iterator[tuple[str, bytes]]:
    """Sound videos in containers that are rare in hospitals, and in some that are not taken."""
    for kind, codec in (
        *(("asf", "mpeg4"), ("vob", "mpeg2video"), ("flv", "libx264")),
        *(("yuv4mpegpipe", "wrapped_avframe"), ("gif", "gif")),
    ):
        yield f"{kind}.mp4", make_video(kind, codec, {}, frames=16)


def _dicom(seeds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    mpeg4 = b"1.2.840.10008.1.2.4.102"
    head = bytes(128) + b"DICM" + _element(2, 0x10, b"UI", mpeg4 + b"\0")
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    film = seeds["front.mp4"]
    fragment = struct.pack("<HHI", 0xFFFE, 0xE000, len(film)) + film
    yield "head.dcm", bytes(128) + b"DICM"
    yield "no-pixels.dcm", head
    yield "cut.dcm", head + pixels + item + fragment[: len(fragment) // 2]
    yield (
        "endless.dcm",
        head + pixels + item + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFF0) + film,
    )
    yield "no-items.dcm", head + pixels + bytes(2000)
    yield "large.dcm", head + struct.pack("<HH2sHI", 0x10, 0x10, b"UN", 0, 0xFFFFFFF0) + bytes(500)
    yield (
        "deep.dcm",
        head
        + struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        + (
            struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
            + struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        )
        * 4000,
    )
    yield "unknown.dcm", head.replace(mpeg4, b"1.2.840.10008.1.2.4.999") + pixels + item


def _special_files(home: Path, film: bytes, canary: Canary) -> list[Path]:
    """What is no plain file, or hardly one."""
    names = ("empty.mp4", "one-byte.mp4", "pipe.mp4", "link.mp4", "loop.mp4", "link-home.mp4")
    empty, one, pipe, link, loop, around = (home / name for name in names)
    empty.touch()
    one.write_bytes(b"\x00")
    mkfifo(pipe)
    link.symlink_to(canary.path)
    loop.symlink_to(loop)
    around.symlink_to(home)
    inside = home / "folder.mp4"
    inside.mkdir()
    (inside / "film.mp4").write_bytes(film[:-700])
    sparse, film_and_hole = home / "sparse.mp4", home / "film-and-hole.mp4"
    for path, head, size in (
        (sparse, b"", 1 << 30),
        (film_and_hole, film + struct.pack(">I4sQ", 1, b"mdat", (1 << 30) - len(film)), 1 << 30),
    ):
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)
    return [empty, one, pipe, link, loop, around, inside / "film.mp4", sparse, film_and_hole]


def _with_sidecars(home: Path, film: bytes, canary: Canary) -> list[Path]:
    """Sound videos beside subtitles that are none."""
    cue = "{n}\n00:00:00,000 --> 99:59:59,999\n" + "patient " * 40 + "\n\n"
    contents: dict[str, bytes | None] = {
        "cues.srt": "".join(cue.format(n=n) for n in range(8000)).encode(),
        "long.srt": b"1\n00:00:00,000 --> 00:00:02,000\n" + b"word " * 400_000,
        "binary.srt": random.Random(2).randbytes(5000),
        "marks.vtt": b"WEBVTT\n\n" + b"<c.a>" * 100_000,
        "deep.json": b"[" * 200_000,
        "number.json": b'[{"start": 0, "end": 1e999, "text": "a"}]',
        "digits.json": b'[{"start": ' + b"9" * 100_000 + b', "end": 1, "text": "a"}]',
        "objects.json": b'{"segments": [' + b'{"a":[{}]},' * 300_000 + b"{}]}",
        "linked.srt": None,
        "huge.json": None,
    }
    paths = []
    for number, (name, content) in enumerate(contents.items()):
        path = (home / name).with_suffix(".mp4").with_stem(f"sidecar-{Path(name).stem}")
        sidecar = path.with_suffix(Path(name).suffix)
        path.write_bytes(film + box(b"free", f"sidecar {number}".encode()))
        if content is not None:
            sidecar.write_bytes(content)
        elif name == "linked.srt":
            sidecar.symlink_to(canary.path)
        else:
            with sidecar.open("wb") as file:
                file.truncate(200 << 20)
        paths.append(path)
    return paths


def _odd_names(home: Path, film: bytes) -> list[Path]:
    """Names that break a log, a shell or a decoder's address; half of the files are sound."""
    names = [
        *(b"new\nline.mp4", b"\x1b[31mred.mp4", b"not-utf8-\xff\xfe.mp4", b"n" * 251 + b".mp4"),
        *(
            b"-i.mp4",
            b"percent%s%n%d.mp4",
            b"a|b;c.mp4",
            b"http:..127.0.0.1.mp4",
            b"concat:a|b.mp4",
        ),
        *("\u202egnp.mp4".encode(), b"quote'\".mp4", b" .mp4"),
    ]
    paths = []
    for number, name in enumerate(names):
        path = home / name.decode("utf-8", "surrogateescape")
        whole = film + box(b"free", f"name {number}".encode())
        path.write_bytes(whole if number % 2 else whole[: 300 + number])
        paths.append(path)
    return paths


def box(kind: bytes, content: bytes) -> bytes:
    """An MP4 box."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def patched(content: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    """`content` with `value` at `offset` after the first `mark` (before it, when negative)."""
    found = content.find(mark)
    if found < 0:  # the seed has no such part: its film in front of a box of that kind
        return content + box(mark[:4].ljust(4), value * 4)
    start = found + (len(mark) + offset if offset >= 0 else offset)
    return content[:start] + value + content[start + len(value) :]


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(3 * 64 * 64 + 64))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def _jpeg_of(width: int, height: int) -> bytes:
    ok = BytesIO()
    with av.open(ok, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    content = ok.getvalue()
    start = content.index(b"\xff\xc0") + 5
    return content[:start] + struct.pack(">HH", height, width) + content[start + 4 :]


def _one_packet(kind: str, codec: str, data: bytes) -> bytes:
    """A container whose every packet is `data`."""
    target = BytesIO()
    with av.open(target, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=8)
        stream.width, stream.height = SIZE
        stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        for index in range(_FRAMES):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, index, index
            packet.time_base, packet.is_keyframe = 1 / stream.codec_context.framerate, True
            container.mux(packet)
    return target.getvalue()


def _h264_of(width: int, height: int) -> bytes:
    """A transport stream whose parameter set claims a size."""
    bits = "01000010" + "00000000" + "00111110"  # baseline, level 6.2
    sps = [0, 0, 2, 1]  # id, frame number bits, order type, references
    bits += "".join(map(_golomb, sps)) + "0"
    bits += _golomb(width // 16 - 1) + _golomb(height // 16 - 1) + "11" + "00" + "1"
    pps = _golomb(0) * 2 + "00" + _golomb(0) * 3 + "000" + _golomb(0) * 3 + "000" + "1"
    slice_bits = _golomb(0) + _golomb(7) + _golomb(0) + "0000" + _golomb(0) + "1010" + "1"
    units = [b"\x67" + _bytes(bits), b"\x68" + _bytes(pps), b"\x65" + _bytes(slice_bits)]
    return _one_packet("mpegts", "libx264", b"".join(b"\x00\x00\x00\x01" + unit for unit in units))


def _golomb(value: int) -> str:
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def _bytes(bits: str) -> bytes:
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return bytes(int(padded[start : start + 8], 2) for start in range(0, len(padded), 8))


def _vp9_of(content: bytes, width: int, height: int) -> bytes:
    """The film, whose first key frame claims a size: 4 bits after the sync code, 16 bits each."""
    start = content.index(b"\x49\x83\x42") + 3
    old = int.from_bytes(content[start : start + 5], "big")
    new = old & 0xF00000000F | (width - 1) << 20 | (height - 1) << 4
    return content[:start] + new.to_bytes(5, "big") + content[start + 5 :]


def _raw_avi(width: int, height: int) -> bytes:
    content = bytearray(_one_packet("avi", "rawvideo", bytes(SIZE[0] * SIZE[1] * 3 // 2)))
    start = content.index(b"strf") + 8
    content[start + 4 : start + 12] = struct.pack("<ii", width, height)
    return bytes(content)


def _element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, number, kind, len(value)) + value
