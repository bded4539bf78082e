"""A file in, a file out: counts the words of a text.

Written with the names that Cog had before 0.20 (BasePredictor, predict), as most published models are: it runs on
all versions.
"""

import collections
import csv
import re
import tempfile

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(
        self,
        document: Path = Input(description="A text in UTF-8"),
        top: int = Input(description="How many words to list", default=10, ge=1, le=1000),
    ) -> Path:
        words = re.findall(r"\w+", document.read_text(encoding="utf-8").lower())
        print(f"{len(words)} words")
        out = Path(tempfile.mkdtemp()) / "words.csv"
        with open(out, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["word", "count"])
            table.writerows(collections.Counter(words).most_common(top))
        return out
