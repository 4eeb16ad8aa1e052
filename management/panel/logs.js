// The server's log as it is written, recorded errors, and who changed what.

import { button, fill, h, table } from "./dom.js";
import { clock, count } from "./figures.js";
import { t } from "./words.js";

const LINES = 500;

export async function logs(api, signal) {
  const isKept = (await api.get("/logging-to-file"))["logging-to-file"];
  const [tail, errors, audit] = await Promise.all([
    isKept ? api.get(`/logs?limit=${LINES}`) : null, api.get("/request-error-logs"), api.get("/audit"),
  ]);
  return [
    h("section", {}, h("h2", {}, t("live")), tail ? live(api, tail.lines, signal) : h("p", { className: "faint" }, t("logsOff"))),
    h("section", {}, h("h2", {}, t("errors")), recorded(api, errors.files)),
    h("section", {}, h("h2", {}, t("audit")), table([t("time"), "", ""], audit.changes.slice(-50).reverse().map((each) => [clock(each.at), each.action, h("code", {}, JSON.stringify(each.changes ?? {}))]), t("noChanges"))),
  ];
}

function live(api, lines, signal) {
  const pre = h("pre", { className: "log", tabIndex: 0, role: "log", "aria-live": "off", "aria-label": t("live") });
  const filter = h("input", { type: "search", placeholder: t("filter"), "aria-label": t("filter"), oninput: () => draw() });
  const every = h("input", { type: "checkbox", onchange: () => draw() });
  const isOurs = (line) => line.includes("route=/v0/management") && line.includes("request.finished");
  const told = lines.map(spoken);
  const draw = () => {
    const isAtEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 20;
    pre.textContent = told.filter((each) => (every.checked || !isOurs(each)) && each.toLowerCase().includes(filter.value.toLowerCase())).join("\n");
    if (isAtEnd) pre.scrollTop = pre.scrollHeight;
  };
  draw();
  api.follow("logs", (kind, line) => {
    if (kind !== "log") return;
    told.push(spoken(line));
    told.splice(0, told.length - LINES);
    draw();
  }, signal);
  requestAnimationFrame(() => { pre.scrollTop = pre.scrollHeight; });
  return [h("div", { className: "row" }, filter, h("label", {}, every, t("everyLine"))), pre];
}

// A line of JSON as a person reads it: when, what, and the rest behind it.
function spoken(line) {
  let fields;
  try {
    fields = typeof line === "string" ? JSON.parse(line) : line;
  } catch {
    return line;
  }
  const { timestamp, level, event, ...rest } = fields;
  const more = Object.entries(rest).map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  return `${timestamp ?? ""} ${level ?? ""} ${event ?? ""}  ${more.join(" ")}`;
}

function recorded(api, files) {
  const out = h("pre", { className: "log" });
  return [table([t("name"), t("time"), ""], files.map((each) => [each.name, `${clock(each.modified)} · ${count(each.size)} B`,
    button(t("show"), async () => { out.textContent = await (await api.send("GET", `/request-error-logs/${encodeURIComponent(each.name)}`)).text(); })]), t("noErrors")), out];
}
