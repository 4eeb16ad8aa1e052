// Keys of clients: what each may do, has done, and has left. The server makes a key, and it is shown once.

import { button, field, fill, form, h, table, tell } from "./dom.js";
import { badge, clock, count, money } from "./figures.js";
import { t } from "./words.js";

const RATES = { "requests-per-minute": "rpm", "tokens-per-minute": "tpm", concurrency: "concurrency" };
const LISTS = { models: "onlyModels", accounts: "onlyAccounts" };
const PERIODS = ["month", "week", "day"];

export async function keys(api) {
  const place = h("div", {});
  const fresh = h("div", { "aria-live": "polite" });
  const load = async () => {
    const [listed, used] = await Promise.all([api.get("/client-keys"), api.get("/usage?group=key").catch(() => ({ groups: [] }))]);
    const sums = new Map(used.groups.map((each) => [each.name, each]));
    const heads = [t("name"), t("state"), t("limits"), t("budgets"), { title: t("requests"), number: true }, { title: t("tokens"), number: true }, t("actions")];
    fill(place, table(heads, listed["client-keys"].map((each) => [
      h("b", {}, each.name), [badge(each.state), each.source === "file" && h("div", { className: "faint" }, "api-keys-file")],
      limits(each), budgets(each), count(sums.get(each.name)?.requests ?? 0), count(sums.get(each.name)?.tokens ?? 0),
      each.source === "config" ? actions(api, each, load, show) : "",
    ]), t("noKeys")));
  };
  const show = (key) => fill(fresh, h("p", { className: "message warn" }, t("keyOnce"), " ", h("code", {}, key), " ",
    button(t("copy"), async () => { await navigator.clipboard.writeText(key); tell(t("copied")); })));
  await load();
  const add = terms(async (data, element) => {
    const made = await api.post("/client-keys", { name: data.get("name"), ...wanted(data) });
    element.reset();
    show(made["api-key"]);
    await load();
  }, {}, [field(t("name"), "name", { required: true, maxLength: 60 })], h("button", { type: "submit", className: "main" }, t("newKey")));
  return [h("section", {}, fresh, place), h("section", {}, h("h2", {}, t("newKey")), add)];
}

function limits(key) {
  const set = [
    ...Object.entries(RATES).filter(([name]) => key.limits[name]).map(([name, word]) => `${t(word)}: ${count(key.limits[name])}`),
    ...Object.entries(LISTS).filter(([name]) => key[name]?.length).map(([name, word]) => `${t(word)}: ${key[name].join(", ")}`),
    key.expires && `${t("expires")}: ${key.expires}`,
    key.last_minute && `${t("lastMinute")}: ${count(key.last_minute.requests)} / ${count(key.last_minute.tokens)}`,
  ];
  return set.filter(Boolean).map((each) => h("div", { className: "faint" }, each));
}

function budgets(key) {
  return key.balances.map((each) => h("div", { className: "window", title: each.resets_at ? clock(each.resets_at) : "" },
    h("span", {}, `${t(each.per)}, ${each.unit}`), h("meter", { min: 0, max: each.limit || 1, high: 0.8 * each.limit, optimum: 0, value: each.used, "aria-label": `${each.per} ${each.unit}` }),
    h("span", { className: "faint" }, each.unit === "dollars" ? `${money(each.used)} / ${money(each.limit)}` : `${count(each.used)} / ${count(each.limit)}`)));
}

function actions(api, key, load, show) {
  const at = `/client-keys/${encodeURIComponent(key.name)}`;
  const place = h("div", {});
  const change = () => terms(async (data) => {
    await api.patch(at, wanted(data, key));
    await load();
  }, key, [], h("div", { className: "row" }, h("button", { type: "submit", className: "main" }, t("save")), button(t("cancel"), () => fill(place))));
  return [h("div", { className: "row" },
    button(t("edit"), () => fill(place, change())),
    button(t("usage"), async () => fill(place, spent(await api.get(`${at}/usage`)))),
    button(t("rotate"), async () => {
      if (!confirm(t("reallyRotate", key.name))) return;
      show((await api.post(`${at}/rotate`))["api-key"]);
      await load();
    }),
    button(t("remove"), async () => {
      if (!confirm(t("reallyRemoveKey", key.name))) return;
      await api.remove(at);
      await load();
    }, "bad")), place];
}

function spent(told) {
  const heads = [t("model"), ...["requests", "tokens", "cost"].map((each) => ({ title: t(each), number: true }))];
  return table(heads, told.models.map((each) => [each.name || "–", count(each.requests), count(each.tokens), money(each.cost)]), t("noRequests"));
}

// Several budgets are for the file; one can be said here.
function terms(act, key, before, ...after) {
  const budget = key.budgets?.[0] ?? {};
  const element = form(act, before,
    Object.entries(RATES).map(([name, word]) => field(t(word), name, { type: "number", min: 0, value: key.limits?.[name] || "" })),
    Object.entries(LISTS).map(([name, word]) => field(t(word), name, { value: (key[name] ?? []).join(", "), placeholder: "*" })),
    field(t("expires"), "expires", { value: key.expires ?? "", placeholder: "2027-01-31" }),
    (key.budgets?.length ?? 0) < 2 && [
      field(t("budgetPer"), "per", { choices: PERIODS.map((each) => [each, t(each)]), value: budget.per ?? "month" }),
      field(t("budgetTokens"), "tokens", { type: "number", min: 0, value: budget.tokens || "" }),
      field(t("budgetDollars"), "dollars", { type: "number", min: 0, step: "any", value: budget.dollars || "" }),
    ], after);
  element.className = "fields";
  return element;
}

// What was left empty is the default: for a new key it is not sent, for one that is there it is null.
function wanted(data, old = null) {
  const said = {};
  for (const name of Object.keys(RATES)) said[name] = data.get(name) === "" ? null : Number(data.get(name));
  for (const name of Object.keys(LISTS)) said[name] = data.get(name).split(",").map((each) => each.trim()).filter(Boolean);
  said.expires = data.get("expires") || null;
  if (data.has("per")) {
    const budget = { ...old?.budgets?.[0], per: data.get("per") };
    for (const name of ["tokens", "dollars"]) budget[name] = Number(data.get(name) || 0);
    said.budgets = budget.tokens || budget.dollars || budget["quota-percent"] ? [budget] : [];
  }
  for (const name of [...Object.keys(LISTS), "budgets"]) if (said[name] && !said[name].length) said[name] = null;
  return old ? said : Object.fromEntries(Object.entries(said).filter(([, value]) => value !== null));
}
