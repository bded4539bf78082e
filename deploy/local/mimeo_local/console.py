"""Progress for people: one line a step, with its time, and failures that say what to do."""

import contextlib
import sys
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
        if not self.quiet and self.is_tty:
            print(f"  … {title}", end="", file=sys.stderr, flush=True)
        try:
            yield state
        except BaseException:
            if not self.quiet:
                print(f"\r  ✗ {title}", file=sys.stderr, flush=True)
            raise
        if not self.quiet:
            note = f" ({state.note})" if state.note else ""
            line = f"  ✓ {title}{note} {time.monotonic() - start:.1f} s"
            print(("\r" if self.is_tty else "") + line, file=sys.stderr, flush=True)

    def fail(self, error):
        print(f"\nmimeo: {error}", file=sys.stderr)
        if error.log:
            print("\n  last lines of its log:", file=sys.stderr)
            for line in error.log.rstrip().splitlines()[-20:]:
                print(f"    {line}", file=sys.stderr)
        if error.hint:
            print(f"\n  {error.hint}", file=sys.stderr)


class _Step:
    note = ""
