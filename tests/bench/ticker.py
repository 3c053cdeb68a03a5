"""A provider of streams that costs little: a chunk to each every 5 ms. Prints its port. Argument: chunks."""

import asyncio
import sys
from typing import ClassVar

EVERY = 0.005
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def framed(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def piece(delta: bytes, finish: bytes = b"null") -> bytes:
    """One event of a chat completion."""
    choice = b'{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}' % (delta, finish)
    return (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[%b]}\n\n'
        % choice
    )


ROLE = piece(b'{"role":"assistant","content":""}')
CONTENT = framed(piece(b'{"content":" token"}'))
LAST = framed(piece(b"{}", b'"stop"') + b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Stream(asyncio.Protocol):
    """One connection: a request begins a stream. Small requests only, each in one piece."""

    under_way: ClassVar[set["Stream"]] = set()

    def __init__(self, chunks: int) -> None:
        self._chunks, self._left = chunks, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A request."""
        self._transport.write(HEAD + framed(ROLE))
        self._left = self._chunks
        Stream.under_way.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        Stream.under_way.discard(self)

    def tick(self) -> None:
        """The next chunk, or the end."""
        self._left -= 1
        self._transport.write(CONTENT if self._left else CONTENT + LAST)
        if not self._left:
            Stream.under_way.discard(self)


async def main(chunks: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stream(chunks), "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    due = loop.time()
    while True:
        due += EVERY
        await asyncio.sleep(max(0.0, due - loop.time()))
        for stream in list(Stream.under_way):
            stream.tick()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
