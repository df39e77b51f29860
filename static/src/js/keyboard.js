// Single keys move, open and copy; none of them decides. Off while somebody types, and off altogether on wish.
import { copyText } from "./copy.js";
import { keep, nextTheme } from "./theme.js";

const GO = { i: "/inbox", c: "/changes", r: "/runs", e: "/environments", l: "/calendar", p: "/policies", m: "/compliance", a: "/audit" };
let afterG = 0;

const typing = (element) => element.closest?.("input, textarea, select, [contenteditable], dialog[open]");
const press = (selector) => {
  const found = document.querySelector(selector);
  found?.click();
  return Boolean(found);
};

const KEYS = {
  "?": () => document.getElementById("keys")?.showModal(),
  "/": () => (document.querySelector("[data-search]") || document.querySelector(".top .jumpbox input"))?.focus(),
  n: () => press('.nav a[href^="/workflows"], [data-key="n"]'),
  j: () => move(1),
  k: () => move(-1),
  x: () => current()?.querySelector("input[type=checkbox]")?.click(),
  "[": () => press('a[rel="prev"]'),
  "]": () => press('a[rel="next"]'),
  y: () => copyText(location.href, "Link copied."),
  w: () => press('[data-key="w"]'),
  t: nextTheme,
  d: () => {
    const box = document.getElementById("decision");
    box?.scrollIntoView({ block: "nearest" });
    box?.querySelector("input[name=decision]")?.focus();
  },
};

const rows = () => [...document.querySelectorAll("[data-list] tbody tr:not(.group), [data-list] > li")];
const current = () => document.querySelector("[data-list] .here");

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(current());
  const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
  current()?.classList.remove("here");
  next.classList.add("here");
  next.querySelector("a[href]")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function go(key) {
  const start = GO[key];
  const link = start && document.querySelector(`.nav a[href^="${start}"]`);
  if (link) location.assign(link.href);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.target)) return;
  if (document.documentElement.dataset.shortcuts === "off") return;
  if (performance.now() - afterG < 1200) {
    afterG = -1e9;
    return void go(event.key);
  }
  if (event.key === "g") return void (afterG = performance.now());
  const own = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!KEYS[event.key] && !own) return;
  event.preventDefault();
  if (KEYS[event.key]) KEYS[event.key]();
  else own.click();
}

export function start() {
  afterG = -1e9;
  document.addEventListener("keydown", pressed);
  const off = document.querySelector("[data-shortcuts-off]");
  if (!off) return;
  off.checked = document.documentElement.dataset.shortcuts === "off";
  off.addEventListener("change", () => keep("shortcuts", off.checked ? "off" : ""));
}
