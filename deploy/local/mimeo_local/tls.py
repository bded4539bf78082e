"""TLS of the local installation: a private authority and a certificate of it for this machine.

Both are made once, in `keys/tls`, and never written over: whoever has a certificate of their own puts
it there as server.crt and server.key (and its authority as ca.crt, if clients do not know it anyway).
"""

import os
import pathlib
import socket
import ssl
import subprocess
import tempfile

from .console import StackError
from .process import replace_file

AUTHORITY_DAYS = 3650
SERVER_DAYS = 820  # Longer ones are refused by some clients.
RENEW_BEFORE_S = 30 * 24 * 3600


class Tls:
    """The files, and what clients need to know about them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.authority = self.folder / "ca.crt"
        self.authority_key = self.folder / "ca.key"
        self.certificate = self.folder / "server.crt"
        self.key = self.folder / "server.key"
        # The authorities that this machine trusts anyway, and ours: for clients that know one file only.
        self.bundle = self.folder / "ca-bundle.crt"

    def prepare(self):
        """Makes what is missing, and a new certificate of ours shortly before the old one ends. True if the
        certificate is another one than before."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_ours = self.authority_key.exists()
        is_new = not (self.certificate.exists() and self.key.exists()) or (is_ours and self._ends_soon())
        if is_new:
            if not is_ours:
                self._make_authority()
            self._make_certificate()
        known = _system_authorities(self.bundle)
        replace_file(self.bundle, known + (self.authority.read_text() if self.authority.exists() else ""))
        return is_new

    def context(self):
        """For our own calls."""
        context = ssl.create_default_context(cafile=str(self.bundle))
        context.check_hostname = False  # They go to 127.0.0.1, which is not what a certificate of one's own names.
        return context

    def environment(self):
        """Variables by which clients trust the certificate."""
        return {name: str(self.bundle)
                for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")}

    def _ends_soon(self):
        checked = subprocess.run(["openssl", "x509", "-checkend", str(RENEW_BEFORE_S), "-noout", "-in",
                                  str(self.certificate)], capture_output=True, check=False)
        return checked.returncode != 0

    def _make_authority(self):
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            key, certificate = f"{folder}/key", f"{folder}/crt"
            _openssl("req", "-x509", *_new_key(key), "-out", certificate, "-days", str(AUTHORITY_DAYS), "-subj",
                     f"/CN=Mimeo on {socket.gethostname()[:40]}", "-addext", "basicConstraints=critical,CA:TRUE",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")
            os.replace(certificate, self.authority)
            os.replace(key, self.authority_key)  # Last: with it, the pair counts as made.

    def _make_certificate(self):
        names = f"IP:127.0.0.1,IP:::1,DNS:localhost,DNS:{socket.gethostname()}"
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            key, request, certificate = (f"{folder}/{name}" for name in ("key", "csr", "crt"))
            _openssl("req", *_new_key(key), "-out", request, "-subj", "/CN=localhost")
            extensions = f"{folder}/extensions"
            pathlib.Path(extensions).write_text(
                f"subjectAltName={names}\nbasicConstraints=critical,CA:FALSE\n"
                "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
            _openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self.authority_key,
                     "-CAcreateserial", "-out", certificate, "-days", str(SERVER_DAYS), "-extfile", extensions)
            os.replace(key, self.key)
            os.replace(certificate, self.certificate)


def _new_key(path):
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path


def _openssl(*arguments):
    try:
        done = subprocess.run(["openssl", *map(str, arguments)], text=True, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise StackError("the command `openssl` is not installed", "Run scripts/install-deps.") from error
    if done.returncode != 0:
        raise StackError(f"`openssl {arguments[0]}` failed", log=done.stderr)


def _system_authorities(ours):
    """The PEM text of who is trusted without us: the file of SSL_CERT_FILE, else the system's."""
    for path in (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().openssl_cafile,
                 "/etc/ssl/certs/ca-certificates.crt"):
        # `. .mimeo/env` names our own bundle, which would grow each time.
        if path and os.path.isfile(path) and not os.path.basename(path) == ours.name:
            return pathlib.Path(path).read_text(errors="replace")
    return ""
