"""Runs all of Mimeo on one machine: what `make up`, `make down` and the end-to-end tests call.

Nothing here is needed in production: every part is an ordinary program with flags (docs/processes.md).
Only the Python standard library is used.
"""
