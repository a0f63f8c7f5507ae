"""What a result was measured with: versions and machine, without names of hosts or places."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import time
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Final

import psutil

import orchestra_memory
from orchestra_memory.testing.emulator import Emulator, jar_beside

PACKAGES: Final = (
    "anyio",
    "google-api-core",
    "google-cloud-firestore",
    "grpcio",
    "proto-plus",
    "protobuf",
    "pydantic",
)


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "orchestra-memory": orchestra_memory.__version__,
        **{name: version(name) for name in PACKAGES},
    }


def machine() -> dict[str, str | int | float]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except FileNotFoundError:
        return platform.processor()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor()


def round_trip(address: str) -> float:
    """Median seconds for an answer of the emulator at ``host:port`` to the simplest question."""
    connection = HTTPConnection(address, timeout=5)
    connection.connect()
    times: list[float] = []
    for _ in range(20):
        began = time.perf_counter()
        connection.request("GET", "/")
        connection.getresponse().read()
        times.append(time.perf_counter() - began)
    connection.close()
    return median(times)


def emulator_facts(running: Emulator) -> dict[str, str]:
    """Versions of the emulator and of its Java, as far as they can be told."""
    if running.pid is None:
        return {"origin": running.how}
    return {"origin": running.how, "java": java_version(), **_jar_facts()}


def java_version() -> str:
    answer = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True)
    return parse_java_version(answer.stderr)


def parse_java_version(answer: str) -> str:
    found = re.search(r'version "([^"]+)"', answer)
    return found[1] if found else "unknown"


def _jar_facts() -> dict[str, str]:
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return {}
    tool = Path(gcloud).resolve()
    jar, sdk = jar_beside(tool), tool.parent.parent
    facts = {"jar_sha256": hashlib.sha256(jar.read_bytes()).hexdigest()}
    if (sdk / "VERSION").is_file():
        facts["google_cloud_sdk"] = (sdk / "VERSION").read_text().strip()
    if (sdk / "RELEASE_NOTES").is_file():
        facts["emulator"] = latest_release((sdk / "RELEASE_NOTES").read_text())
    return facts


def latest_release(notes: str) -> str:
    """The newest emulator with a number in the SDK's release notes, which begin with the newest."""
    found = re.search(r"Firestore emulator v([\d.]*\d)", notes, re.IGNORECASE)
    return f"{found[1]} or later" if found else "unknown"
