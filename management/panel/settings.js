// The configuration as its file, with its comments; what is not good is told line by line and changes nothing.

import { button, fill, h, tell } from "./dom.js";
import { t } from "./words.js";

export async function settings(api) {
  const text = h("textarea", { className: "tall", spellcheck: false, "aria-label": t("file") });
  const faults = h("div", {});
  let tag = "";
  const load = async () => {
    const answer = await api.send("GET", "/config.yaml");
    tag = answer.headers.get("etag");
    text.value = await answer.text();
    fill(faults);
  };
  const save = async () => {
    try {
      const answer = await api.send("PUT", "/config.yaml", text.value, { "Content-Type": "application/yaml", "If-Match": tag });
      const waiting = (await answer.json())["restart-needed"];
      if (waiting) tell(t("restartNeeded", waiting.join(", ")), "warn", 20);
    } catch (fault) {
      if (fault.status === 412) throw new Error(t("changed"));
      if (!fault.body?.lines) throw fault;
      fill(faults, fault.body.lines.map((each) => h("div", { className: "bad" }, button(String(each.line), () => jump(text, each.line)), ` ${each.message}`)));
      return;
    }
    tell(t("saved"));
    await load();
  };
  await load();
  return h("section", {}, h("div", { className: "row" }, h("h2", {}, t("file")), button(t("reload"), load), button(t("save"), save, "main")), h("p", { className: "faint" }, t("secretsMasked")), faults, text);
}

function jump(text, line) {
  const start = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  const end = text.value.indexOf("\n", start);
  text.focus();
  text.setSelectionRange(start, end < 0 ? text.value.length : end);
}
