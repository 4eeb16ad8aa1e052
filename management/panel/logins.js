// Logging in through the official CLIs, and through a client of one's own: what runs here is followed until it is done.

import { button, field, fill, form, h, tell } from "./dom.js";
import { t } from "./words.js";

const isOver = (login) => login.step === "done" || login.step === "aborted";
const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
const WIRES = [["", ""], ["openai-chat"], ["openai-responses"], ["anthropic"], ["gemini"]];
const CLIENT = [
  ["issuer", "issuer", { type: "url", required: true, placeholder: "https://accounts.google.com" }],
  ["client-id", "clientId", { required: true }],
  ["client-secret", "clientSecret", { type: "password", autocomplete: "off" }],
  ["provider", "tokensFor", { required: true, placeholder: "gemini, vertex, openai, anthropic, …" }],
  ["base-url", "baseUrl", { type: "url", placeholder: "https://…/v1" }],
  ["wire", "wire", { choices: WIRES }],
  ["project-id", "project", {}],
];

export async function logins(api, signal) {
  const place = h("div", { className: "tiles" });
  const shown = new Map();
  const follow = async (login) => {
    const card = shown.get(login.id) ?? h("div", { className: "card" });
    if (!shown.has(login.id)) place.prepend(card);
    shown.set(login.id, card);
    let current = login;
    let drawn = "";
    while (!signal.aborted) {
      const state = JSON.stringify(current);
      if (state !== drawn) fill(card, ticket(api, current));
      drawn = state;
      if (isOver(current)) return;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      current = await api.get(`/logins/${encodeURIComponent(current.id)}`).catch(() => current);
    }
  };
  const begin = async (wish) => {
    follow(await api.post("/logins", { browser: isHere ? "here" : "elsewhere", ...wish }));
    place.scrollIntoView({ block: "nearest" });
  };
  const [told, { files }] = await Promise.all([api.get("/logins"), api.get("/auth-files?source=file")]);
  for (const each of told.logins) follow(each);
  const kinds = new Set(told.kinds.map((each) => each.kind));
  const there = files.filter((each) => kinds.has(each.type));
  return [
    h("section", {}, h("div", { className: "tiles" }, told.kinds.map((each) => kind(each, begin)))),
    h("section", {}, h("h2", {}, t("underWay")), told.logins.length ? null : h("p", { className: "faint" }, t("noLogins")), place),
    there.length > 0 && h("section", {}, h("h2", {}, t("loggedInAlready")), h("div", { className: "tiles" }, there.map((each) => again(each, begin)))),
  ];
}

function kind(each, begin) {
  const place = [
    each.device && each.browser && h("div", {}, h("label", {}, h("input", { type: "checkbox", name: "device" }), t("device"))),
    each.browser && h("div", {}, h("label", {}, h("input", { type: "checkbox", name: "here", checked: isHere }), t("here"))),
  ];
  const more = each.client ? h("div", { className: "fields" }, CLIENT.map(([name, word, properties]) => field(t(word), name, properties)))
    : each.project && h("div", {}, h("input", { name: "project", placeholder: t("project"), "aria-label": t("project") }));
  return h("div", {}, h("h2", {}, each.name), h("p", { className: "faint" }, each.notice),
    form(async (data) => {
      const wish = { kind: each.kind, device: data.has("device"), browser: data.has("here") ? "here" : "elsewhere" };
      if (each.project) wish.project = data.get("project");
      if (each.client) wish.client = Object.fromEntries(CLIENT.map(([name]) => [name, data.get(name).trim()]).filter(([, value]) => value));
      await begin(wish);
    }, more, place, h("button", { type: "submit", className: "main" }, t("begin"))));
}

// An account whose login has ended is renewed; its file, its label and what it has used stay.
function again(each, begin) {
  const wish = each.type === "oidc" ? { kind: each.type, renew: each.name } : { kind: each.type, account: each.email ?? "", project: each.project_id ?? "" };
  return h("div", {}, h("b", {}, each.label), h("p", { className: "faint" }, [each.type, each.email, each.status_message].filter(Boolean).join(" · ")),
    button(t("again"), () => begin(wish)));
}

function ticket(api, login) {
  const lines = [h("h2", {}, login.kind)];
  if (login.step === "done") return [...lines, h("p", { className: "good" }, t(login.renewed ? "renewed" : "loggedIn", login.message), h("div", { className: "faint" }, login.file))];
  if (login.step === "aborted") return [...lines, h("p", { className: "bad" }, login.message)];
  const isAsked = login.step !== "waiting";
  if (isAsked && login.url) lines.push(h("p", {}, h("a", { href: safe(login.url), target: "_blank", rel: "noopener noreferrer" }, t("openPage"))));
  if (isAsked && login.elsewhere) lines.push(h("p", {}, `${t("elsewhere")} `, h("a", { href: safe(login.elsewhere), target: "_blank", rel: "noopener noreferrer" }, t("openPage"))));
  if (isAsked && login.code) lines.push(h("p", {}, t("typeCode")), h("p", { className: "code" }, login.code));
  if (login.message) lines.push(h("p", { className: login.step === "enter" ? "bad" : "faint", role: login.step === "enter" ? "alert" : "status" }, login.message));
  if (isAsked && login.prompt) lines.push(paster(api, login));
  lines.push(button(t("cancel"), () => api.remove(`/logins/${encodeURIComponent(login.id)}`)));
  return lines;
}

// Only an address of the web: what a CLI prints is no reason to run it.
function safe(url) {
  return /^https?:\/\//.test(url) ? url : "about:blank";
}

function paster(api, login) {
  return form(async (data, element) => {
    const told = await api.post(`/logins/${encodeURIComponent(login.id)}/paste`, { text: data.get("text") });
    element.reset();
    if (!told.accepted) tell(told.message, "bad");
  }, h("textarea", { name: "text", required: true, rows: 3, placeholder: t("paste"), "aria-label": t("paste"), autocomplete: "off" }), h("button", { type: "submit", className: "main" }, t("send")));
}
