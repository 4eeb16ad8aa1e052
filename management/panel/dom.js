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

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
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
    h("thead", {}, h("tr", {}, heads.map((head) => cell("th", head.title ?? head, head)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value, index) => cell("td", value, heads[index]))))));
}

export function button(text, act, className = "") {
  const element = h("button", { type: "button", className, onclick: () => once(element, act) }, text);
  return element;
}

export async function once(element, act) {
  element.disabled = true;
  try {
    await act();
  } catch (error) {
    tell(error.message, "bad", 12);
  } finally {
    element.disabled = false;
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
  return h("label", {}, title, control);
}
