"""How a message of the secure sum becomes bytes and back, strictly.

    b"OSS1" | length of the header, 4 bytes big-endian | header | body

The header is canonical JSON (sorted keys, no spaces, bytes in hex) of the message's kind and
fields; the body holds one field's raw bytes where the message has a `Body`. `from_bytes` accepts
exactly what `to_bytes` writes: another kind, an unknown, missing or doubled key, another type,
length or order is a MessageRefused. No code is ever loaded from a message.

A field says its form in its annotation: `Annotated[bytes, Fixed(32)]`.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, Self, get_type_hints

from ophora_privacy.errors import MessageRefused
from ophora_privacy.secure_sum.identity import SITE_NAME

_MAGIC = b"OSS1"
_LENGTH = struct.Struct(">I")
_MAX_HEADER = 1 << 24
_FORMS: dict[type, dict[str, Form]] = {}  # by message, read from its annotations once


class Form(Protocol):
    """What a field may hold, and how JSON holds it."""

    def dump(self, value: Any) -> Any:
        """The JSON value. Raises ValueError or TypeError on a value that is not of the form."""
        ...

    def load(self, value: Any) -> Any:
        """The inverse of `dump`."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Bytes of one length."""

    length: int

    def dump(self, value: Any) -> Any:
        """Hexadecimal."""
        if type(value) is not bytes or len(value) != self.length:
            raise ValueError(f"must be {self.length} bytes")
        return value.hex()

    def load(self, value: Any) -> Any:
        """From hexadecimal."""
        if type(value) is not str or len(value) != 2 * self.length:
            raise ValueError(f"must be {2 * self.length} hexadecimal digits")
        return bytes.fromhex(value)


@dataclass(frozen=True, slots=True)
class Name:
    """A site's id."""

    def dump(self, value: Any) -> Any:
        """Itself."""
        if type(value) is not str or not SITE_NAME.fullmatch(value):
            raise ValueError("must be a site id")
        return value

    load = dump


@dataclass(frozen=True, slots=True)
class Names:
    """Site ids, sorted, none twice."""

    def dump(self, value: Any) -> Any:
        """A list."""
        if type(value) is not tuple:
            raise TypeError("must be a tuple of site ids")
        names = [Name().dump(name) for name in value]
        if names != sorted(set(names)):
            raise ValueError("must be sorted site ids, none twice")
        return names

    def load(self, value: Any) -> Any:
        """A tuple."""
        if type(value) is not list:
            raise ValueError("must be a list")
        return tuple(self.dump(tuple(value)))


@dataclass(frozen=True, slots=True)
class Records:
    """A tuple of smaller messages of one class."""

    record: type[Message]

    def dump(self, value: Any) -> Any:
        """A list of dicts."""
        if type(value) is not tuple or any(type(item) is not self.record for item in value):
            raise TypeError(f"must be a tuple of {self.record.__name__}")
        return [item.to_fields() for item in value]

    def load(self, value: Any) -> Any:
        """A tuple of messages."""
        if type(value) is not list:
            raise ValueError("must be a list")
        return tuple(self.record.from_fields(item) for item in value)


@dataclass(frozen=True, slots=True)
class Body:
    """Raw bytes after the header; at most one field of a message."""

    def dump(self, value: Any) -> Any:
        """Their number, so that a cut body shows."""
        if type(value) is not bytes:
            raise TypeError("must be bytes")
        return len(value)

    def load(self, value: Any) -> Any:
        """The bytes are put in by `from_bytes`."""
        raise ValueError("must be in the body")


class Message:
    """Base of the messages, which are frozen dataclasses. Raises MessageRefused on a bad field."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __post_init__(self) -> None:
        self.to_fields()

    def to_fields(self) -> dict[str, Any]:
        """The fields as JSON holds them."""
        found = {}
        for name, form in _forms(type(self)).items():
            try:
                found[name] = form.dump(getattr(self, name))
            except (TypeError, ValueError) as error:
                raise MessageRefused(f"{type(self).__name__}.{name}: {error}") from error
        return found

    @classmethod
    def from_fields(cls, found: Any, body: bytes | None = None) -> Self:
        """The inverse of `to_fields`."""
        forms = _forms(cls)
        if type(found) is not dict or set(found) != set(forms):
            raise MessageRefused(f"{cls.__name__}: must have exactly the fields {sorted(forms)}")
        values = {}
        for name, form in forms.items():
            try:
                has_body = isinstance(form, Body) and body is not None
                values[name] = body if has_body else form.load(found[name])
            except (TypeError, ValueError) as error:
                raise MessageRefused(f"{cls.__name__}.{name}: {error}") from error
        return cls(**values)

    def to_bytes(self) -> bytes:
        """The message as it crosses the network."""
        header = self._header()
        bodies = [name for name, form in _forms(type(self)).items() if isinstance(form, Body)]
        return b"".join(
            [_MAGIC, _LENGTH.pack(len(header)), header, *(getattr(self, name) for name in bodies)]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`. Raises MessageRefused on anything else."""
        header, body = _split(data)
        try:
            content = json.loads(header)
        except (ValueError, RecursionError) as error:
            raise MessageRefused(f"{cls.__name__}: its header must be JSON") from error
        if type(content) is not dict or content.get("kind") != cls.__name__:
            raise MessageRefused(f"message: must be of the kind {cls.__name__}")
        has_body = any(isinstance(form, Body) for form in _forms(cls).values())
        message = cls.from_fields(content.get("fields"), body if has_body else None)
        if message._header() != header or (body and not has_body):
            raise MessageRefused(f"{cls.__name__}: must be written as to_bytes() writes it")
        return message

    def _header(self) -> bytes:
        return _canonical({"kind": type(self).__name__, "fields": self.to_fields()})


def _forms(message: type[Message]) -> dict[str, Form]:
    if message not in _FORMS:
        hints = get_type_hints(message, include_extras=True)
        _FORMS[message] = {
            field.name: hints[field.name].__metadata__[0] for field in fields(message)
        }
    return _FORMS[message]


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _split(data: bytes) -> tuple[bytes, bytes]:
    start = len(_MAGIC) + _LENGTH.size
    if type(data) is not bytes or len(data) < start or data[: len(_MAGIC)] != _MAGIC:
        raise MessageRefused("message: must start as to_bytes() writes it")
    (length,) = _LENGTH.unpack_from(data, len(_MAGIC))
    if length > min(_MAX_HEADER, len(data) - start):
        raise MessageRefused(f"message: its header of {length} bytes is cut short or too long")
    return data[start : start + length], data[start + length :]
