// What was used: sums, their course, and single requests.

import { button, fill, h, s, table, tell } from "./dom.js";
import { brief, count, money } from "./figures.js";
import { requestTable } from "./overview.js";
import { t } from "./words.js";

const PERIODS = { hours24: [86400, "hour"], days7: [7 * 86400, "day"], days30: [30 * 86400, "day"] };
const GROUPS = ["model", "account", "provider", "key"];

export async function usage(api) {
  const place = h("div", { className: "tiles" });
  const period = h("select", { "aria-label": t("time") }, Object.keys(PERIODS).map((each) => h("option", { value: each }, t(each))));
  const group = h("select", { "aria-label": t("by") }, GROUPS.map((each) => h("option", { value: each }, `${t("by")} ${t(`group_${each}`)}`)));
  const load = async () => {
    const [seconds, step] = PERIODS[period.value];
    const whole = step === "day" ? 86400 : 3600; // of whole hours and days the ledger has its sums
    const since = Math.floor((Date.now() / 1000 - seconds) / whole) * whole;
    const [sums, course, speed] = await Promise.all([
      api.get(`/usage?since=${since}&group=${group.value}`), api.get(`/usage/series?since=${since}&step=${step}`), api.get(`/usage/percentiles?since=${since}`),
    ]);
    fill(place, figures(sums, speed));
    fill(chart, bars(course.points, since, step));
    fill(groups, groupTable(sums.groups, t(`group_${group.value}`)));
  };
  const chart = h("div", {});
  const groups = h("div", {});
  period.onchange = group.onchange = () => load().catch((error) => tell(error.message, "bad"));
  await load();
  return [
    h("section", {}, h("div", { className: "row" }, period, group, button(t("export"), () => download(api))), place, chart, groups),
    h("section", {}, h("h2", {}, t("lately")), await latest(api)),
  ];
}

function figures({ totals }, speed) {
  const tile = (title, value, more = "") => h("div", { className: "tile" }, h("b", {}, value), h("span", {}, title), h("div", { className: "faint" }, more));
  return [
    tile(t("requests"), count(totals.requests), `${count(totals.failed)} ${t("failed")}`),
    tile(t("tokens"), count(totals.tokens)),
    tile(t("cost"), money(totals.cost_known || totals.cost), totals.unpriced ? t("unpriced", totals.unpriced) : ""),
    tile(t("firstByte"), `${brief(speed.first_byte_seconds.p50)} · ${brief(speed.first_byte_seconds.p95)}`),
  ];
}

function bars(points, since, step) {
  const length = step === "hour" ? 3600 : 86400;
  const first = Math.floor(since / length) * length;
  const slots = Array.from({ length: Math.floor((Date.now() / 1000 - first) / length) + 1 }, (_, index) => first + index * length);
  const known = new Map(points.map((each) => [each.at, each]));
  const highest = points.reduce((most, each) => Math.max(most, each.requests), 0);
  const scale = Math.max(highest, 1);
  const width = 1000 / slots.length;
  const name = (at) => new Date(at * 1000).toLocaleString(undefined, step === "hour" ? { weekday: "short", hour: "numeric", minute: "numeric" } : { day: "numeric", month: "short" });
  const drawing = s("svg", { viewBox: "0 0 1000 120", class: "chart", preserveAspectRatio: "none", role: "img", "aria-label": t("requests") }, ...slots.flatMap((at, index) => {
    const { requests, failed } = known.get(at) ?? { requests: 0, failed: 0 };
    const bar = (value, kind) => s("rect", { x: index * width + width * 0.1, width: width * 0.8, y: 118 - (115 * value) / scale, height: (115 * value) / scale, class: kind }, s("title", {}, `${name(at)}: ${requests}, ${failed} ${t("failed")}`));
    return [bar(requests, ""), bar(failed, "failed")];
  }));
  return [drawing, h("div", { className: "axis faint" }, h("span", {}, name(slots[0])), h("span", {}, t("busiest", count(highest))), h("span", {}, name(slots.at(-1))))];
}

function groupTable(groups, title) {
  const heads = [title, ...["requests", "failed", "tokens", "cost"].map((each) => ({ title: t(each), number: true }))];
  return table(heads, groups.map((each) => [each.name || "–", count(each.requests), count(each.failed), count(each.tokens), money(each.cost)]), t("noRequests"));
}

async function latest(api) {
  const place = h("div", {});
  const all = [];
  let next = null;
  const more = button(t("more"), async () => {
    const page = await api.get(`/usage/requests?limit=25${next ? `&before=${next}` : ""}`);
    all.push(...page.requests);
    next = page.next;
    more.hidden = page.requests.length < 25;
    fill(place, requestTable(all));
  });
  more.click();
  return [place, more];
}

async function download(api) {
  const answer = await api.send("GET", "/usage/export?format=csv");
  const url = URL.createObjectURL(await answer.blob());
  h("a", { href: url, download: "usage.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
