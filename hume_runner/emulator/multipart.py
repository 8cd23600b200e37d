"""What every reader of an upload does: collect each part's headers while the body streams past."""

from __future__ import annotations

from abc import ABC, abstractmethod

from python_multipart.multipart import MultipartParser, parse_options_header


class PartReader(ABC):
    """Callbacks of the incremental parser. A subclass says what becomes of the parts."""

    def __init__(self) -> None:
        self.ended = False
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_part_data": self._on_data,
                "on_part_end": self._on_part_end,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_end": self._on_end,
            },
        )

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _on_end(self) -> None:
        self.ended = True

    def _disposition(self) -> dict[bytes, bytes]:
        """The options of the part's Content-Disposition: name, filename."""
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        return options

    @abstractmethod
    def _on_headers_finished(self) -> None: ...

    @abstractmethod
    def _on_data(self, data: bytes, start: int, end: int) -> None: ...

    @abstractmethod
    def _on_part_end(self) -> None: ...
