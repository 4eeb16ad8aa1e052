// How things stand, and what happens now.

import { field, fill, form, h, table } from "./dom.js";
import { badge, brief, clock, count, money, status } from "./figures.js";
import { t } from "./words.js";

const LINES = 15;

export async function overview(api, signal) {
  const midnight = Math.floor(new Date().setHours(0, 0, 0, 0) / 1000);
  const [health, files, models] = await Promise.all([api.get("/health"), api.get("/auth-files?limit=50"), api.get("/models")]);
  const [totals, speed] = await Promise.all([
    api.get(`/usage?since=${midnight}`).catch(() => null), api.get(`/usage/percentiles?since=${midnight}`).catch(() => null),
  ]);
  const feed = h("div", {});
  const seen = (await api.get(`/usage/requests?limit=${LINES}`).catch(() => ({ requests: [] }))).requests;
  const show = () => fill(feed, requestTable(seen));
  show();
  api.follow("usage", (kind, request) => {
    if (kind !== "usage") return;
    seen.unshift(request);
    seen.length = Math.min(seen.length, LINES);
    if (!feed.contains(document.activeElement)) show();
  }, signal);
  const isSimulated = files.files.length > 0 && files.files.every((each) => each.provider.startsWith("sandbox"));
  return [
    health.config_error && h("div", { className: "message bad" }, `${t("notGood")} ${health.config_error}`),
    health.quarantined.length > 0 && h("section", {}, h("h2", {}, t("quarantined")),
      health.quarantined.map((each) => h("p", { className: "bad" }, `${each.file ?? each} ${each.why ?? ""}`))),
    (isSimulated || !files.files.length) && startHere(),
    h("section", {}, tiles(files, totals, speed)),
    h("section", {}, h("h2", {}, t("endpoints")), endpoints()),
    h("section", {}, h("h2", {}, t("tryIt")), tryOut(models.models)),
    h("section", {}, h("h2", {}, t("live_requests")), feed),
  ];
}

function startHere() {
  return h("section", {}, h("h2", {}, t("startHere")), h("p", {}, t("startText")),
    h("div", { className: "row" }, h("a", { href: "#logins" }, t("logins")), h("a", { href: "#accounts" }, t("addKey"))));
}

function tiles(files, totals, speed) {
  const tile = (title, value, more) => h("div", { className: "tile" }, h("b", {}, value), h("span", {}, title), more && h("div", { className: "faint" }, more));
  const sums = totals?.totals;
  const first = speed?.first_byte_seconds;
  return h("div", { className: "tiles" },
    tile(t("accounts"), count(files.total), Object.entries(files.by_status).map(([state, number]) => h("div", {}, badge(state), ` ${number}`))),
    sums && tile(`${t("requests")}, ${t("today")}`, count(sums.requests), `${count(sums.failed)} ${t("failed")}`),
    sums && tile(`${t("tokens")}, ${t("today")}`, count(sums.tokens)),
    sums && tile(`${t("cost")}, ${t("today")}`, money(sums.cost_known || sums.cost), sums.unpriced ? t("unpriced", sums.unpriced) : ""),
    first && tile(t("firstByte"), `${brief(first.p50)} · ${brief(first.p95)}`));
}

function endpoints() {
  const at = location.origin;
  return table(["", ""], [
    ["OpenAI", h("code", {}, `${at}/v1`)], ["Anthropic", h("code", {}, at)], ["Gemini", h("code", {}, at)],
    ["Claude Code, Codex, Gemini CLI …", h("code", {}, "proxy run claude · proxy run codex · proxy run gemini")],
  ], "");
}

function tryOut(models) {
  const out = h("div", {});
  const ask = form(async (data) => {
    const began = performance.now();
    const answer = await fetch("/v1/chat/completions", {
      method: "POST", credentials: "omit",
      headers: { "Content-Type": "application/json", "x-proxy-explain": "1", ...(data.get("key") ? { Authorization: `Bearer ${data.get("key")}` } : {}) },
      body: JSON.stringify({ model: data.get("model"), messages: [{ role: "user", content: data.get("text") }] }),
    });
    const body = await answer.json().catch(() => ({}));
    const text = body.choices?.[0]?.message?.content ?? body.error?.message ?? "";
    fill(out, h("p", {}, status(answer.status), ` ${brief((performance.now() - began) / 1000)}`), h("pre", {}, text),
      [...answer.headers].filter(([name]) => name.startsWith("x-proxy")).map(([name, value]) => h("div", { className: "faint" }, `${name}: ${value}`)));
  }, field(t("model"), "model", { choices: models.map((each) => [each.id]), value: speaking(models)?.id }), field(t("message"), "text", { value: "Hello", required: true }),
  field(t("clientKey"), "key", { type: "password" }), h("button", { type: "submit", className: "main" }, t("send")));
  ask.className = "fields";
  return [ask, out];
}

// Of a model that makes pictures or searches, no length is known.
export const speaking = (models) => models.find((each) => each.context_tokens) ?? models[0];

export function requestTable(requests) {
  const heads = [t("time"), t("model"), t("account"), t("status"), { title: t("seconds"), number: true }, { title: t("tokens"), number: true }, t("attempts"), t("wires")];
  return table(heads, requests.map((each) => [
    h("span", { title: each.request_id }, clock(each.at)),
    each.model_served && each.model_served !== each.model_asked ? `${each.model_asked} → ${each.model_served}` : each.model_asked,
    each.account ?? each.provider ?? "", status(each.status), brief(each.seconds),
    count((each.input_uncached ?? 0) + (each.cache_read ?? 0) + (each.cache_write ?? 0) + (each.output ?? 0) + (each.reasoning ?? 0)),
    tries(each), each.wire_in === each.wire_out || !each.wire_out ? each.wire_in : `${each.wire_in} → ${each.wire_out}`,
  ]), t("noRequests"));
}

const drawn = new WeakMap();

// Once for each request: what is open stays open when the table is drawn anew.
function tries(request) {
  if (!drawn.has(request)) drawn.set(request, details(request));
  return drawn.get(request);
}

function details(request) {
  const lines = request.attempts.map((each) => h("div", {}, `${each.credential}: ${each.status ?? ""} ${each.why}`));
  const lost = request.losses.map((each) => h("div", { className: "warn" }, `${t("losses")}: ${typeof each === "string" ? each : each.path ?? JSON.stringify(each)}`));
  if (lines.length < 2 && !lost.length && !request.error) return String(lines.length);
  return h("details", {}, h("summary", {}, String(lines.length)), request.error && h("div", { className: "bad" }, request.error), lines, lost);
}

