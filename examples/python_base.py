"""The lowest layer of a Python model's image, without a registry to pull a base image from.

host()    a copy of this machine's Debian Python 3.11 with the libraries it uses: a second, about 50 MB
debian()  a Debian 12 made by debootstrap, with Python 3.11 and tini: a minute, about 150 MB

Both are layers: the bytes of a tar file.
"""

import fcntl
import glob
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import image_archive

PYTHON = "/usr/bin/python3.11"
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "tini")
# Of the standard library, for the copy of this machine's.
UNUSED = ("__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data",
          "config-3.11-x86_64-linux-gnu")
# Of a Debian that is only run, never installed to.
UNNEEDED = ("var/lib/apt/lists/*", "var/cache/apt/*", "var/cache/debconf/*", "var/log/*", "usr/share/doc/*",
            "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*",
            # Of this machine; Docker makes a container's own.
            "etc/resolv.conf", "etc/hostname")


class BaseError(Exception):
    """Why there is no base, and what a person can do about it."""


def in_usr(path):
    """Debian's /bin, /lib and /lib64 are links into /usr."""
    return path if path.startswith("/usr/") else "/usr" + path


def host(packages):
    """This machine's Python, from Debian (others keep their files elsewhere), and the shared libraries that it
    and the installed `packages` need."""
    if not os.path.exists(PYTHON):
        raise BaseError(f"{PYTHON} is missing: install python3.11 from Debian 12, or use --base debian")
    layer = image_archive.Layer()
    for name in ("bin", "lib", "lib64", "sbin"):
        layer.link(name, "usr/" + name)
    layer.folder("tmp", 0o1777)
    layer.folder("root", 0o700)
    for name in ("proc", "sys", "dev", "run", "var/tmp", "usr/sbin"):
        layer.folder(name)
    layer.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n")
    layer.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    layer.file("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    layer.copy("/etc/ssl/certs/ca-certificates.crt", "etc/ssl/certs/ca-certificates.crt")
    layer.copy(PYTHON, "usr/bin/python3.11")
    layer.link("usr/bin/python3", "python3.11")
    layer.link("usr/bin/python", "python3.11")
    layer.copy("/bin/sh", "usr/bin/sh")
    layer.copy_tree("/usr/lib/python3.11", "usr/lib/python3.11", UNUSED)
    extensions = glob.glob("/usr/lib/python3.11/lib-dynload/*.so") + glob.glob(f"{packages}/**/*.so", recursive=True)
    libraries = image_archive.shared_libraries(PYTHON, "/bin/sh", *extensions)
    # Loaded by name at run time, so that ldd does not list them.
    for name in ("libgcc_s.so.1", "libstdc++.so.6", "libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"):
        path = f"/lib/x86_64-linux-gnu/{name}"
        if os.path.exists(path):
            libraries.setdefault(path, os.path.realpath(path))
    for target, source in sorted(libraries.items()):
        layer.copy(source, in_usr(target))
    return layer.data()


def apt_mirror():
    """Where this machine's apt gets Debian from."""
    try:
        listed = subprocess.run(["apt-get", "indextargets", "--format", "$(LABEL)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)"],
                                text=True, capture_output=True, check=False).stdout
    except FileNotFoundError:
        listed = ""
    found = {}
    for line in listed.splitlines():
        label, component, codename, uri = line.split("|", 3)
        if (label, component) == ("Debian", "main") and uri.startswith(("http://", "https://")):
            found.setdefault(codename, uri)
    mirror = found.get(SUITE) or next(iter(found.values()), None)
    if not mirror:
        raise BaseError("this machine's apt has no Debian mirror: name one with --mirror or MIMEO_DEBIAN_MIRROR")
    return mirror


def debian(cache, mirror):
    """A Debian, kept below `cache` and used again. Needs root, and debootstrap."""
    recipe = hashlib.sha256(repr((SUITE, PACKAGES, UNNEEDED)).encode()).hexdigest()[:8]
    kept = cache / f"debian-{SUITE}-{recipe}.tar"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            root = cache / "debian-root"
            bootstrap(root, mirror, cache / "debootstrap.log", lock)
            trim(root)
            part = kept.with_suffix(".part")
            with tarfile.open(part, "w") as out:
                out.add(root, ".", filter=anonymous)
            part.replace(kept)
            shutil.rmtree(root)
    return kept.read_bytes()


def bootstrap(root, mirror, log, lock):
    """Makes the Debian in the folder `root`. debootstrap holds the file `lock` too: one that outlives a killed
    build is waited for by the next build, which shares its folder."""
    program = shutil.which("debootstrap") or shutil.which("debootstrap", path="/usr/sbin:/sbin")
    if not program:
        raise BaseError("debootstrap is not installed: run scripts/install-deps, or use --base host")
    if os.getuid() != 0:
        raise BaseError("only root can make a Debian with debootstrap: use sudo, or --base host")
    shutil.rmtree(root, ignore_errors=True)
    print(f"making a Debian with debootstrap (about a minute; log: {log})", file=sys.stderr, flush=True)
    # In a mount namespace of its own: an interrupted debootstrap leaves /proc mounted below `root`.
    command = ["unshare", "--mount", program, "--variant=minbase", "--force-check-gpg", "--include=" + ",".join(PACKAGES),
               SUITE, str(root), mirror]
    with open(log, "w") as out:
        code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              pass_fds=[lock.fileno()], check=False).returncode
    if code != 0:
        tail = "\n".join(pathlib.Path(log).read_text(errors="replace").splitlines()[-15:])
        raise BaseError(f"debootstrap ended with {code}:\n{tail}\nThe mirror was {mirror}; --mirror or "
                        "MIMEO_DEBIAN_MIRROR name another one. The signature is checked with debian-archive-keyring.")


def trim(root):
    for pattern in UNNEEDED:
        for path in glob.glob(str(root / pattern)):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.remove(path)
    (root / "usr/bin/python").symlink_to("python3")  # What the start command of Cog's images calls.
    # This machine's mirror is nobody's business, and nothing is installed in a running container.
    (root / "etc/apt/sources.list").write_text("# See sources.list(5).\n")


def anonymous(entry):
    """Without device nodes (Docker makes them) and without this machine's names of users."""
    entry.uname = entry.gname = ""
    return None if entry.ischr() or entry.isblk() else entry
