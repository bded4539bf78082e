"""A small reverse proxy with TLS before a control plane that speaks plain HTTP: what an operator
would do with nginx or Caddy. It changes nothing but the scheme, and passes streams on as they come."""

import contextlib
import http.client
import http.server
import ssl
import threading

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}
PIECE = 64 * 1024


class Proxy:
    """Serves https on `port`; `backend_port` of this machine answers."""

    def __init__(self, port, backend_port, certificate, key):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    super().handle_one_request()

            def __getattr__(self, name):
                if name.startswith("do_"):
                    return self.forward
                raise AttributeError(name)

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                backend = http.client.HTTPConnection("127.0.0.1", backend_port, timeout=90)
                with contextlib.closing(backend):
                    headers = {n: v for n, v in self.headers.items() if n.lower() not in HOP_BY_HOP}
                    backend.request(self.command, self.path, body or None, headers)
                    self.pass_on(backend.getresponse())

            def pass_on(self, response):
                self.close_connection = True  # The end of the body is the end of the connection.
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in HOP_BY_HOP | {"server", "date"}:
                        self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                while piece := response.read1(PIECE):
                    self.wfile.write(piece)
                    self.wfile.flush()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
