"""Gives its input back word by word, as a language model would: streaming, logs, metrics, errors, cancellation."""

import time
import traceback

from cog import BaseRunner, ConcatenateIterator, Input, current_scope, streaming


class Runner(BaseRunner):
    @streaming
    def run(
        self,
        text: str = Input(description="What to stream back, word by word"),
        delay_ms: int = Input(description="Pause before each word", default=0, ge=0, le=60_000),
        fail_at: int = Input(description="Fail before this word (0 is the first)", default=-1),
    ) -> ConcatenateIterator[str]:
        count = 0
        try:
            for word in text.split():
                if count == fail_at:
                    raise ValueError(f"failed at word {count}")
                time.sleep(delay_ms / 1000)
                print(f"word {count}")
                yield word if count == 0 else " " + word
                count += 1
        except Exception:
            # Callers see the message of an exception and nothing more (Cog 0.17 and later): log the rest.
            traceback.print_exc()
            raise
        finally:
            # Reached after a cancellation too: it is raised here, as a CancelationException.
            print(f"stopped after {count} words")
            current_scope().record_metric("output_token_count", count)
