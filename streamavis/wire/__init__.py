"""Results to robots: message schema, codec, publisher and subscriber. No torch.

A robot's side needs only `for result in Subscriber("tcp://127.0.0.1:5555"): ...`.
"""

from streamavis.wire.ages import Age
from streamavis.wire.checks import check_rle
from streamavis.wire.codec import decode, encode
from streamavis.wire.keys import ClientKey, KeyFolder
from streamavis.wire.listener import Listener
from streamavis.wire.publisher import Publisher
from streamavis.wire.schema import VERSION, EndOfStream, Hello, Message, StageLatency, Status
from streamavis.wire.subscriber import Subscriber

__all__ = [
    "VERSION",
    "Age",
    "ClientKey",
    "EndOfStream",
    "Hello",
    "KeyFolder",
    "Listener",
    "Message",
    "Publisher",
    "StageLatency",
    "Status",
    "Subscriber",
    "check_rle",
    "decode",
    "encode",
]
