// Elements are made of text and properties, never of markup: what an account or a model is called cannot become a script.

export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "list" && key !== "form") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const CONTROLS = "a[href], button, input, select, textarea, summary";
const spokenOf = (control) => `${control.tagName} ${control.ariaLabel ?? control.name ?? ""} ${control.textContent}`;

// What is drawn anew keeps the keyboard where it was: on the control of the same words nearest to the old one's place.
export function fill(element, ...children) {
  const before = [...element.querySelectorAll(CONTROLS)];
  const at = before.indexOf(document.activeElement);
  const spoken = at < 0 ? "" : spokenOf(before[at]);
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  if (at < 0) return;
  const after = [...element.querySelectorAll(CONTROLS)];
  const same = after.filter((each) => spokenOf(each) === spoken).sort((a, b) => Math.abs(after.indexOf(a) - at) - Math.abs(after.indexOf(b) - at));
  (same[0] ?? after[Math.min(at, after.length - 1)] ?? document.querySelector("main"))?.focus({ preventScroll: true });
}

export function tell(text, kind = "good", seconds = 6) {
  const line = h("div", { className: `message ${kind}`, role: kind === "bad" ? "alert" : "status" }, text);
  document.getElementById("told").append(line);
  setTimeout(() => line.remove(), seconds * 1000);
}

export function table(heads, rows, empty) {
  if (!rows.length) return h("p", { className: "faint" }, empty);
  const cell = (kind, value, head) => h(kind, { className: head.number ? "number" : "", scope: kind === "th" ? "col" : null, "data-head": kind === "td" ? head.title ?? head : null }, value ?? "");
  return h("table", {},
    heads.some((head) => head) && h("thead", {}, h("tr", {}, heads.map((head) => cell("th", head.title ?? head, head)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value, index) => cell("td", value, heads[index]))))));
}

export function button(text, act, className = "") {
  const element = h("button", { type: "button", className, onclick: () => once(element, act) }, text);
  return element;
}

export async function once(element, act) {
  if (element.ariaDisabled === "true") return;
  element.ariaDisabled = "true"; // and not disabled, which would take the keyboard from it
  try {
    await act();
  } catch (error) {
    tell(error.message, "bad", 12);
  } finally {
    element.ariaDisabled = null;
  }
}

export function form(act, ...children) {
  const element = h("form", { onsubmit: (event) => {
    event.preventDefault();
    once(element.querySelector("button[type=submit]"), () => act(new FormData(element), element));
  } }, ...children);
  return element;
}

export function field(title, name, properties = {}) {
  const { choices, ...rest } = properties;
  const control = choices
    ? h("select", { name }, choices.map(([value, text]) => h("option", { value, selected: value === rest.value }, text ?? value)))
    : h("input", { name, autocomplete: "off", spellcheck: false, ...rest });
  return h("label", {}, h("span", {}, title), control);
}
