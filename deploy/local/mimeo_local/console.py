"""Progress for people: one line a step, with its time, and failures that say what to do."""

import contextlib
import os
import signal
import sys
import threading
import time


class StackError(Exception):
    """Something a person must act on. `hint` says what to do, `log` is the end of the part's log."""

    def __init__(self, message, hint="", log=""):
        super().__init__(message)
        self.hint = hint
        self.log = log


class Console:
    """Prints steps. Quiet mode prints nothing but failures (tests)."""

    def __init__(self, quiet=False):
        self.quiet = quiet
        self.is_tty = sys.stderr.isatty()

    def say(self, text=""):
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def step(self, title):
        """Shows `title`, then how long the body took. The body may set `.note` on what it gets."""
        state = _Step()
        start = time.monotonic()
        mark = "✗"
        try:
            with self._clock(title, start):
                yield state
            mark = "✓"
        finally:
            note = f" ({state.note})" if state.note and mark == "✓" else ""
            line = f"  {mark} {title}{note} {time.monotonic() - start:.1f} s"
            self.say((_OVERWRITE if self.is_tty else "") + line)

    @contextlib.contextmanager
    def _clock(self, title, start):
        """On a terminal: the title at once, and its seconds while it lasts. A timer signal paints
        them, because a thread beside fork() is asking for trouble."""
        if self.quiet or not self.is_tty or threading.current_thread() is not threading.main_thread():
            yield
            return

        def paint(*_):
            seconds = time.monotonic() - start
            text = f"{_OVERWRITE}  … {title}" + (f" {seconds:.0f} s" if seconds >= 1 else "")
            os.write(sys.stderr.fileno(), text.encode())

        paint()
        before = signal.signal(signal.SIGALRM, paint)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def fail(self, error):
        print(f"\nmimeo: {error}", file=sys.stderr)
        if error.log.strip():
            print("\n  last lines of its log:", file=sys.stderr)
            for line in error.log.strip().splitlines()[-20:]:
                print(f"    {line}", file=sys.stderr)
        if error.hint:
            print("\n  " + error.hint.replace("\n", "\n  "), file=sys.stderr)


class _Step:
    note = ""


_OVERWRITE = "\r\x1b[K"  # Back to the line's begin, and clear it.
