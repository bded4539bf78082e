"""Which GPU this machine has, and what its hardware class is called. The worker asks the driver itself; this only
names a class of hardware for a new installation, so that models and deployments can ask for a GPU."""

import re
import shutil
import subprocess

# The words that clients' samples use, by what the driver calls the device.
KNOWN = {"T4": "t4", "L40S": "l40s", "H100": "h100", "V100": "v100", "A40": "a40-large"}
LARGE_A100_MIB = 60_000  # There are some with 40 GB, whose class is not "large".
ASK = ("--query-gpu=name,memory.total", "--format=csv,noheader,nounits")


def find(program="nvidia-smi"):
    """[(name, MiB)] of this machine's devices, in the driver's order; none without a driver that answers."""
    path = shutil.which(program)
    if path is None:
        return []
    try:
        result = subprocess.run([path, *ASK], text=True, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse(result.stdout) if result.returncode == 0 else []


def parse(text):
    lines = (line.rsplit(",", 1) for line in text.splitlines())
    return [(parts[0].strip(), int(parts[1])) for parts in lines if len(parts) == 2 and parts[1].strip().isdigit()]


def hardware_of(name, memory_mib):
    """(sku, name for people): ("gpu-l40s", "Nvidia L40S GPU")."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word.lower() not in ("", "nvidia", "tesla", "geforce")]
    if words and words[0] == "A100":
        return ("gpu-a100-large" if memory_mib >= LARGE_A100_MIB else "gpu-a100"), "Nvidia A100 GPU"
    if words and words[0] in KNOWN:
        return f"gpu-{KNOWN[words[0]]}", f"Nvidia {words[0]} GPU"
    return f"gpu-{'-'.join(words).lower() or 'any'}", " ".join(["Nvidia", *words, "GPU"])
