// Logging in through the official CLIs: what runs here is followed until it is done.

import { button, fill, form, h, tell } from "./dom.js";
import { t } from "./words.js";

const isOver = (login) => login.step === "done" || login.step === "aborted";
const isHere = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

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
      current = await api.get(`/logins/${current.id}`).catch(() => current);
    }
  };
  const told = await api.get("/logins");
  for (const each of told.logins) follow(each);
  return [
    h("section", {}, h("div", { className: "tiles" }, told.kinds.map((each) => kind(api, each, follow)))),
    h("section", {}, h("h2", {}, t("underWay")), told.logins.length ? null : h("p", { className: "faint" }, t("noLogins")), place),
  ];
}

function kind(api, each, follow) {
  return h("div", {}, h("h2", {}, each.name), h("p", { className: "faint" }, each.notice),
    form(async (data) => {
      const wish = { kind: each.kind, device: data.has("device"), browser: data.has("here") ? "here" : "elsewhere", project: data.get("project") ?? "" };
      follow(await api.post("/logins", wish));
    },
    each.device && h("div", {}, h("label", {}, h("input", { type: "checkbox", name: "device" }), t("device"))),
    h("div", {}, h("label", {}, h("input", { type: "checkbox", name: "here", checked: isHere }), t("here"))),
    each.project && h("div", {}, h("input", { name: "project", placeholder: t("project"), "aria-label": t("project") })),
    h("button", { type: "submit", className: "main" }, t("begin"))));
}

function ticket(api, login) {
  const lines = [h("h2", {}, login.kind)];
  if (login.step === "done") return [...lines, h("p", { className: "good" }, t(login.renewed ? "renewed" : "loggedIn", login.message), h("div", { className: "faint" }, login.file))];
  if (login.step === "aborted") return [...lines, h("p", { className: "bad" }, login.message)];
  if (login.url) lines.push(h("p", {}, h("a", { href: safe(login.url), target: "_blank", rel: "noopener noreferrer" }, t("openPage"))));
  if (login.elsewhere) lines.push(h("p", {}, `${t("elsewhere")} `, h("a", { href: safe(login.elsewhere), target: "_blank", rel: "noopener noreferrer" }, t("openPage"))));
  if (login.code) lines.push(h("p", {}, t("typeCode")), h("p", { className: "code" }, login.code));
  if (login.message) lines.push(h("p", { className: login.step === "enter" ? "bad" : "faint" }, login.message));
  if (login.prompt) lines.push(paster(api, login));
  lines.push(button(t("cancel"), () => api.remove(`/logins/${login.id}`)));
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
