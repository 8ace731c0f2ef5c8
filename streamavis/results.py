"""The results of one source as its user takes them: a loop, an async loop, or a function."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from streamavis.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from types import TracebackType

    from streamavis.io.media import MediaInfo
    from streamavis.runtime.engine import Engine
    from streamavis.status import EngineReport
    from streamavis.types import FrameResult

__all__ = ["Stream"]


class Stream:
    """Results of one source; of `streamavis.open`. An iterator and a context manager.

    Take them in one way: `for result in stream`, `async for result in stream`, `run` or `start`.
    Nothing is read before the first result is asked for, and a recording is decoded a little
    ahead of it. A loop that is left early, by `break` or by an error, stops the stream.

    Attributes:
        info: size, rate and sound of the source, as known beforehand.
    """

    def __init__(
        self,
        engine: Engine,
        info: MediaInfo,
        resources: ExitStack,
        on_result: Callable[[FrameResult], object] | None = None,
    ) -> None:
        """Prepare; `resources` are closed when the engine has left the source."""
        self.info = info
        self._engine = engine
        self._resources = resources
        self._on_result = on_result
        self._results = engine.results()
        self._thread: threading.Thread | None = None  # of `start`
        self._failure: BaseException | None = None  # of that thread
        self._pool: ThreadPoolExecutor | None = None  # one thread, of an async loop
        self._lock = threading.RLock()  # one caller at a time inside the results

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> FrameResult:
        """The next frame's result.

        Raises:
            TruncatedInputError: the input broke off; everything before it was delivered.
            ModelOutputError: the model gave NaN or infinity.
            MisuseError: the stream runs on a thread of its own, after `start`.
        """
        self._check_free()
        return self._next()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FrameResult:
        """The next frame's result; the model runs on a thread, the event loop goes on.

        Raises:
            As `next`. A task that is cancelled stops the stream.
        """
        self._check_free()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="streamavis-async")
        loop = asyncio.get_running_loop()
        result = None
        try:
            result = await loop.run_in_executor(self._pool, self._next_or_none)
        except asyncio.CancelledError:
            self.stop()
            raise
        finally:
            if result is None:  # over, failed or cancelled: the thread ends with what it does
                self._pool.shutdown(wait=False)
        if result is None:
            raise StopAsyncIteration
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @property
    def report(self) -> EngineReport:
        """Frames, drops and latencies per stage: so far, and in full once the stream is over."""
        return self._engine.report

    def run(self) -> EngineReport:
        """Take every result on this thread: they go to `on_result` and the sinks.

        Raises:
            As `next`; and what `on_result` raises.
        """
        for _ in self:
            pass
        return self.report

    def start(self) -> Self:
        """Do as `run` on a thread of its own, and return at once; see `wait`.

        Raises:
            MisuseError: it was started before.
        """
        self._check_free()
        # A daemon: a program that ends does not wait for it.
        self._thread = threading.Thread(target=self._work, name="streamavis-run", daemon=True)
        self._thread.start()
        return self

    def wait(self, timeout_s: float | None = None) -> EngineReport:
        """After `start`: wait until the stream is over, at most `timeout_s`.

        Raises:
            As `run`, of what ended the stream.
        """
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return self.report

    def stop(self) -> None:
        """End soon, from any thread: at most one more result comes."""
        self._engine.stop()

    def close(self) -> None:
        """Stop and release everything; safe to call twice, and from any thread.

        A source that does not answer within 2 s is left behind, open.
        """
        if threading.current_thread() is self._thread:
            self._engine.stop()  # `on_result` asks for it; the thread closes all as it ends
            return
        if self._thread is not None and self._thread.is_alive():
            self._engine.stop()
            self._thread.join()
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._engine.stop()
        self._close()

    def _work(self) -> None:
        try:
            while self._next_or_none() is not None:
                pass
        except BaseException as error:
            self._failure = error
        finally:
            self._close()

    def _next(self) -> FrameResult:
        with self._lock:
            try:
                result = next(self._results)
                if self._on_result is not None:
                    self._on_result(result)
            except BaseException:
                self._release()
                raise
            return result

    def _next_or_none(self) -> FrameResult | None:
        try:
            return self._next()
        except StopIteration:
            return None

    def _close(self) -> None:
        with self._lock:
            self._release()

    def _release(self) -> None:
        self._results.close()
        if not self._engine.reading:
            self._resources.close()

    def _check_free(self) -> None:
        if self._thread is not None:
            raise MisuseError("the stream was started: it runs on a thread of its own")
