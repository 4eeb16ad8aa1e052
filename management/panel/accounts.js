// The pool: each account, how it stands, how much of its windows is used, and what can be done with it.

import { button, field, fill, form, h, table, tell } from "./dom.js";
import { badge, count, percent, span, until } from "./figures.js";
import { t } from "./words.js";

const KEY_KINDS = [["claude-api-key", "Anthropic"], ["codex-api-key", "OpenAI"], ["gemini-api-key", "Gemini"], ["vertex-api-key", "Vertex AI"], ["openai-compatibility", "OpenAI-compatible"]];
const EDITABLE = { label: "label", note: "note", prefix: "prefix", priority: "priority", weight: "weight", concurrency: "concurrency" };
const NUMBERS = new Set(["priority", "weight", "concurrency"]);

const PAGE = 50;
const STATES = ["active", "cooling", "broken", "disabled", "error", "unused"];
const BULK = { enable: "enable", disable: "disable", probe: "probe", clear: "clear", delete: "remove" };
const QUIET_MS = 1000;

export async function accounts(api, signal) {
  const place = h("div", {});
  const shown = { words: "", state: "", offset: 0, chosen: new Set(), isAll: false };
  let latest = 0;
  const load = async () => {
    const turn = ++latest;
    const told = await api.get(`/auth-files?${query(shown)}`);
    if (turn !== latest) return;
    if (told.total && shown.offset >= told.total) {
      shown.offset = 0;
      return load();
    }
    fill(place, bulk(api, shown, told, load), list(api, shown, told, load), pager(shown, told, load));
  };
  await load();
  follow(api, place, load, signal);
  const anew = (change) => () => {
    change();
    Object.assign(shown, { offset: 0, isAll: false });
    shown.chosen.clear();
    load().catch((error) => tell(error.message, "bad"));
  };
  const filter = h("input", { type: "search", placeholder: t("filter"), "aria-label": t("filter"), oninput: anew(() => { shown.words = filter.value; }) });
  const state = h("select", { "aria-label": t("state"), onchange: anew(() => { shown.state = state.value; }) },
    h("option", { value: "" }, t("everyState")), STATES.map((each) => h("option", { value: each }, t(each))));
  return [
    h("section", {}, h("div", { className: "row" }, filter, state, uploader(api, load), h("a", { href: "#logins" }, t("logins"))), place),
    h("section", {}, h("h2", {}, t("addKey")), adder(api, load)),
  ];
}

function wish(shown) {
  return { ...(shown.words && { q: shown.words }), ...(shown.state && { status: shown.state }) };
}

function query(shown) {
  return new URLSearchParams({ ...wish(shown), limit: PAGE, offset: shown.offset });
}

// Many accounts change at once; and nobody's form is taken away while it is filled in.
function follow(api, place, load, signal) {
  let waiting = null;
  const draw = () => {
    waiting = null;
    if (signal.aborted) return;
    if (place.querySelector("form")) waiting = setTimeout(draw, QUIET_MS);
    else load().catch(() => {});
  };
  api.follow("accounts", (kind) => { if (kind === "account") waiting ??= setTimeout(draw, QUIET_MS); }, signal);
}

function bulk(api, shown, told, load) {
  if (told.total < 2) return null;
  const number = shown.isAll ? told.total : shown.chosen.size;
  const who = () => (!shown.isAll ? { names: [...shown.chosen] } : Object.keys(wish(shown)).length ? { filter: wish(shown) } : { all: true });
  const act = (action, word) => button(t(word), async () => {
    if (action === "delete" && !confirm(t("reallyMany", count(number)))) return;
    const result = await api.post("/auth-files/bulk", { action, ...who() });
    const bad = result.results.filter((each) => each.error || each.works === false);
    for (const each of bad.slice(0, 3)) tell(`${each.label ?? each.name}: ${each.error ?? each.why}`, "bad", 20);
    tell(t("manyDone", count(result.results.length - bad.length), count(result.results.length)), bad.length ? "warn" : "good");
    shown.chosen.clear();
    shown.isAll = false;
    await load();
  }, action === "delete" ? "bad" : "");
  const all = h("input", { type: "checkbox", checked: shown.isAll, onchange: () => { shown.isAll = all.checked; shown.chosen.clear(); load(); } });
  return h("div", { className: "row bulk" }, h("label", {}, all, t("all", count(told.total))),
    number > 0 && h("span", { className: "faint" }, t("chosenMany", count(number))),
    number > 0 && Object.entries(BULK).map(([action, word]) => act(action, word)));
}

function pager(shown, told, load) {
  if (told.total <= PAGE) return null;
  const to = (offset) => async () => { shown.offset = offset; await load(); };
  const back = button(t("back"), to(Math.max(0, shown.offset - PAGE)));
  const on = button(t("more"), to(shown.offset + PAGE));
  back.disabled = shown.offset === 0;
  on.disabled = shown.offset + PAGE >= told.total;
  return h("nav", { className: "row", "aria-label": t("accounts") }, back, on,
    h("span", { className: "faint" }, t("range", count(shown.offset + 1), count(Math.min(told.total, shown.offset + PAGE)), count(told.total))));
}

function list(api, shown, told, load) {
  const choice = (each) => {
    const box = h("input", { type: "checkbox", checked: shown.isAll || shown.chosen.has(each.auth_index), disabled: shown.isAll, "aria-label": each.label, onchange: () => {
      shown.chosen[box.checked ? "add" : "delete"](each.auth_index);
      document.querySelector(".bulk")?.replaceWith(bulk(api, shown, told, load));
    } });
    return box;
  };
  const heads = ["", t("account"), t("provider"), t("state"), t("windows"), { title: t("served"), number: true }, t("actions")];
  return table(heads, told.files.map((each) => [
    choice(each),
    [h("b", {}, each.label), h("div", { className: "faint" }, [each.email, each.name, each.note].filter(Boolean).join(" · "))],
    each.provider,
    [badge(each.status), h("div", { className: "faint" }, [each.status_message, each.next_retry_after && t("backIn", until(Date.parse(each.next_retry_after) / 1000))].filter(Boolean).join("; "))],
    windows(each.windows),
    `${count(each.success)} / ${count(each.failed)}`,
    actions(api, each, load),
  ]), t("noAccounts"));
}

function windows(all) {
  if (!all.length) return h("span", { className: "faint" }, t("noWindows"));
  return all.map((each) => h("div", { className: "window", title: `${each.source}, ${t("asOf", span(each.age_seconds))}` },
    h("span", {}, each.name + (each.models ? ` (${each.models})` : "")),
    each.used_percent === null ? h("span", { className: "faint" }, t("unknown")) : h("meter", { min: 0, max: 100, high: 80, optimum: 0, value: each.used_percent, "aria-label": `${each.name} ${percent(each.used_percent)}` }),
    h("span", { className: "faint" }, [percent(each.used_percent), each.resets_at && t("resetsIn", until(each.resets_at))].filter(Boolean).join(", "))));
}

function actions(api, each, load) {
  const act = (work) => async () => { await work(); await load(); };
  const named = { auth_index: each.auth_index };
  const isFile = each.source === "file";
  const place = h("div", {});
  const close = () => { fill(place); edit.focus(); };
  const edit = button(t("edit"), () => {
    fill(place, editor(api, each, act, close));
    place.querySelector("input").focus();
  });
  return [h("div", { className: "row" },
    button(each.disabled ? t("enable") : t("disable"), act(() => api.patch("/auth-files/status", { ...named, disabled: !each.disabled }))),
    button(t("probe"), act(async () => {
      const found = await api.post("/cooldowns/probe", named);
      tell(`${each.label} ${found.why}`, found.works ? "good" : "bad", 12);
    })),
    each.cooldowns.length > 0 && button(t("clear"), act(() => api.remove(`/cooldowns?auth_index=${each.auth_index}`))),
    isFile && edit,
    isFile && button(t("remove"), act(async () => {
      if (confirm(t("reallyRemove", each.label))) await api.remove(`/auth-files?name=${encodeURIComponent(each.name)}`);
    }), "bad")), place];
}

function editor(api, each, act, close) {
  const fields = form(async (data) => act(async () => {
    const changed = { name: each.name };
    for (const [name, value] of data) changed[name] = value === "" ? null : NUMBERS.has(name) ? Number(value) : value;
    await api.patch("/auth-files/fields", changed);
  })(), Object.entries(EDITABLE).map(([name, word]) => field(t(word), name, { value: each[name] ?? "", type: NUMBERS.has(name) ? "number" : "text" })),
  h("div", { className: "row" }, h("button", { type: "submit", className: "main" }, t("save")), button(t("cancel"), close)));
  fields.className = "fields";
  return fields;
}

function adder(api, load) {
  const random = () => [...crypto.getRandomValues(new Uint8Array(6))].map((each) => each.toString(16).padStart(2, "0")).join("");
  const add = form(async (data, element) => {
    const kind = data.get("kind");
    const account = { type: kind, "api-key": data.get("secret") };
    if (data.get("label")) account.label = data.get("label");
    if (data.get("base-url")) account["base-url"] = data.get("base-url");
    if (kind === "openai-compatibility") account.name = data.get("name");
    const file = `${kind}-${random()}.json`;
    await api.send("POST", `/auth-files?name=${file}`, account);
    element.reset();
    tell(t("added", file));
    await load();
  }, field(t("kind"), "kind", { choices: KEY_KINDS }), field(t("secret"), "secret", { type: "password", required: true }), field(t("label"), "label"),
  field(`${t("name")} (OpenAI-compatible)`, "name"), field(t("baseUrl"), "base-url", { type: "url", placeholder: "https://…/v1" }), h("button", { type: "submit", className: "main" }, t("save")));
  add.className = "fields";
  return add;
}

function uploader(api, load) {
  const input = h("input", { type: "file", accept: ".json", multiple: true, hidden: true, onchange: async () => {
    const data = new FormData();
    for (const each of input.files) data.append("file", each, each.name);
    try {
      const told = await (await api.send("POST", "/auth-files", data)).json();
      for (const each of told.failed ?? []) tell(`${each.name}: ${each.error}`, "bad", 20);
      if (told.status === "ok") tell(t("done"));
    } catch (error) {
      tell(error.message, "bad", 20);
    }
    input.value = "";
    await load();
  } });
  return [input, button(t("upload"), () => input.click())];
}
