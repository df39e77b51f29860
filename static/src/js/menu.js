// What opens and closes: the drawer, the account menu, dialogs, and the Ctrl K box that goes to any id.
const ID = /^(?:#?\d{1,12}|[A-Za-z]{2,4}-\d+|[0-9a-f]{8}-[0-9a-f-]{27})$/i;

function jump(event) {
  const input = event.target.querySelector("input");
  const typed = input.value.trim();
  if (!typed) return event.preventDefault();
  const here = [...event.target.closest("dialog")?.querySelectorAll("[data-jump-list] a:not([hidden])") || []];
  if (ID.test(typed)) {
    event.preventDefault();
    location.assign(`/go/${encodeURIComponent(typed.replace("#", ""))}/`);
  } else if (here.length === 1) {
    event.preventDefault();
    here[0].click();
  }
}

function narrow(dialog) {
  const words = dialog.querySelector("input").value.trim().toLowerCase();
  for (const link of dialog.querySelectorAll("[data-jump-list] a")) link.hidden = !link.textContent.toLowerCase().includes(words);
}

function step(dialog, by) {
  const stops = [dialog.querySelector("input"), ...dialog.querySelectorAll("[data-jump-list] a:not([hidden])")];
  const at = stops.indexOf(document.activeElement);
  stops[(at + by + stops.length) % stops.length].focus();
}

function wireJump(dialog) {
  dialog.addEventListener("input", () => narrow(dialog));
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) event.preventDefault(), step(dialog, by);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (dialog.open) return dialog.close();
    dialog.showModal();
    dialog.querySelector("input").select();
  });
}

function drawer(open) {
  const nav = document.getElementById("nav");
  const button = document.querySelector("[data-drawer]");
  if (!nav || !button) return;
  nav.classList.toggle("open", open);
  button.setAttribute("aria-expanded", String(open));
  if (open) nav.querySelector("a").focus();
  else if (nav.contains(document.activeElement)) button.focus();
}

function clicked(event) {
  const at = (selector) => event.target.closest(selector);
  if (at("[data-drawer]")) event.preventDefault(), drawer(!document.getElementById("nav").classList.contains("open"));
  else if (at("[data-drawer-close]")) event.preventDefault(), drawer(false);
  const opener = at("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
  if (at("[data-dialog-close]") || event.target.localName === "dialog") at("dialog")?.close();
  for (const menu of document.querySelectorAll("[data-menu][open]")) if (!menu.contains(event.target)) menu.open = false;
}

export function start() {
  const dialog = document.getElementById("jump");
  if (dialog) wireJump(dialog);
  for (const form of document.querySelectorAll("[data-jump], [data-jump-open]")) form.addEventListener("submit", jump);
  document.querySelector("[data-jump-open] > svg")?.addEventListener("click", () => {
    if (!document.querySelector("[data-jump-open] input").offsetParent) dialog?.showModal();
  });
  document.addEventListener("click", clicked);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    drawer(false);
    for (const menu of document.querySelectorAll("[data-menu][open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  document.querySelector("[data-focus-first]")?.focus();
}
