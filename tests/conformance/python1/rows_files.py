"""Files: uploads, inputs, outputs."""

import hashlib
import pathlib
import tempfile

import replicate
from replicate.exceptions import ReplicateError
from replicate.helpers import FileOutput
from suite.checks import contains, equal, expect, matches, raises


def _file(folder, name="note.txt", content=b"text of a file"):
    path = pathlib.Path(folder) / name
    path.write_bytes(content)
    return path


def row_052_file_outputs(site):
    for wait in (True, False):
        output = replicate.run(site.model("probe-files"), input={"count": 2, "text": "content"}, wait=wait)
        for i, file in enumerate(output):
            expect(isinstance(file, FileOutput), f"an output is {file!r}: only https URLs become files")
            matches(file.url, rf"https://\S+/part-{i}\.txt", "its URL")
            equal(file.read(), b"content", "its content")
            equal(b"".join(file), b"content", "its content, piece by piece")
    nested = replicate.run(site.model("probe"), input={"with_files": True})["nested"]
    equal((nested["one"].read(), nested["list"][1].read()), (b"one", b"three"), "files inside of an object")


def row_054_file_inputs(site):
    with tempfile.TemporaryDirectory() as folder, open(_file(folder), "rb") as file:
        made = replicate.predictions.create(version=site.versions["probe"], input={"document": file})
        matches(made.input["document"], r"https://\S+/v1/files/\w+", "the input that is echoed")
        made.wait()
        equal(made.output["document"]["text"], "text of a file", "what the model read")
        file.seek(0)
        output = replicate.run(site.model("probe"), input={"document": file}, file_encoding_strategy="base64")
        equal(output["document"]["text"], "text of a file", "what the model read of a data URI")


def row_082_upload(site):
    with tempfile.TemporaryDirectory() as folder:
        path = _file(folder)
        for given in (path, str(path), open(path, "rb")):  # pylint: disable=consider-using-with
            made = replicate.files.create(given, metadata={"purpose": "test"})
            equal((made.name, made.content_type, made.size, made.metadata),
                  ("note.txt", "text/plain", 14, {"purpose": "test"}), f"the file made of {type(given).__name__}")


def row_083_all_keys(site):
    with tempfile.TemporaryDirectory() as folder:
        made = replicate.files.create(_file(folder, content=b"keys"))
    equal(made.checksums, {"sha256": hashlib.sha256(b"keys").hexdigest(), "md5": hashlib.md5(b"keys").hexdigest()},
          "checksums")
    equal((made.etag, made.size, made.metadata), (hashlib.md5(b"keys").hexdigest(), 4, {}), "etag, size, metadata")
    expect(made.created_at < made.expires_at, f"{made.created_at} is not before {made.expires_at}")
    matches(made.urls["get"], rf"https://\S+/v1/files/{made.id}", "urls.get")
    equal(replicate.files.get(made.id), made, "the file, read")
    contains([one.id for one in replicate.files.list()], made.id, "the list of files")


def row_084_delete_and_limit(site):
    with tempfile.TemporaryDirectory() as folder:
        made = replicate.files.create(_file(folder))
        equal(replicate.files.delete(made.id), True, "whether it was deleted")
        equal(raises(ReplicateError, replicate.files.get, made.id).status, 404, "the status afterwards")
        big = _file(folder, "big.bin", b"")
        with open(big, "r+b") as file:
            file.truncate(100_000_001)
        error = raises(ReplicateError, replicate.files.create, big)
        equal((error.status, error.detail), (413, "Files must be less than 100MB in size"), "the error of a file too large")
