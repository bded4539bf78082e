"""The smallest model in Python: one string in, one string out."""

from cog import BaseRunner, Input


class Runner(BaseRunner):
    def setup(self) -> None:
        self.greeting = "Hello"
        print("setup done")

    def run(
        self,
        text: str = Input(description="Whom to greet", max_length=1000),
        times: int = Input(description="How often", default=1, ge=1, le=10),
    ) -> str:
        print(f"greeting {text}")
        return " ".join([f"{self.greeting} {text}!"] * times)
