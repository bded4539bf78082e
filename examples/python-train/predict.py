"""Writes on from a given word with what train.py learned: which word follows which.

`weights` is a Path up to Cog 0.16 and its text in later versions; Path(...) takes both. A version that was never
trained gets None.
"""

import json
from typing import Optional

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def setup(self, weights: Optional[Path] = None) -> None:
        self.next = {"nobody": "trained", "trained": "me"}
        if weights:
            self.next = json.loads(Path(weights).read_text(encoding="utf-8"))
        print(f"knows what follows {len(self.next)} words")

    def predict(
        self,
        start: str = Input(description="The first word", default="nobody"),
        words: int = Input(description="How many words", default=8, ge=1, le=1000),
    ) -> str:
        text = [start]
        while len(text) < words and text[-1] in self.next:
            text.append(self.next[text[-1]])
        return " ".join(text)
