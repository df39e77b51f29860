// Copying, the undo toast, and times that grow older while one looks at them.
import { say, span } from "./say.js";

export async function copyText(text, sentence = "Copied.") {
  try {
    await navigator.clipboard.writeText(text);
    say(sentence);
    return true;
  } catch {
    say("This browser did not let the page copy. Select the text instead.");
    return false;
  }
}

async function copied(button) {
  if (!(await copyText(button.dataset.copy))) return;
  const word = button.querySelector("span") || button;
  const before = word.textContent;
  word.textContent = "Copied";
  setTimeout(() => (word.textContent = before), 2000);
}

// Gone after 10 s, but not under the pointer and not with the focus inside.
function toast(element) {
  say(element.querySelector("span").textContent);
  const leave = () => (element.matches(":hover, :focus-within") ? setTimeout(leave, 2000) : element.remove());
  setTimeout(leave, 10000);
}

function age() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const away = (new Date(time.dateTime) - Date.now()) / 1000;
    const words = Math.abs(away) < 2 ? "now" : away > 0 ? `in ${span(away)}` : `${span(away)} ago`;
    if (time.textContent !== words) time.textContent = words;
  }
}

export function start() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copied(button);
  });
  document.querySelectorAll("[data-toast]").forEach(toast);
  setInterval(age, 10000);
}
