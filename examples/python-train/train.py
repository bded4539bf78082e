"""Learns which word most often follows which. What it returns becomes the `weights` of a new version's setup()."""

import collections
import json
import tempfile
import time

from cog import Input, Path


def train(
    text: Path = Input(description="A text in UTF-8 to learn from"),
    epochs: int = Input(description="How often it is read", default=1, ge=1, le=1000000),
    pause_ms: int = Input(description="Pause after each epoch", default=0, ge=0, le=60000),
) -> Path:
    followers = collections.defaultdict(collections.Counter)
    words = text.read_text(encoding="utf-8").lower().split()
    for epoch in range(1, epochs + 1):
        for word, following in zip(words, words[1:]):
            followers[word][following] += 1
        print(f"epoch {epoch}: {len(followers)} words", flush=True)
        time.sleep(pause_ms / 1000)
    if not followers:
        raise ValueError("the text holds no two words")
    best = {word: min(counts, key=lambda w, c=counts: (-c[w], w)) for word, counts in followers.items()}
    weights = Path(tempfile.mkdtemp()) / "bigrams.json"
    weights.write_text(json.dumps(best, sort_keys=True), encoding="utf-8")
    return weights
