"""Who is measured: each is started in front of the same upstream, on the gateway's core."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from bench.lab.machine import SOURCES, cores, free_port, pinned

KEY = "a-long-random-word-of-the-lab"
ACCOUNTS = 50
PATIENCE_SECONDS = 30.0
PLAIN = SOURCES.parents[1] / "build" / "bench" / "plain" / "bin" / "python"
MODELS = ("whole-1024", "stream-200-5000", "stream-200-25000", "stream-1000-0", "stream-10-0", "stream-100-0",
          "stream-10000-0", "stream-100000-0", "stream-40-50000")  # fmt: skip


@dataclass
class Gateway:
    """`is_ours`: with all that it does beside passing bytes on. Use as a context."""

    name: str
    port: int
    command: list[str]
    folder: Path
    is_ours: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> Self:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                pinned(cores()[1], *self.command), stdout=log, stderr=log, cwd=self.folder, stdin=subprocess.DEVNULL
            )
        until = time.monotonic() + PATIENCE_SECONDS
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > until:
                said = (self.folder / f"{self.name}.log").read_text()
                raise SystemExit(f"{self.name} does not start: {said}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ours(folder: Path, upstream: int, *, accounts: int = ACCOUNTS, name: str = "proxy") -> Gateway:
    """With client keys, many accounts, log, figures and ledger; as `make run` installs it, where `make bench` has."""
    home = folder / f"{name}-home"  # not `proxy`: that would be the package
    home.mkdir(exist_ok=True)
    port = free_port()
    entry = {
        "name": "lab",
        "base-url": f"http://127.0.0.1:{upstream}/v1",
        "api-key-entries": [{"api-key": f"sk-account-{number:05}"} for number in range(accounts)],
        "models": [*({"name": model} for model in MODELS), {"name": "whole-1024", "alias": "another-name"}],
    }
    config = {
        "host": "127.0.0.1",
        "port": port,
        "auth-dir": str(home / "auth"),
        "log-format": "json",
        "api-keys": [KEY],
        "server": {"connections-max": 8192},
        "openai-compatibility": [entry],
    }
    file = home / "config.yaml"
    file.write_bytes(msgspec.json.encode(config))  # JSON is YAML
    command = [str(PLAIN) if PLAIN.exists() else sys.executable, "-m", "proxy", "--config", str(file)]
    return Gateway(name, port, command, folder, is_ours=True)


def plain_aiohttp(folder: Path, upstream: int) -> Gateway:
    port = free_port()
    command = [sys.executable, str(SOURCES / "passthrough.py"), str(port), str(upstream)]
    return Gateway("plain aiohttp", port, command, folder)


def lean_aiohttp(folder: Path, upstream: int) -> Gateway:
    port = free_port()
    command = [sys.executable, str(SOURCES / "passthrough.py"), str(port), str(upstream), "lean"]
    return Gateway("lean aiohttp", port, command, folder)


def nginx(folder: Path, upstream: int) -> Gateway:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise SystemExit("nginx is what everybody is compared with; on Debian: apt-get install nginx-light")
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(
        f"""daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log; worker_processes 1;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_max_body_size 0; client_body_buffer_size 1m; keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream lab {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://lab; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
"""
    )
    return Gateway("nginx", port, [program, "-p", str(folder), "-c", str(file)], folder)


def litellm(folder: Path, upstream: int) -> Gateway:
    """From a venv of its own beside the tools (`make bench-litellm`)."""
    program = folder.parent / "litellm" / "bin" / "litellm"
    port = free_port()
    models = [
        {
            "model_name": model,
            "litellm_params": {
                "model": f"openai/{model}",
                "api_base": f"http://127.0.0.1:{upstream}/v1",
                "api_key": "sk-account",
            },
        }
        for model in MODELS
    ]
    file = folder / "litellm.yaml"
    file.write_bytes(msgspec.json.encode({"model_list": models, "general_settings": {"master_key": KEY}}))
    return Gateway("LiteLLM", port, [str(program), "--config", str(file), "--port", str(port)], folder)


GATEWAYS: Mapping[str, Callable[[Path, int], Gateway]] = {
    "nginx": nginx,
    "plain aiohttp": plain_aiohttp,
    "lean aiohttp": lean_aiohttp,
    "proxy": ours,
    "LiteLLM": litellm,
}
