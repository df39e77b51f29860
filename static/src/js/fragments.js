// Fragments asked for by htmx: a refusal with words is shown where the answer belongs; a failure stays inside the
// fragment and offers to try again. Nothing that was typed is thrown away.
import { alarm } from "./say.js";

const SPOKEN = new Set([400, 403, 404, 409, 422, 429]); // the server answered with words of its own

function refused(event) {
  const { xhr } = event.detail;
  const html = (xhr.getResponseHeader("Content-Type") || "").startsWith("text/html");
  if (SPOKEN.has(xhr.status) && html) event.detail.shouldSwap = true;
}

function failed(event) {
  const { elt, target, xhr } = event.detail;
  if (xhr && SPOKEN.has(xhr.status)) return;
  const sentence = "This did not reach the server, and nothing was saved.";
  const place = target || elt;
  place.querySelector(":scope > [data-failed]")?.remove();
  place.prepend(notice(sentence, elt));
  alarm(sentence);
}

function notice(sentence, elt) {
  const box = Object.assign(document.createElement("div"), { className: "banner s-bad" });
  box.dataset.failed = "";
  const words = Object.assign(document.createElement("p"), { className: "grow", textContent: sentence });
  const again = Object.assign(document.createElement("button"), { type: "button", className: "btn small", textContent: "Try again" });
  again.addEventListener("click", () => {
    box.remove();
    if (elt.matches("form")) elt.requestSubmit();
    else if (elt.matches("a, button")) elt.click();
    else window.htmx.trigger(elt, "load");
  });
  box.append(words, again);
  return box;
}

export function start() {
  document.addEventListener("htmx:beforeSwap", refused);
  document.addEventListener("htmx:responseError", failed);
  document.addEventListener("htmx:sendError", failed);
}
