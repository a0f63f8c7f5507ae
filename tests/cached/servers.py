"""Redis as people run it: with TLS, behind sentinels."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestra_memory.testing import redis_server
from orchestra_memory.testing.launch import serving
from orchestra_memory.testing.probe import free_port
from orchestra_memory.testing.service import Address, Program

SERVICE = "memory"


@dataclass(frozen=True)
class Certificates:
    """Files of an authority and of what it signed: a server called ``localhost``, and a client."""

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_certificates(directory: Path) -> Certificates:
    """An authority of our own, made by openssl."""
    ca = _issue(directory, "ca", "-x509", "-addext", "keyUsage=critical,keyCertSign")
    signed = ("-x509", "-CA", str(ca), "-CAkey", str(ca.with_suffix(".key")))
    plain = ("-addext", "basicConstraints=critical,CA:FALSE")
    server = _issue(directory, "server", *signed, *plain, "-addext", "subjectAltName=DNS:localhost")
    client = _issue(directory, "client", *signed, *plain)
    return Certificates(ca, server, server.with_suffix(".key"), client, client.with_suffix(".key"))


def _issue(directory: Path, name: str, *options: str) -> Path:
    certificate = directory / f"{name}.pem"
    command = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate)]
    subject = ["-subj", f"/CN=test {name}", "-days", "2"]
    subprocess.run([*command, *files, *subject, *options], check=True, capture_output=True)
    return certificate


@contextmanager
def installed(*options: str) -> Iterator[Address]:
    """A Redis that sees the files and addresses of this machine, as one in a container does not."""
    program = redis_server.find_program()
    if isinstance(program, str):
        pytest.skip(program)
    with serving(redis_server.KIND, (program,), options=options) as served:
        yield served.address


@contextmanager
def tls_server(files: Certificates, *, clients: bool = False) -> Iterator[int]:
    """A Redis that speaks TLS on the port given; ``clients`` must show a certificate, too."""
    port = free_port()
    options = {
        "tls-port": port,
        "tls-ca-cert-file": files.ca,
        "tls-cert-file": files.server,
        "tls-key-file": files.server_key,
        "tls-auth-clients": "yes" if clients else "no",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with installed(*words):
        yield port


@contextmanager
def sentinel(master: Address) -> Iterator[Address]:
    """A sentinel that watches the Redis at `master`."""
    lines = [
        "bind 127.0.0.1",
        "port {port}",
        f"sentinel monitor {SERVICE} {master.host} {master.port} 1",
        f"sentinel down-after-milliseconds {SERVICE} 300",
        f"sentinel failover-timeout {SERVICE} 1000",
    ]
    # A sentinel keeps what it learns in its file.
    script = 'printf "%s\\n" "$@" > sentinel.conf && exec redis-server sentinel.conf --sentinel'
    program = Program(("sh", "-c", script, "sh", *lines), "redis-server --sentinel")
    with serving(redis_server.KIND, (program,)) as served:
        yield served.address


@contextmanager
def cluster(nodes: int = 3) -> Iterator[tuple[Address, ...]]:
    """A cluster of masters without replicas."""
    # A node speaks to the others on a port of its own, by default too high for many a free port.
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
    with ExitStack() as stack:
        started = [
            stack.enter_context(installed(*options, "--cluster-port", str(free_port())))
            for _ in range(nodes)
        ]
        command = ["redis-cli", "--cluster", "create", *map(str, started), "--cluster-yes"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        yield tuple(started)
