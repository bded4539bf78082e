"""Container images as `docker load` archives, made without a builder, a network or a base image.

Times and owners in the archives are zero: the same content gives the same digest.
"""

import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile


class Layer:
    """One layer, as a tar archive that grows. Folders come into being with what is put into them."""

    def __init__(self):
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)
        self._names = set()

    def _add(self, name, data=b"", mode=0o755, kind=tarfile.REGTYPE, link=""):
        name = name.strip("/")
        if not name or name in self._names:
            return
        parent = name.rpartition("/")[0]
        if parent:
            self._add(parent, kind=tarfile.DIRTYPE)
        self._names.add(name)
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.type, entry.linkname = len(data), mode, kind, link
        self._tar.addfile(entry, io.BytesIO(data))

    def folder(self, name, mode=0o755):
        self._add(name, mode=mode, kind=tarfile.DIRTYPE)

    def file(self, name, data, mode=0o644):
        self._add(name, data, mode)

    def link(self, name, target):
        self._add(name, kind=tarfile.SYMTYPE, link=target, mode=0o777)

    def copy(self, source, name):
        """A file with its mode; its content if it is a link."""
        self._add(name, pathlib.Path(source).read_bytes(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def copy_tree(self, source, name, skip=()):
        """A folder. `skip` are names that are left out, at any depth."""
        for folder, folders, files in os.walk(source):
            folders[:] = sorted(set(folders) - set(skip))
            below = os.path.relpath(folder, source)
            for file in sorted(set(files) - set(skip)):
                path = os.path.join(folder, file)
                target = os.path.normpath(os.path.join(name, below, file))
                if os.path.isfile(path):
                    self.copy(path, target)

    def has(self, name):
        return name.strip("/") in self._names

    def data(self):
        self._tar.close()
        return self._buffer.getvalue()


def shared_libraries(*programs):
    """What the dynamic loader needs for these programs and libraries: path in the image -> path here."""
    found = {}
    for program in programs:
        listed = subprocess.run(["ldd", program], text=True, capture_output=True, check=False).stdout
        for line in listed.splitlines():
            match = re.search(r"(/\S+) \(0x", line)
            if match:
                found[match.group(1)] = os.path.realpath(match.group(1))
    return found


def archive(image, layers, config):
    """The archive of `image` ("registry/owner/name[:tag]") with these layers (bytes of tar files)."""
    document = json.dumps({
        "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "examples"} for _ in layers],
    }).encode()
    name = hashlib.sha256(document).hexdigest() + ".json"
    tag = image if ":" in image.rsplit("/", 1)[-1] else image + ":latest"
    names = [f"layer{i}.tar" for i in range(len(layers))]
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": names}]).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as out:
        for entry_name, data in [(name, document), *zip(names, layers), ("manifest.json", manifest)]:
            entry = tarfile.TarInfo(entry_name)
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def deliver(data, output):
    """Writes the archive to the file `output`, or loads it into Docker (DOCKER_HOST). The exit code."""
    if output:
        pathlib.Path(output).write_bytes(data)
        return 0
    # A client without the buildx plug-in would do as well; the distribution's is the one that fits its engine.
    docker = "/usr/bin/docker" if pathlib.Path("/usr/bin/docker").exists() else "docker"
    loaded = subprocess.run([docker, "load"], input=data, capture_output=True, check=False)
    sys.stderr.write((loaded.stderr if loaded.returncode else loaded.stdout).decode())
    return loaded.returncode
