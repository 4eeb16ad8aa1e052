// Why this account and not another: of any request, of past ones, and as it is decided.

import { field, fill, form, h, table } from "./dom.js";
import { clock, until } from "./figures.js";
import { requestTable, speaking } from "./overview.js";
import { t } from "./words.js";

const LINES = 50;

export async function why(api, signal) {
  const [{ decisions: all }, { models }, { "client-keys": keys }] = await Promise.all([api.get("/decisions"), api.get("/models"), api.get("/client-keys")]);
  const place = h("div", {}, all.length ? all.slice(0, LINES).map(shown) : h("p", { className: "faint" }, t("notes")));
  api.follow("decisions", (kind, decision) => {
    if (kind !== "decision") return;
    place.querySelector("p.faint:only-child")?.remove();
    place.prepend(shown(decision)); // and what is open stays open
    while (place.childElementCount > LINES) place.lastElementChild.remove();
  }, signal);
  return [h("section", {}, h("h2", {}, t("dryRun")), dryRun(api, speaking(models)?.id ?? "", keys.map((each) => each.name))), h("section", {}, h("h2", {}, t("byId")), byId(api)), h("section", {}, h("h2", {}, t("decisions")), place)];
}

function dryRun(api, model, keys) {
  const out = h("div", {});
  const path = (data) => `/explain?${new URLSearchParams({ key: data.get("key") ?? "", address: data.get("address") ?? "" })}`;
  return [form(async (data) => fill(out, detail(await (await api.send("POST", path(data), data.get("body"))).json())),
    h("textarea", { name: "body", rows: 10, "aria-label": t("body"), value: JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] }, null, 2) }),
    keys.length > 0 && [field(t("keys"), "key", { choices: [["", t("anybody")], ...keys.map((each) => [each, each])] }), " ", field(t("comesFrom"), "address", { placeholder: "192.0.2.7" }), " "],
    h("button", { type: "submit", className: "main" }, t("ask"))), out];
}

function byId(api) {
  const out = h("div", {});
  return [form(async (data) => {
    const told = await api.get(`/explain/${encodeURIComponent(data.get("id"))}`);
    fill(out, told.decisions.map(detail), told.request && requestTable([told.request]));
  }, field(t("byId"), "id", { required: true }), " ", h("button", { type: "submit" }, t("ask"))), out];
}

function shown(decision) {
  const who = decision.chosen ? `${decision.chosen.label} · ${decision.chosen.model}` : t("nobody");
  return h("details", {}, h("summary", {}, `${clock(decision.at)} → ${who}`, h("span", { className: "faint" }, ` (${decision.rule ?? ""})`)), detail(decision));
}

function detail(decision) {
  return [
    decision.request_id && h("p", { className: "faint" }, decision.request_id),
    h("p", {}, decision.chosen ? [h("b", {}, decision.chosen.label), ` ${decision.chosen.model} · ${t("chosen", decision.rule)}`] : h("b", { className: "bad" }, decision.refusal ? `${decision.refusal.status} ${decision.refusal.message}` : t("nobody"))),
    decision.note && h("p", { className: "faint" }, decision.note),
    !decision.refusal && table([t("passedOver"), t("state"), ""], decision.passed_over.map((each) => [`${each.label} · ${each.model}`, each.why, each.returns_at ? t("backIn", until(each.returns_at)) : ""]), "–"),
  ];
}
