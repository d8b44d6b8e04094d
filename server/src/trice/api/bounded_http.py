"""uvicorn's HTTP connection with a bound on what comes before a body.

uvicorn bounds headers only with its slow parser (h11); a client that never ends its headers would
fill the memory. What is in scope here is bytes: how they parse stays uvicorn's business.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trice import limits


class BoundedHttp(HttpToolsProtocol):
    """Counts the bytes of request line and headers; too many end the connection with a 400.

    Once it has handed a WebSocket over, nothing refers to it: uvicorn's own would stay, 2 kB for
    each socket, because its parser refers to it and it to its parser.
    """

    _head_bytes = 0
    _is_in_head = True

    def data_received(self, data: bytes) -> None:
        # Looked at before this piece is added: it may hold the end of the headers and a body.
        if self._is_in_head and self._head_bytes > limits.HTTP_HEADER_BYTES_MAX:
            self.send_400_response(
                f"The headers are larger than {limits.HTTP_HEADER_BYTES_MAX} bytes."
            )
            return
        self._head_bytes += len(data)
        super().data_received(data)

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        # It calls back to this protocol, so that both would wait for a collection; nothing is
        # parsed from here on. uvicorn's type says it is always there.
        self.parser = None  # type: ignore[assignment]

    def on_message_begin(self) -> None:
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_complete()
