// Signing in, and moving between the views. A view is a function of (api, signal) that gives an element; the signal is
// aborted when it is left.

import { Api } from "./api.js";
import { button, fill, form, h } from "./dom.js";
import { language, t } from "./words.js";
import { accounts } from "./accounts.js";
import { keys } from "./keys.js";
import { logins } from "./logins.js";
import { logs } from "./logs.js";
import { overview } from "./overview.js";
import { settings } from "./settings.js";
import { usage } from "./usage.js";
import { why } from "./why.js";

const VIEWS = { overview, accounts, logins, usage, why, keys, logs, settings };
const root = document.getElementById("panel");
let leaving = new AbortController();
let api = null;

function signIn() {
  api = null;
  leaving.abort();
  const input = h("input", { type: "password", name: "key", required: true, autofocus: true, autocomplete: "current-password", "aria-label": t("key") });
  fill(root, h("main", { className: "signin" },
    h("section", {}, h("h2", {}, t("title")),
      form(open, h("label", {}, t("key")), input, h("button", { type: "submit", className: "main" }, t("signIn")), h("p", { className: "faint" }, t("keyHint"))))),
  h("div", { id: "told" }));
  input.focus();
}

async function open(data) {
  const candidate = new Api(data.get("key"), () => api && signIn());
  await candidate.get("/version");
  api = candidate;
  await show();
}

async function show() {
  if (!api) return;
  leaving.abort();
  leaving = new AbortController();
  const name = location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "overview";
  const main = h("main", { tabIndex: -1, "aria-label": t(name), "aria-busy": "true" }, h("p", { className: "faint" }, "…"));
  document.title = `${t(name)} · ${t("title")}`;
  fill(root,
    h("header", {}, h("h1", {}, t("title")),
      h("nav", { "aria-label": t("title") }, Object.keys(VIEWS).map((each) => h("a", { href: `#${each}`, "aria-current": each === name ? "page" : null }, t(each)))),
      h("button", { type: "button", onclick: signIn }, t("signOut"))),
    main, h("div", { id: "told" }));
  root.querySelector("nav [aria-current]").scrollIntoView({ block: "nearest", inline: "nearest" });
  const { signal } = leaving;
  try {
    const view = await VIEWS[name](api, signal);
    if (signal.aborted) return;
    fill(main, view);
    main.removeAttribute("aria-busy");
    if (document.activeElement === document.body) main.focus({ preventScroll: true });
  } catch (error) {
    if (signal.aborted || !api) return;
    fill(main, h("section", {}, h("p", { className: "bad", role: "alert" }, error.message), button(t("reload"), show)));
    main.removeAttribute("aria-busy");
  }
}

document.documentElement.lang = language;
window.addEventListener("hashchange", show);
signIn();
