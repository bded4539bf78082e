"""The few API calls that bringing up needs. Applications use the official clients."""

import http.client
import json
import urllib.parse


def connect(scheme, host, port, timeout, context=None):
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    return http.client.HTTPConnection(host, port, timeout=timeout)


class Api:
    """`context` is an ssl.SSLContext, for https; by default who is trusted is what the environment says."""

    observer = None  # Of tests: is shown (method, path, status, headers, body) of every answer.

    def __init__(self, base_url, token, context=None):
        self.url = urllib.parse.urlsplit(base_url)
        self.token = token
        self.context = context

    def call(self, method, path, body=None, headers=None, timeout=70):
        """(status, decoded body or None)."""
        connection = connect(self.url.scheme, self.url.hostname, self.url.port, timeout, self.context)
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body)
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if Api.observer is not None:
            Api.observer(method, path, answer.status, answer.headers, text)
        try:
            return answer.status, json.loads(text) if text else None
        except ValueError:
            return answer.status, text.decode(errors="replace")
