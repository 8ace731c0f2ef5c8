"""An output that asks the program to stop once it has written something."""

import io

from streamavis_apps.exits import Stop


class UntilSaid(io.StringIO):
    """Keeps what is written, and sets a stop once `last` has been written."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self.stop, self._last = Stop(), last

    def write(self, text: str) -> int:
        if self._last in text:
            self.stop.event.set()
        return super().write(text)
