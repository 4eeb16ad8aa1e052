// Keys of clients. A new one is made in this page, and shown once.

import { button, field, fill, form, h, table, tell } from "./dom.js";
import { count } from "./figures.js";
import { t } from "./words.js";

export async function keys(api) {
  const place = h("div", {});
  const fresh = h("div", {});
  const load = async () => {
    const [listed, used] = await Promise.all([api.get("/api-keys"), api.get("/usage?group=key").catch(() => ({ groups: [] }))]);
    const sums = new Map(used.groups.map((each) => [each.name, each]));
    fill(place, table([t("name"), t("secret"), "", { title: t("requests"), number: true }, { title: t("tokens"), number: true }, ""], listed["api-keys"].map((each, index) => {
      const entry = typeof each === "string" ? { "api-key": each } : each;
      const sum = sums.get(entry.name);
      return [entry.name ?? "", h("code", {}, entry["api-key"] || entry["key-hash"] || ""), limits(entry), count(sum?.requests ?? 0), count(sum?.tokens ?? 0),
        button(t("remove"), async () => { if (confirm(t("reallyRemove", entry.name || entry["api-key"]))) { await api.remove(`/api-keys?index=${index}`); await load(); } }, "bad")];
    }), t("noKeys")));
  };
  await load();
  const add = form(async (data, element) => {
    const key = `px-${[...crypto.getRandomValues(new Uint8Array(24))].map((each) => each.toString(16).padStart(2, "0")).join("")}`;
    const listed = (await api.get("/api-keys"))["api-keys"];
    const entry = data.get("name") ? { "api-key": key, name: data.get("name") } : key;
    await api.send("PUT", "/api-keys", [...listed, entry]);
    element.reset();
    fill(fresh, h("p", { className: "message warn" }, t("keyOnce"), " ", h("code", {}, key), " ", button(t("copy"), async () => { await navigator.clipboard.writeText(key); tell(t("copied")); })));
    await load();
  }, h("div", { className: "row" }, field(t("name"), "name", { maxLength: 60 }), h("button", { type: "submit", className: "main" }, t("newKey"))));
  return h("section", {}, add, fresh, place);
}

function limits(entry) {
  const plain = new Set(["api-key", "key-hash", "name"]);
  const set = Object.entries(entry).filter(([name, value]) => !plain.has(name) && value !== null && value !== "" && value !== 0 && value !== false && !(Array.isArray(value) && !value.length));
  return h("span", { className: "faint" }, set.map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · "));
}
