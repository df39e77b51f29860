// What would be asked for if this form were sent: 400 ms after the last input. Stores nothing; the old answer is
// dimmed, not removed, so the eye keeps its place.
import { announce } from "./region.js";
import { say, span } from "./say.js";

const PAUSE = 400;
const COULD_NOT = "Could not check policy. You can still submit; it is checked again on submit.";

function watch(form) {
  const panel = document.querySelector(form.dataset.previewTarget || "#preview");
  if (!form.dataset.preview || !panel) return;
  const result = panel.querySelector("[data-preview-result]") || panel;
  const age = panel.querySelector("[data-preview-age]");
  let timer;
  let asking;
  let checkedAt = 0;

  const ask = async () => {
    asking?.abort();
    asking = new AbortController();
    panel.setAttribute("aria-busy", "true");
    try {
      const reply = await fetch(form.dataset.preview, {
        method: "POST",
        body: new FormData(form),
        headers: { "HX-Request": "true" },
        signal: asking.signal,
      });
      if (!reply.ok && reply.status !== 422) throw new Error(String(reply.status));
      result.innerHTML = await reply.text();
      window.htmx?.process(result);
      checkedAt = Date.now();
      announce(panel);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      if (age) age.textContent = COULD_NOT;
      checkedAt = 0;
      say(COULD_NOT);
    }
    panel.setAttribute("aria-busy", "false");
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  };

  form.addEventListener("input", soon);
  form.addEventListener("change", soon);
  setInterval(() => age && checkedAt && (age.textContent = `checked ${span((Date.now() - checkedAt) / 1000)} ago`), 1000);
  ask();
}

export function start() {
  document.querySelectorAll("form[data-preview]").forEach(watch);
  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("form[data-preview]");
    if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}
