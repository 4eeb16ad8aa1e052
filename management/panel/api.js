// The management API. The key is held here, in memory, and nowhere else: it is gone with the page.

import { t } from "./words.js";

const BASE = "/v0/management";

export class Fault extends Error {
  constructor(status, body) {
    super(body.message ?? body.error ?? `the server answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

async function reached(url, wish) {
  try {
    return await fetch(url, wish);
  } catch {
    throw new Error(t("unreachable"));
  }
}

export class Api {
  #key;

  constructor(key, onSignedOut) {
    this.#key = key;
    this.onSignedOut = onSignedOut;
  }

  async send(method, path, content, headers = {}) {
    const isText = typeof content === "string" || content instanceof FormData;
    const answer = await reached(BASE + path, {
      method,
      headers: {
        Authorization: `Bearer ${this.#key}`,
        ...(content === undefined || content instanceof FormData ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: content === undefined || isText ? content : JSON.stringify(content),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
    if (!answer.ok && answer.status !== 207) {
      const body = await answer.json().catch(() => ({}));
      if (answer.status === 401) this.onSignedOut();
      throw new Fault(answer.status, body);
    }
    return answer;
  }

  async get(path) {
    return (await this.send("GET", path)).json();
  }

  async post(path, content) {
    return (await this.send("POST", path, content)).json();
  }

  async patch(path, content) {
    return (await this.send("PATCH", path, content)).json();
  }

  async remove(path) {
    return (await this.send("DELETE", path)).json();
  }

  // Server-sent events, by fetch: an EventSource could not send the key.
  async follow(topics, take, signal) {
    while (!signal.aborted) {
      try {
        const answer = await fetch(`${BASE}/events?topics=${topics}`, {
          headers: { Authorization: `Bearer ${this.#key}` }, cache: "no-store", credentials: "omit", signal,
        });
        if (answer.status === 401) return this.onSignedOut();
        if (!answer.ok) throw new Fault(answer.status, {});
        await this.#read(answer.body.getReader(), take);
      } catch (error) {
        if (signal.aborted) return;
      }
      await new Promise((resolve) => setTimeout(resolve, 3000));
    }
  }

  async #read(reader, take) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const frames = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        const kind = /^event: (.*)$/m.exec(frame);
        const data = /^data: (.*)$/m.exec(frame);
        if (kind && data) take(kind[1], JSON.parse(data[1]));
      }
    }
  }
}
