"""Send results to every client that connects, one JSON line per frame.

python examples/async_server.py clip.mp4     # then: nc 127.0.0.1 8700
"""

from __future__ import annotations

import asyncio
import json
import sys

import streamavis as sa


def line(result: sa.FrameResult) -> bytes:
    """A result as the client reads it."""
    tracks = [
        {"id": t.id, "label": t.label, "sounding": t.sounding, "box": t.box} for t in result.tracks
    ]
    return json.dumps({"seq": result.seq, "tracks": tracks}).encode() + b"\n"


class Server:
    """Clients on a port, and what they are sent."""

    def __init__(self) -> None:
        self.clients: set[asyncio.StreamWriter] = set()
        self.joined = asyncio.Event()

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a client in until it hangs up."""
        self.clients.add(writer)
        self.joined.set()
        await reader.read()
        self.clients.discard(writer)

    async def serve(self, stream: sa.Stream) -> None:
        """Send every result of a stream; it begins with the first client."""
        await self.joined.wait()
        async with stream:
            async for result in stream:
                for client in list(self.clients):
                    client.write(line(result))
        for client in list(self.clients):
            client.close()


async def main(source: int | str, model: sa.StreamAVIS, port: int) -> None:
    server = Server()
    async with await asyncio.start_server(server.join, "127.0.0.1", port):
        await server.serve(sa.open(source, model))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else 0, sa.load("nano"), 8700))
