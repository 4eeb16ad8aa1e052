// How numbers, times and states are shown.

import { h } from "./dom.js";
import { t } from "./words.js";

export const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString());

export function money(value) {
  return value === null || value === undefined ? t("unknown") : `$${value.toLocaleString(undefined, { maximumFractionDigits: 4 })}`;
}

export const percent = (value) => (value === null || value === undefined ? t("unknown") : `${Math.round(value)} %`);

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.round((s % 86400) / 3600)} h`;
}

export const until = (unix) => (unix === null || unix === undefined ? "" : span(unix - Date.now() / 1000));
export const clock = (unix) => new Date(unix * 1000).toLocaleString();
export const brief = (seconds) => (seconds === null || seconds === undefined ? "–" : seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(2)} s`);

const KINDS = { active: "good", ready: "good", cooling: "warn", probing: "warn", busy: "warn", spent: "warn", reserved: "warn", disabled: "faint", unused: "faint" };

export const badge = (state) => h("span", { className: `badge ${KINDS[state] ?? "bad"}` }, t(state));

export const status = (code) => h("span", { className: code < 400 ? "good" : code < 500 ? "warn" : "bad" }, String(code ?? ""));
