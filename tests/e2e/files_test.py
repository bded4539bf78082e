"""Uploads as each client sends them, downloads, output files, and that their time is limited."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from mimeo_s3 import S3Server, free_port  # noqa: E402
from mimeo_testing import InstallationTest, eventually, striped_png  # noqa: E402

BOUNDARY = "----formdata-0a1b2c3d4e5f"


def part(disposition, data, kind=None):
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n"
    if kind:
        head += f"Content-Type: {kind}\r\n"
    return head.encode() + b"\r\n" + (data if isinstance(data, bytes) else data.encode()) + b"\r\n"


def body_of(*parts):
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Http:
    """One request on a connection of its own, as bytes, to a control plane."""

    def __init__(self, base_url, token):
        self.url = urllib.parse.urlsplit(base_url)
        self.token = token

    def request(self, method, path, body=None, headers=None, with_token=True):
        """(status, headers, body)."""
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=60)
        sent = {"Authorization": f"Bearer {self.token}"} if with_token else {}
        try:
            connection.request(method, path, body, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def upload(self, body):
        status, _, answer = self.request("POST", "/v1/files", body,
                                         {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
        return status, json.loads(answer)

    def signed_path(self, file, owner, lifetime=60):
        _, _, settings = self.request("GET", "/v1/account/settings")
        secret = json.loads(settings)["file_signing_secret"]
        expiry = int(time.time()) + lifetime
        digest = hmac.new(secret.encode(), f"{owner} {file} {expiry}".encode(), hashlib.sha256).digest()
        query = urllib.parse.urlencode({"owner": owner, "expiry": expiry,
                                        "signature": base64.b64encode(digest).decode()})
        return f"/v1/files/{file}/download?{query}"


class Files(InstallationTest):
    def setUp(self):
        self.http = Http(self.stack.layout.base_url, self.api.token)

    def uploaded(self, *parts):
        status, file = self.http.upload(body_of(*parts))
        self.assertEqual(status, 201, file)
        self.addCleanup(self.http.request, "DELETE", f"/v1/files/{file['id']}")
        return file

    # The five forms of the wire: what each client sends, byte for byte but the boundary.

    def test_python_1_sends_a_guessed_type_and_metadata_as_a_field(self):
        file = self.uploaded(part('name="metadata"', '{"a": "b"}'),
                             part('name="content"; filename="x.txt"', "hello", "text/plain"))
        self.assertEqual((file["name"], file["content_type"], file["size"]), ("x.txt", "text/plain", 5))
        self.assertEqual(file["metadata"], {"a": "b"})
        self.assertEqual(file["etag"], hashlib.md5(b"hello").hexdigest())
        self.assertEqual(file["checksums"], {"sha256": hashlib.sha256(b"hello").hexdigest(),
                                             "md5": hashlib.md5(b"hello").hexdigest()})
        self.assertEqual(set(file), {"id", "name", "content_type", "size", "etag", "checksums", "metadata",
                                     "created_at", "expires_at", "urls"})

    def test_python_2_sends_raw_bytes_and_metadata_in_brackets(self):
        file = self.uploaded(part('name="content"; filename="upload"', b"\x00\xff\r\n--", "application/octet-stream"),
                             part('name="metadata[k]"', "v"), part('name="metadata[n][m]"', "w"))
        self.assertEqual((file["name"], file["content_type"], file["size"]), ("upload", "application/octet-stream", 6))
        self.assertEqual(file["metadata"], {"k": "v", "n": {"m": "w"}})

    def test_javascript_sends_metadata_as_a_file(self):
        file = self.uploaded(part('name="content"; filename="blob"', striped_png(), "image/png"),
                             part('name="metadata"; filename="blob"', '{"a":1}', "application/json"))
        self.assertEqual((file["content_type"], file["metadata"]), ("image/png", {"a": 1}))

    def test_go_sends_a_name_by_default(self):
        file = self.uploaded(part('name="content"; filename="file"', "x", "application/octet-stream"),
                             part('name="metadata"', "{}"))
        self.assertEqual((file["name"], file["metadata"]), ("file", {}))

    def test_curl_sends_nothing_but_the_file(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        (folder / "plain ä.bin").write_bytes(b"")
        answer = subprocess.run(["curl", "-sS", "-H", f"Authorization: Bearer {self.http.token}",
                                 "-F", f"content=@{folder}/plain ä.bin",
                                 f"{self.stack.layout.base_url}/v1/files"], check=True, capture_output=True).stdout
        file = json.loads(answer)
        self.addCleanup(self.http.request, "DELETE", f"/v1/files/{file['id']}")
        self.assertEqual((file["name"], file["size"]), ("plain ä.bin", 0))

    def test_what_is_wrong_with_an_upload_is_said(self):
        for parts in ([], [part('name="metadata"', "{}")],
                      [part('name="content"; filename="a"', "x"), part('name="metadata"', "[]")],
                      [part('name="content"; filename="' + "n" * 256 + '"', "x")]):
            status, answer = self.http.upload(body_of(*parts))
            self.assertEqual(status, 400, answer)
            self.assertTrue(answer["detail"])

    def test_more_than_100_mb_is_refused_and_leaves_nothing(self):
        before = self.blobs()
        status, answer = self.http.upload(body_of(part('name="content"; filename="big"', bytes(100_000_001))))
        self.assertEqual((status, answer), (413, {"detail": "Files must be less than 100MB in size"}))
        self.assertEqual(self.blobs(), before)

    def test_an_upload_that_breaks_off_leaves_nothing(self):
        before = self.blobs()
        whole = body_of(part('name="content"; filename="broken"', bytes(3_000_000)))
        connection = http.client.HTTPConnection(self.http.url.hostname, self.http.url.port, timeout=60)
        connection.putrequest("POST", "/v1/files")
        connection.putheader("Authorization", f"Bearer {self.http.token}")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        connection.putheader("Content-Length", str(len(whole)))
        connection.endheaders()
        connection.send(whole[:2_000_000])
        eventually(lambda: self.blobs() != before, 30, "the beginning of the upload on the disk")
        connection.close()
        eventually(lambda: self.blobs() == before, 30, "the end of the broken upload")

    def test_a_signed_link_opens_a_file_for_its_time(self):
        file = self.uploaded(part('name="content"; filename="a.txt"', "signed content", "text/plain"))
        good = self.http.signed_path(file["id"], self.owner)
        status, headers, body = self.http.request("GET", good, with_token=False)
        self.assertEqual((status, body), (200, b"signed content"))
        self.assertEqual(headers["Content-Type"], "application/octet-stream")
        status, headers, body = self.http.request("GET", good, headers={"Range": "bytes=7-"}, with_token=False)
        self.assertEqual((status, body, headers["Content-Range"]), (206, b"content", "bytes 7-13/14"))
        late = self.http.signed_path(file["id"], self.owner, lifetime=-1)
        other = self.http.signed_path(file["id"], "somebody")
        for path in (late, other, good.replace("signature=", "signature=A"), good.split("?", maxsplit=1)[0]):
            self.assertEqual(self.http.request("GET", path, with_token=False)[0], 404, path)

    def test_deleted_is_gone_with_its_content(self):
        content = os.urandom(5000)
        status, file = self.http.upload(body_of(part('name="content"; filename="a"', content)))
        self.assertEqual(status, 201)
        path = f"/v1/files/{file['id']}"
        self.assertEqual(self.http.request("DELETE", path)[0], 204)
        self.assertEqual(self.http.request("DELETE", path)[0], 404)
        self.assertEqual(self.http.request("GET", path)[0], 404)
        eventually(lambda: not self.blobs_with(content), 30, "the removal of the content")

    # Files of predictions.

    def predicted(self, image):
        body = self.create(f"/v1/models/{self.owner}/edges/predictions", {"image": image}, {"Prefer": "wait"})
        self.assertEqual(body["status"], "succeeded", body)
        return body

    def test_an_own_file_goes_into_a_model_and_is_echoed_as_it_was_given(self):
        file = self.uploaded(part('name="content"; filename="in.png"', striped_png(), "image/png"))
        body = self.predicted(file["urls"]["get"])
        self.assertEqual(body["input"], {"image": file["urls"]["get"]})
        # What came out goes in again.
        self.assertTrue(self.predicted(body["output"])["output"].endswith(".png"))

    def test_an_output_file_is_public_cacheable_and_comes_in_parts(self):
        uri = "data:image/png;base64," + base64.b64encode(striped_png()).decode()
        path = urllib.parse.urlsplit(self.predicted(uri)["output"]).path
        get = lambda **headers: self.http.request(  # noqa: E731
            "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}, with_token=False)
        status, headers, content = get(Origin="https://app.example")
        self.assertEqual(status, 200)
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        expected = {"Content-Type": "image/png", "Content-Length": str(len(content)), "ETag": etag,
                    "Accept-Ranges": "bytes", "Cache-Control": "public,max-age=3600",
                    "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}
        self.assertEqual({name: headers[name] for name in expected}, expected)
        self.assertTrue(headers["Last-Modified"])
        size = len(content)
        for asked, begin, end in (("0-9", 0, 10), ("10-", 10, size), ("-5", size - 5, size),
                                  (f"{size - 1}-{size + 50}", size - 1, size)):
            status, part_headers, body = get(Range=f"bytes={asked}")
            self.assertEqual((status, body), (206, content[begin:end]), asked)
            self.assertEqual(part_headers["Content-Range"], f"bytes {begin}-{end - 1}/{size}")
        status, part_headers, _ = get(Range=f"bytes={size}-")
        self.assertEqual((status, part_headers["Content-Range"]), (416, f"bytes */{size}"))
        self.assertEqual(get(Range="bytes=0-1", If_Range=etag)[0], 206)
        self.assertEqual(get(Range="bytes=0-1", If_Range='"other"')[0], 200)
        self.assertEqual(get(If_None_Match=etag)[0], 304)
        status, head_headers, body = self.http.request("HEAD", path, with_token=False)
        self.assertEqual((status, body, head_headers["Content-Length"]), (200, b"", str(size)))
        self.assertEqual(self.http.request("HEAD", path, headers={"Range": "bytes=0-1"}, with_token=False)[0], 200)
        self.assertEqual(get(If_Match=etag)[0], 200)
        self.assertEqual(get(If_Match='"other"')[0], 412)
        self.assertEqual(self.http.request("OPTIONS", path, headers={"Origin": "https://app.example"},
                                           with_token=False)[0], 204)

    def test_equal_files_are_stored_once(self):
        content = os.urandom(10_000)
        files = [self.uploaded(part(f'name="content"; filename="{n}"', content)) for n in range(3)]
        eventually(lambda: len(self.blobs_with(content)) == 1, 30, "one copy")
        for file in files:
            path = self.http.signed_path(file["id"], self.owner)
            self.assertEqual(self.http.request("GET", path, with_token=False)[2], content)

    # Time.

    def test_after_its_time_a_prediction_has_no_data_anywhere(self):
        marker = f"marker-{os.urandom(8).hex()}"
        body = self.create(f"/v1/models/{self.owner}/stream-text/predictions", {"text": f"{marker} end"},
                           {"Prefer": "wait"})
        picture = self.predicted("data:image/png;base64," + base64.b64encode(striped_png(32, 24)).decode())
        self.assertIn(marker, json.dumps(body["output"]))
        stream = urllib.parse.urlsplit(body["urls"]["stream"]).path
        output = urllib.parse.urlsplit(picture["output"]).path
        self.assertEqual(self.http.request("GET", output, with_token=False)[0], 200)
        self.assertTrue(self.rows_with(marker))
        ids = (body["id"], picture["id"])
        for one in ids:  # As if they had ended an hour ago.
            self.sql(f"UPDATE removals SET due_at = now() WHERE id = '{uuid_of(one)}'")
        eventually(lambda: all(self.get(one)["data_removed"] for one in ids), 60, "the removal", every=0.2)
        for one in ids:
            gone = self.get(one)
            self.assertEqual((gone["input"], gone["output"], gone["logs"]), ({}, None, ""), gone)
            self.assertEqual(gone["status"], "succeeded")
        listed = self.api.call("GET", "/v1/predictions")[1]["results"]
        self.assertTrue(set(ids) <= {one["id"] for one in listed}, "the records are listed still")
        self.assertEqual(self.http.request("GET", output, with_token=False)[0], 404)
        self.assertEqual(self.http.request("GET", stream, with_token=False)[0], 404)
        self.assertEqual(self.rows_with(marker), [])

    # -- inside views ---------------------------------------------------------------------------

    def blobs(self):
        return sorted(str(path) for path in pathlib.Path(self.stack.layout.files).rglob("*") if path.is_file())

    def blobs_with(self, content):
        found = []
        for path in self.blobs():
            try:
                if pathlib.Path(path).read_bytes() == content:
                    found.append(path)
            except FileNotFoundError:
                pass  # Removed meanwhile.
        return found

    def rows_with(self, text):
        tables = self.sql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
                          "'public'::regnamespace").split()
        return [name for name in tables
                if self.sql(f"SELECT count(*) FROM {name} AS t WHERE strpos(t::text, '{text}') > 0").strip() != "0"]


def uuid_of(base32):
    number = 0
    for character in base32:
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(character)
    text = f"{number:032x}"[-32:]
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Memory(InstallationTest):
    """90 MB in and out through a control plane of the test's own, with each kind of store."""

    SIZE = 90_000_000
    MOST = 20_000_000

    def test_a_local_directory(self):
        self.go_through({}, lambda folder: ["--files-dir", str(folder / "files")])

    def test_s3(self):
        server = S3Server()
        self.addCleanup(server.stop)
        self.go_through(server.environment, lambda _: server.flags("memory"))
        self.assertEqual(sum(path.stat().st_size for path in server.files()) // self.SIZE, 1)

    def go_through(self, environment, flags):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="mimeo-memory-"))
        self.addCleanup(shutil.rmtree, folder)
        plane = self.start_plane(folder, environment, flags(folder))
        client = Http(f"http://127.0.0.1:{plane.port}", plane.token)
        self.transfer(client, 1_000_000)  # Whatever is made on first use.
        before = plane.resident()
        with plane.watched() as peak:
            self.transfer(client, self.SIZE)
        moved = peak() - before
        print(f"memory moved by {moved / 1e6:.1f} MB from {before / 1e6:.1f} MB", file=sys.stderr)
        self.assertLess(moved, self.MOST)

    def transfer(self, client, size):
        block = os.urandom(1_000_000)
        head = part('name="content"; filename="big.bin"', b"", "application/octet-stream")[:-2]
        tail = f"\r\n--{BOUNDARY}--\r\n".encode()

        def pieces():
            yield head
            for _ in range(size // len(block)):
                yield block
            yield tail
        connection = http.client.HTTPConnection(client.url.hostname, client.url.port, timeout=120)
        connection.request("POST", "/v1/files", pieces(), {
            "Authorization": f"Bearer {client.token}", "Content-Length": str(len(head) + size + len(tail)),
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
        answer = connection.getresponse()
        file = json.loads(answer.read())
        self.assertEqual((answer.status, file["size"]), (201, size), file)
        connection.request("GET", client.signed_path(file["id"], "memory"))
        answer = connection.getresponse()
        digest = hashlib.sha256()
        while data := answer.read(1 << 20):
            digest.update(data)
        connection.close()
        self.assertEqual(digest.hexdigest(), file["checksums"]["sha256"])

    def start_plane(self, folder, environment, flags):
        database = f"memory_{os.urandom(4).hex()}"
        self.sql(f"CREATE DATABASE {database}")
        self.addCleanup(self.sql, f"DROP DATABASE {database} WITH (FORCE)")
        conninfo = self.stack.layout.database.replace("dbname=mimeo", f"dbname={database}")
        self.assertIn(database, conninfo)
        command = [str(self.stack.layout.program("mimeo")), "--database", conninfo]

        def mimeo(*arguments):
            return subprocess.run([*command, *arguments], check=True, text=True, capture_output=True).stdout.strip()
        mimeo("migrate")
        mimeo("account", "create", "memory")
        plane = Plane(self.stack.layout.program("mimeo-control-plane"), folder, conninfo,
                      mimeo("token", "create", "memory"), environment, flags)
        self.addCleanup(plane.stop)
        return plane


class Plane:
    """A control plane with no scheduler: enough for files."""

    def __init__(self, program, folder, conninfo, token, environment, flags):
        self.token = token
        self.port = free_port()
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            [str(program), "--database", conninfo, "--http-listen", f"127.0.0.1:{self.port}",
             "--grpc-listen", f"unix:{folder}/hub.sock", "--spool-dir", str(folder), *flags],
            env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        eventually(self.is_ready, 60, f"the control plane, see {folder}/log")

    def is_ready(self):
        try:
            return Http(f"http://127.0.0.1:{self.port}", "").request("GET", "/readyz", with_token=False)[0] == 200
        except OSError:
            if self.process.poll() is not None:
                raise AssertionError(pathlib.Path(self.log.name).read_text()) from None
            return False

    def resident(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the control plane is gone")

    def watched(self):
        return Watch(self.resident)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


class Watch:
    """`with Watch(read) as peak: ...; peak()`: the highest value while the block ran."""

    def __init__(self, read):
        self.read = read
        self.highest = 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.is_over.wait(0.005):
            self.highest = max(self.highest, self.read())

    def __enter__(self):
        self.thread.start()
        return lambda: self.highest

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()


if __name__ == "__main__":
    unittest.main(verbosity=2)
