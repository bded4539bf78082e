"""A receiver of webhooks on a free port of this machine."""

import contextlib
import http.server
import json
import threading
import time

from .checks import eventually


class Request:
    def __init__(self, path, headers, body):
        self.path = path
        self.headers = headers
        self.body = body
        self.at = time.monotonic()

    @property
    def json(self):
        return json.loads(self.body)


class Receiver:
    """`answer(request)` gives a status, or (status, headers); 200 by default."""

    def __init__(self, answer=None):
        self.requests = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.path, self.headers, body)
                receiver.requests.append(request)
                said = answer(request) if answer else 200
                status, headers = said if isinstance(said, tuple) else (said, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def of(self, id):
        """The requests that tell of this prediction, in the order in which they came."""
        return [request for request in list(self.requests) if request.json["id"] == id]

    def last(self, id, limit=30):
        """The request that tells its end."""
        ended = ("succeeded", "failed", "canceled", "aborted")
        return eventually(lambda: next((r for r in self.of(id) if r.json["status"] in ended), None), limit,
                          f"the webhook of the end of {id}")


@contextlib.contextmanager
def receiver(answer=None):
    made = Receiver(answer)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()
