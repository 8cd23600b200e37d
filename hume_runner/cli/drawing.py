"""Lines at the bottom of a terminal that are drawn again and again, while others are said above them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import IO, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from hume_runner.cli.streams import Canvas, SafeStream, visible

_A_SECOND = 4


class Drawing:
    """Draws what `lines` gives for a width, until it is stopped: then nothing of it is left.

    Colours are rich's affair, which leaves them out where NO_COLOR says so.
    """

    def __init__(self, stream: SafeStream, lines: Callable[[int], Sequence[str]]) -> None:
        self._console = Console(file=cast("IO[str]", Canvas(stream)), highlight=False)
        self._live = Live(
            _Lines(lines),
            console=self._console,
            transient=True,
            refresh_per_second=_A_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        self._live.start(refresh=True)

    def stop(self) -> None:
        self._live.stop()

    def above(self, text: str) -> None:
        """Say a line, as it is, above what is drawn.

        By another thread than the one in which a signal may raise: what breaks off in the middle of rich's printing is
        printed once more by what is printed next.
        """
        if threading.current_thread() is not threading.main_thread():
            self._print(text)
            return
        thread = threading.Thread(target=self._print, args=(text,), name="hume-runner-says")
        try:
            thread.start()
        except RuntimeError:  # the machine has no more threads
            self._print(text)
        else:
            thread.join()

    def _print(self, text: str) -> None:
        self._console.print(Text(visible(text)), soft_wrap=True)


class _Lines:
    def __init__(self, lines: Callable[[int], Iterable[str]]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = Text("\n".join(self._lines(options.max_width)), no_wrap=True, overflow="crop")
        text.highlight_regex("[━#]+", "green")
        text.highlight_regex(r"[\d,]+ failed", "red")
        yield text
