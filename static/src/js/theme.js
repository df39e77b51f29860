// Theme: system, light or dark. A cookie keeps the choice, so the server's first paint is already right.
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const ICONS = { auto: "auto", light: "sun", dark: "moon" };
const WORDS = { auto: "System", light: "Light", dark: "Dark" };

export function keep(name, value) {
  const age = value ? 31536000 : 0;
  document.cookie = `${name}=${value}; path=/; max-age=${age}; samesite=lax`;
  if (value) document.documentElement.dataset[name] = value;
  else delete document.documentElement.dataset[name];
}

export function nextTheme() {
  const now = document.documentElement.dataset.theme || "auto";
  const next = NEXT[now];
  keep("theme", next === "auto" ? "" : next);
  show(next);
}

function show(theme) {
  const button = document.querySelector("[data-theme-button]");
  if (!button) return;
  button.hidden = false;
  button.querySelector("use").setAttribute("href", `#i-${ICONS[theme]}`);
  button.querySelector("[data-theme-word]").textContent = WORDS[theme];
  button.setAttribute("aria-label", `Theme: ${WORDS[theme]}`);
}

export function start() {
  show(document.documentElement.dataset.theme || "auto");
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-button]")) nextTheme();
    const density = event.target.closest("[data-set-density]");
    if (density) keep("density", density.dataset.setDensity);
  });
}
