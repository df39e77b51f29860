// The tail of a log: fetches what is new after a number, keeps at most 2000 lines in the page, follows the end until
// the reader scrolls up. Text only ever becomes text nodes: nothing a program prints can become markup.
import { coloured } from "./ansi.js";
import { topicsOf } from "./region.js";
import { say } from "./say.js";

const MOST = 2000;
const logs = new Map(); // element -> Log

class Log {
  constructor(element) {
    this.element = element;
    this.url = element.dataset.log;
    this.after = Number(element.dataset.after || 0);
    this.prefix = element.dataset.prefix || "L";
    this.lines = element.querySelector("[data-log-lines]");
    this.jump = element.querySelector("[data-log-jump]");
    this.last = this.lines.querySelectorAll(".line:not([data-log-empty])").length;
    const last = this.lines.lastElementChild?.querySelector(".no");
    if (last) this.last = Number(last.textContent);
    this.open = {}; // stream -> its line without an end yet
    this.unseen = 0;
    this.follow = "active" in element.dataset;
    this.wire();
    if (this.follow) this.toEnd();
  }

  wire() {
    for (const [name, act] of [["follow", () => this.setFollow(!this.follow)], ["times", () => this.times()], ["aloud", () => this.aloud()]]) {
      const button = this.element.querySelector(`[data-log-${name}]`);
      if (!button) continue;
      button.hidden = false;
      button.addEventListener("click", act);
    }
    this.jump?.addEventListener("click", () => this.setFollow(true));
    this.lines.addEventListener("scroll", () => this.scrolled(), { passive: true });
  }

  async fetch() {
    if (!this.url || this.busy) return void (this.missed = true);
    this.busy = true;
    this.missed = false;
    try {
      const join = this.url.includes("?") ? "&" : "?";
      const reply = await fetch(`${this.url}${join}after=${this.after}`, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (reply.ok) this.take(await reply.json());
    } catch {
      this.missed = false; // live.js shows that the server is gone; the next hint or poll asks again
    } finally {
      this.busy = false;
    }
    if (this.missed) this.fetch();
  }

  take(page) {
    const fresh = (page.results || []).filter((chunk) => chunk.seq > this.after);
    const before = this.last;
    for (const chunk of fresh) this.append(chunk);
    this.after = Math.max(this.after, page.after || 0);
    if (fresh.length) this.missed = !page.ended && fresh.length > 1 && page.more === true;
    this.trim();
    if (page.ended) delete this.element.dataset.active;
    if (this.follow) this.toEnd();
    else if (before) this.count(this.last - before); // what was there when the page opened is not new
  }

  // A chunk may end in the middle of a line; the rest comes with a later chunk of the same stream.
  append(chunk) {
    this.after = Math.max(this.after, chunk.seq);
    if (chunk.line && !this.open[chunk.stream]) this.last = chunk.line - 1;
    const pieces = chunk.text.split("\n");
    pieces.forEach((piece, index) => {
      const ends = index < pieces.length - 1;
      if (!piece && !ends && !this.open[chunk.stream]) return;
      this.put(chunk, piece, ends);
    });
  }

  put(chunk, text, ends) {
    const open = this.open[chunk.stream] || this.row(chunk);
    open.raw += text;
    open.place.replaceChildren(coloured(open.raw));
    this.open[chunk.stream] = ends ? undefined : open;
  }

  row(chunk) {
    this.lines.querySelector("[data-log-empty]")?.remove();
    const number = ++this.last;
    const row = document.createElement("div");
    row.className = `line${{ stderr: " err", system: " sys" }[chunk.stream] || ""}`;
    row.id = this.prefix + number;
    const link = Object.assign(document.createElement("a"), { className: "no", href: `#${row.id}`, textContent: number });
    link.setAttribute("aria-label", `Line ${number}`);
    const at = Object.assign(document.createElement("span"), { className: "at", textContent: chunk.at ? chunk.at.slice(11, 19) : "" });
    const place = Object.assign(document.createElement("span"), { className: "tx" });
    row.append(link, at, place);
    this.lines.append(row);
    return { place, raw: "" };
  }

  trim() {
    while (this.lines.childElementCount > MOST) this.lines.firstElementChild.remove();
  }

  scrolled() {
    const atEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 24;
    if (atEnd) this.count(-this.unseen);
    if (this.follow && !atEnd && !this.moving) this.setFollow(false);
    else if (atEnd && !this.follow && this.unseen === 0 && "active" in this.element.dataset) this.setFollow(true);
  }

  setFollow(on) {
    this.follow = on;
    this.element.querySelector("[data-log-follow]")?.setAttribute("aria-pressed", on);
    if (on) this.toEnd();
  }

  toEnd() {
    this.moving = true;
    this.lines.scrollTop = this.lines.scrollHeight;
    this.count(-this.unseen);
    requestAnimationFrame(() => (this.moving = false));
  }

  count(more) {
    const whole = this.lines.scrollHeight - this.lines.clientHeight < 24;
    this.unseen = whole ? 0 : Math.max(0, this.unseen + more);
    if (!this.jump) return;
    this.jump.hidden = this.unseen === 0;
    this.jump.textContent = `Jump to end, ${this.unseen} new`;
  }

  times() {
    const on = this.element.classList.toggle("timed");
    this.element.querySelector("[data-log-times]").setAttribute("aria-pressed", on);
  }

  aloud() {
    const on = this.lines.getAttribute("aria-live") !== "polite";
    this.lines.setAttribute("aria-live", on ? "polite" : "off");
    this.element.querySelector("[data-log-aloud]").setAttribute("aria-pressed", on);
    say(on ? "New lines are read aloud." : "New lines are not read.");
  }
}

function mount() {
  for (const element of document.querySelectorAll("[data-log]")) {
    if (logs.has(element)) continue;
    const log = new Log(element);
    logs.set(element, log);
    log.fetch();
  }
  for (const element of logs.keys()) if (!element.isConnected) logs.delete(element);
}

export function start() {
  mount();
  document.addEventListener("live:swapped", mount);
  document.addEventListener("live:hint", ({ detail }) => {
    for (const [element, log] of logs) if (topicsOf(element).includes(detail.topic)) log.fetch();
  });
  document.addEventListener("live:poll", () => {
    for (const [element, log] of logs) if ("active" in element.dataset) log.fetch();
  });
}
