"""Files in and files out."""

import base64
import hashlib
import struct
import time
import urllib.parse
import zlib

from suite import operator
from suite.checks import equal, eventually, expect
from suite.receiver import receiver
from suite.wire import main_wire, multipart

LARGEST = 100_000_000
PUBLIC = {"Authorization": None}


def upload(wire, data=b"hello file", name="note.txt", kind="text/plain", more=()):
    body, headers = multipart([("content", data, name, kind), *more])
    return wire.ok("POST", "/v1/files", body, headers, 201)


def download_url(wire, file, owner, expiry):
    signature = operator.sign_file_link(wire, owner, file["id"], expiry)
    query = urllib.parse.urlencode({"owner": owner, "expiry": expiry, "signature": signature})
    return f"/v1/files/{file['id']}/download?{query}"


def row_011_download_by_signature(site):
    wire = main_wire(site)
    file = upload(wire, b"signed")
    url = download_url(wire, file, site.owner, int(time.time()) + 60)
    answer = wire.get(url, PUBLIC)
    equal((answer.status, answer.body), (200, b"signed"), "the answer without a token")


def row_052_output_files(site):
    wire = main_wire(site)
    made = wire.run(site.model("probe-files"), {"count": 1, "text": "0123456789"})
    url = made["output"][0]
    expect(url.startswith("https://"), f"the URL is {url}")
    expect(url.endswith("/part-0.txt"), f"the URL does not end in the file's name: {url}")
    answer = wire.get(url, {**PUBLIC, "Origin": "https://app.example"})
    equal((answer.status, answer.body), (200, b"0123456789"), "the answer without a token")
    equal(answer.headers.get_content_type(), "text/plain", "Content-Type")
    equal(answer.headers["Content-Length"], "10", "Content-Length")
    equal(answer.headers["Access-Control-Allow-Origin"], "*", "Access-Control-Allow-Origin")
    equal(answer.headers["Accept-Ranges"], "bytes", "Accept-Ranges")
    tag = answer.headers["ETag"]
    expect(tag and tag.startswith('"') and tag.endswith('"'), f"ETag is {tag}")
    part = wire.get(url, {**PUBLIC, "Range": "bytes=2-5"})
    equal((part.status, part.body, part.headers["Content-Range"]), (206, b"2345", "bytes 2-5/10"), "a range")
    equal(wire.get(url, {**PUBLIC, "If-None-Match": tag}).status, 304, "the answer to a known ETag")
    equal(wire.send("HEAD", url, None, PUBLIC).status, 200, "HEAD")
    equal(wire.get(url.replace("/part-0.txt", "/other.txt"), PUBLIC).status, 404, "another name")


def row_052_type_of_a_picture(site):
    wire = main_wire(site)
    uri = "data:image/png;base64," + base64.b64encode(striped_png()).decode()
    made = wire.run(site.model("edges"), {"image": uri})
    equal(made["status"], "succeeded", f"the status of {made}")
    expect(made["output"].endswith(".png"), f"the URL is {made['output']}")
    answer = wire.get(made["output"], PUBLIC)
    equal((answer.headers.get_content_type(), answer.body[:4]), ("image/png", b"\x89PNG"), "type and beginning")


def row_053_nested_outputs(site):
    wire = main_wire(site)
    made = wire.run(site.model("probe"), {"with_files": True})
    nested = made["output"]["nested"]
    found = {}
    for url in (nested["one"], *nested["list"]):
        expect(url.startswith(site["url"] + "/"), f"a file is {url}")
        found[url.rsplit("/", 1)[-1]] = wire.get(url, PUBLIC).body
    equal(found, {"one.txt": b"one", "two.txt": b"two", "three.txt": b"three"}, "the files")
    listed = wire.run(site.model("probe-files"), {"count": 3, "text": "x"})["output"]
    equal([url.rsplit("/", 1)[-1] for url in listed], ["part-0.txt", "part-1.txt", "part-2.txt"], "the list's names")


def row_054_own_file_as_input(site):
    wire = main_wire(site)
    file = upload(wire, b"uploaded text", "in.txt")
    output = wire.run(site.model("probe-files"), {"count": 1, "text": "an output"})["output"][0]
    given = {"document": file["urls"]["get"], "documents": [file["urls"]["get"], output]}
    made = wire.run(site.model("probe"), given)
    equal(made["status"], "succeeded", f"the status of {made}")
    equal(made["input"], given, "the input that is echoed")
    equal(made["output"]["document"]["text"], "uploaded text", "what the model read")
    equal([one["text"] for one in made["output"]["documents"]], ["uploaded text", "an output"], "what it read of a list")


def row_055_data_uris(site):
    data = base64.b64encode(b"m" * 7_500_000).decode()
    made = main_wire(site).run(site.model("probe"), {"document": f"data:text/plain;base64,{data}"})
    equal(made["output"]["document"]["size"], 7_500_000, f"the size that the model saw ({made['error']})")


def row_056_secrets(site):
    wire, secret = main_wire(site), f"pass-{site.unique('word')}"
    with receiver() as hooks:
        answer = wire.post(f"/v1/models/{site.owner}/probe/predictions", {
            "input": {"password": secret, "delay_ms": 100}, "webhook": hooks.url,
            "webhook_events_filter": ["start", "output", "logs", "completed"]})
        id = answer.json["id"]
        done = wire.wait(id)
        hooks.last(id)
        bodies = [request.body.decode() for request in hooks.of(id)]
    equal(done["output"]["password_length"], len(secret), "the length that the model saw")
    equal(answer.json["input"]["password"], "[REDACTED]", "the secret in the answer")
    bodies += [answer.text, wire.get(f"/v1/predictions/{id}").text, wire.get("/v1/predictions").text]
    for body in bodies:
        expect(secret not in body, f"the secret is shown: {body[:300]}")
    canceled = wire.create(site.model("asleep"), {"password": secret})
    expect(secret not in wire.post(f"/v1/predictions/{canceled['id']}/cancel").text, "the secret is shown by cancel")


def row_082_multipart_variants(site):
    wire = main_wire(site)
    metadata = b'{"purpose": "test"}'
    variants = {
        "plain field": [("content", b"abc", "x.txt", "text/plain"), ("metadata", metadata, None, None)],
        "bracketed fields": [("content", b"abc", "upload", "application/octet-stream"),
                             ("metadata[purpose]", b"test", None, None)],
        "file part": [("content", b"abc", "blob", "text/plain"), ("metadata", metadata, "blob", "application/json")],
        "own fields": [("filename", b"given.bin", None, None), ("type", b"image/x-own", None, None),
                       ("content", b"abc", "file", "application/octet-stream"), ("metadata", metadata, None, None)],
        "metadata first": [("metadata", metadata, None, "application/json"), ("content", b"abc", "x", None)],
    }
    for name, parts in variants.items():
        body, headers = multipart(parts)
        file = wire.ok("POST", "/v1/files", body, headers, 201)
        equal((file["size"], file["metadata"]), (3, {"purpose": "test"}), f"size and metadata of the variant {name}")
        equal(file["checksums"]["sha256"], hashlib.sha256(b"abc").hexdigest(), f"the checksum of the variant {name}")
        if name == "own fields":
            equal((file["name"], file["content_type"]), ("given.bin", "image/x-own"), "name and type as given")
    body, headers = multipart([("metadata", metadata, None, None)])
    expect(400 <= wire.post("/v1/files", body, headers).status < 500, "a form without content is accepted")


def row_084_too_large(site):
    body, headers = multipart([("content", b"x" * (LARGEST + 1), "big.bin", "application/octet-stream")])
    try:
        answer = main_wire(site).post("/v1/files", body, headers)
    except (BrokenPipeError, ConnectionResetError):
        expect(False, "the connection was cut instead of answered")
    equal((answer.status, answer.json), (413, {"detail": "Files must be less than 100MB in size"}), "the answer")


def row_084_delete_and_expiry(site):
    wire = main_wire(site)
    file = upload(wire)
    equal(wire.send("DELETE", f"/v1/files/{file['id']}").status, 204, "the first DELETE")
    for method in ("DELETE", "GET"):
        answer = wire.send(method, f"/v1/files/{file['id']}")
        equal((answer.status, answer.json), (404, {"detail": "File not found"}), f"{method} afterwards")
    old = upload(wire, b"old")
    created, expires = old["created_at"], old["expires_at"]
    equal(operator.sql(site, f"SELECT '{expires}'::timestamptz - '{created}'::timestamptz = interval '24 hours'"), "t",
          "whether it expires 24 hours after its creation")
    operator.sql(site, "UPDATE files SET created_at = created_at - interval '25 hours', expires_at = expires_at - "
                 f"interval '25 hours' WHERE expires_at = '{expires}'::timestamptz")
    eventually(lambda: wire.get(f"/v1/files/{old['id']}").status == 404, 10, "the end of an old file")


def row_085_signed_download(site):
    wire = main_wire(site)
    file = upload(wire, b"signed bytes", "s.bin", "application/octet-stream")
    later = int(time.time()) + 60
    good = download_url(wire, file, site.owner, later)
    answer = wire.get(good, PUBLIC)
    equal((answer.status, answer.body), (200, b"signed bytes"), "the answer to a good signature")
    other = upload(wire, b"another")
    bad = {
        "a changed signature": good[:-6] + "AAA%3D",
        "an expired link": download_url(wire, file, site.owner, int(time.time()) - 60),
        "another expiry": good.replace(f"expiry={later}", f"expiry={later + 1}"),
        "another owner": good.replace(f"owner={site.owner}", "owner=stranger"),
        "another file": good.replace(file["id"], other["id"]),
        "no signature": f"/v1/files/{file['id']}/download",
    }
    for what, url in bad.items():
        equal(wire.get(url, PUBLIC).status, 404, f"the answer to {what}")


def striped_png(width=16, height=16):
    """A picture, half red and half blue."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    half = width // 2
    rows = (b"\0" + bytes([255, 0, 0] * half + [0, 0, 255] * half)) * height
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
