// The list of the log: new entries never move what somebody reads. They are counted, and a link shows them.
import { say } from "./say.js";

const PAUSE = 5000;

async function look(list) {
  if (document.hidden) return;
  const reply = await fetch(list.dataset.news, { cache: "no-store" }).catch(() => null);
  const words = reply?.ok ? await reply.text() : "";
  if (!words || words.length > 40) return;
  let link = list.querySelector(":scope > .stale");
  if (!link) {
    link = Object.assign(document.createElement("a"), { className: "btn small stale" });
    const address = new URL(location.href);
    for (const place of ["before", "after"]) address.searchParams.delete(place);
    link.href = address.href;
    list.append(link);
  }
  if (link.textContent === `${words}, show`) return;
  link.textContent = `${words}, show`;
  say(link.textContent);
}

export function start() {
  const list = document.querySelector("[data-news]");
  if (list) setInterval(() => look(list), PAUSE);
}
