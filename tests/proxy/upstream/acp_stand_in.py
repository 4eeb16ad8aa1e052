"""Stands in for Gemini CLI where the real one is not installed: as much of it as the driver speaks to.

It asks its provider, over HTTP, at each prompt, with all that was said in that conversation. ``told.jsonl`` in its home
holds what it was told. What it does wrong is named by the last text that it hears: ``die``, ``fall silent``, ``ask
nobody``, ``ask another model``, ``offer a shell``.
"""

from __future__ import annotations

import json  # noqa: TID251 - it runs without any package, as that is faster
import os
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HOME = Path(os.environ["HOME"])
RELAY = os.environ["CODE_ASSIST_ENDPOINT"]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LOCK = threading.Lock()


def say(message: dict[str, Any]) -> None:
    with LOCK:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


class Server:
    def __init__(self) -> None:
        self.said: dict[str, list[Any]] = {}
        self.models: dict[str, str] = {}
        self.cancelled: dict[str, threading.Event] = {}

    def hear(self, message: dict[str, Any]) -> None:
        with (HOME / "told.jsonl").open("a") as told:
            told.write(json.dumps(message) + "\n")
        params = message.get("params", {})
        match message["method"]:
            case "initialize":
                say({"id": message["id"], "result": {"agentInfo": {"version": os.environ.get("TZ", "0.61.0")}}})
            case "session/new":
                say({"id": message["id"], "result": {"sessionId": self.begin(Path(params["cwd"]))}})
            case "session/prompt":
                threading.Thread(target=self.prompt, args=(message["id"], params), daemon=True).start()
            case "session/cancel":
                self.cancelled[params["sessionId"]].set()
            case _:
                say({"id": message["id"], "result": {}})

    def begin(self, folder: Path) -> str:
        name = f"session-{folder.name}"
        settings = json.loads((folder / ".gemini" / "settings.json").read_bytes())
        self.said[name], self.models[name] = [], settings["model"]["name"]
        self.cancelled[name] = threading.Event()
        return name

    def prompt(self, serial: str, params: Any) -> None:
        name = params["sessionId"]
        text = "".join(block.get("text", "") for block in params["prompt"])
        self.said[name].append({"role": "user", "parts": [{"text": text}]})
        if text == "die":
            os._exit(1)
        if text == "fall silent":
            self.cancelled[name].wait()
        elif text != "ask nobody":
            try:
                self.said[name].append({"role": "model", "parts": self.ask(name, text)})
            except (OSError, urllib.error.HTTPError) as error:
                say({"id": serial, "error": {"code": 500, "message": str(error)}})
                return
        say({"id": serial, "result": {"stopReason": "end_turn"}})

    def ask(self, name: str, text: str) -> list[Any]:
        instructions = Path(os.environ["GEMINI_SYSTEM_MD"]).read_text()
        inner: dict[str, Any] = {
            "session_id": name,
            "contents": self.said[name],
            "systemInstruction": {"parts": [{"text": instructions}]},
        }
        if text == "offer a shell":
            inner["tools"] = [{"functionDeclarations": [{"name": "run_shell_command"}]}]
        model = "another" if text == "ask another model" else self.models[name]
        body = json.dumps({"model": model, "request": inner}).encode()
        headers = {"authorization": f"Bearer {os.environ['GOOGLE_CLOUD_ACCESS_TOKEN']}", "x-own": "yes"}
        request = urllib.request.Request(f"{RELAY}/v1internal:streamGenerateContent?alt=sse", body, headers)  # noqa: S310 - the relay's address
        parts: list[Any] = []
        with OPENER.open(request) as response:
            for line in response.read().decode().splitlines():
                if line.startswith("data: "):
                    candidate = json.loads(line[6:])["response"]["candidates"][0]
                    parts += candidate["content"]["parts"]
        return parts


if __name__ == "__main__":
    server = Server()
    for line in sys.stdin:
        server.hear(json.loads(line))
