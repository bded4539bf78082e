"""What the drivers of tests/conformance share, and the command that runs them."""
