"""Stands in for Codex where the real one is not installed: as much of its app-server as the driver speaks to.

It asks its backend, over HTTP, when a turn begins and when all results are there. ``told.jsonl`` in its home holds what
it was told. What it does wrong is named by the first text that it hears: ``die``, ``fall silent``, ``ask nobody``.
"""

from __future__ import annotations

import itertools
import json  # noqa: TID251 - it runs without any package, as that is faster
import os
import sys
import threading
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HOME = Path(os.environ["CODEX_HOME"])
LOCK = threading.Lock()


def say(message: dict[str, Any]) -> None:
    with LOCK:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


class Server:
    def __init__(self) -> None:
        self.base = tomllib.loads((HOME / "config.toml").read_text())["openai_base_url"]
        self.token = json.loads((HOME / "auth.json").read_bytes())["tokens"]
        self.items: dict[str, list[Any]] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.waiting: dict[str, threading.Event] = {}
        self.serial = itertools.count(1)

    def hear(self, message: dict[str, Any]) -> None:
        with (HOME / "told.jsonl").open("a") as told:
            told.write(json.dumps(message) + "\n")
        if "method" not in message:
            refused = {"contentItems": [{"type": "inputText", "text": "refused"}]}
            self.results[message["id"]] = message.get("result", refused)
            self.waiting[message["id"]].set()
        elif "id" in message:
            try:
                result = getattr(self, message["method"].replace("/", "_"))(message.get("params", {}))
            except ValueError as error:
                say({"id": message["id"], "error": {"code": -32600, "message": str(error)}})
            else:
                say({"id": message["id"], "result": result})

    def initialize(self, _params: Any) -> Any:
        return {"userAgent": f"proxy/{os.environ.get('LC_ALL', '0.169.0')} (stand-in)"}

    def thread_start(self, _params: Any) -> Any:
        name = f"thread-{next(self.serial)}"
        self.items[name] = []
        return {"thread": {"id": name}}

    def thread_inject_items(self, params: Any) -> Any:
        if any(item["type"] == "unheard_of" for item in params["items"]):
            raise ValueError("items[0] is not a valid response item")
        self.items[params["threadId"]] += params["items"]
        return {}

    def turn_start(self, params: Any) -> Any:
        text = json.dumps(self.items[params["threadId"]])
        if "die" in text:
            os._exit(1)
        if "ask nobody" in text:
            self.over(params["threadId"], {"message": "it did not feel like it"})
        elif "fall silent" not in text:
            threading.Thread(target=self.turn, args=(params["threadId"],), daemon=True).start()
        return {"turn": {"id": f"turn-{next(self.serial)}"}}

    def turn_interrupt(self, params: Any) -> Any:
        self.over(params["threadId"], None)
        return {}

    def thread_unsubscribe(self, _params: Any) -> Any:
        return {}

    def over(self, thread: str, error: Any) -> None:
        say({"method": "turn/completed", "params": {"threadId": thread, "turn": {"error": error}}})

    def turn(self, thread: str) -> None:
        try:
            answered = self.ask(thread)
        except (OSError, urllib.error.HTTPError) as error:
            self.over(thread, {"message": str(error)})
            return
        self.items[thread] += answered
        calls = [item for item in answered if item["type"] == "function_call"]
        questions = {}
        for call in calls:
            question = questions[call["call_id"]] = f"q{next(self.serial)}"
            self.waiting[question] = threading.Event()
            params = {"threadId": thread, "callId": call["call_id"], "tool": call["name"], "arguments": {}}
            say({"method": "item/tool/call", "id": question, "params": params})
        for call_id, question in questions.items():
            self.waiting[question].wait()
            output = self.results[question]["contentItems"][0]["text"]
            self.items[thread].append({"type": "function_call_output", "call_id": call_id, "output": output})
        if calls:
            self.turn(thread)
        else:
            self.over(thread, None)

    def ask(self, thread: str) -> list[Any]:
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {self.token['access_token']}",
            "chatgpt-account-id": self.token["account_id"],
            "thread-id": thread,
            "x-codex-turn-metadata": json.dumps({"request_kind": "turn"}),
        }
        body = json.dumps({"input": self.items[thread]}).encode()
        request = urllib.request.Request(f"{self.base}/responses", body, headers)  # noqa: S310 - the relay's address
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request) as response:
            lines = response.read().decode().splitlines()
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        return [event["item"] for event in events if event["type"] == "response.output_item.done"]


if __name__ == "__main__":
    if "debug" in sys.argv:
        sys.stdout.write('{"models": []}')
    else:
        server = Server()
        for line in sys.stdin:
            server.hear(json.loads(line))
