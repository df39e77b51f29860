// A log of any length: only the lines in view are in the page, the rest comes from the server as it is scrolled to.
// Follows the end until the reader scrolls up. Text only ever becomes text nodes: nothing printed can become markup.
import { Lines, PAGE } from "./loglines.js";
import { rowOf } from "./logrow.js";
import { Search } from "./logsearch.js";
import { topicsOf } from "./region.js";
import { say } from "./say.js";

const TALLEST = 8_000_000; // px; browsers end somewhere behind it, and the scale changes there
const HASH = /^#(.*?)L(\d{1,12})(?:-L(\d{1,12}))?$/;
const logs = new Map(); // address -> Log: a region that is drawn anew keeps its place

class Log {
  constructor(url) {
    this.lines = new Lines(url);
    this.search = new Search(this);
    this.rows = new Map(); // number -> row in the page
    this.top = 1;
    this.seen = 0; // lines that the reader has had at the end of their view
    this.marked = [0, 0];
    this.started = false;
  }

  attach(element) {
    this.element = element;
    this.box = element.querySelector("[data-log-lines]");
    this.space = document.createElement("div");
    this.space.className = "log-space";
    this.place = document.createElement("div");
    this.place.className = "log-rows";
    this.space.append(this.place);
    this.box.replaceChildren(this.space);
    this.rows.clear();
    this.jump = element.querySelector("[data-log-jump]");
    if (!this.started) this.follow = "active" in element.dataset;
    this.wire();
    this.search.attach(element);
    this.height = this.lineHeight();
    if (!this.started) this.begin();
    else if (this.lines.total) this.goTo(this.top, { keep: true }), this.fresh();
  }

  wire() {
    const acts = { follow: () => this.setFollow(!this.follow), times: (one) => this.toggle("timed", one), wrap: (one) => this.toggle("wrap", one), aloud: (one) => this.aloud(one) };
    for (const [name, act] of Object.entries(acts)) {
      const button = this.element.querySelector(`[data-log-${name}]`);
      if (!button) continue;
      button.hidden = false;
      button.addEventListener("click", () => act(button));
    }
    this.element.querySelector("[data-log-follow]")?.setAttribute("aria-pressed", this.follow);
    this.jump?.addEventListener("click", () => this.setFollow(true));
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.box.addEventListener("click", (event) => this.clicked(event));
    this.element.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => (this.follow ? this.goTo(this.lines.total + 1, { keep: true }) : this.draw())).observe(this.box);
  }

  async begin() {
    this.started = true;
    const wanted = this.wanted();
    await this.news(wanted ? Math.max(1, wanted[0] - 100) : 1);
    if (wanted) this.toHash(true);
    else if (!this.follow && this.lines.ended) this.goTo(this.lines.total + 1);
  }

  // What came since: from the last line on, which may have been open. A hint that comes meanwhile asks once more.
  async news(from = Math.max(1, this.lines.total)) {
    if (this.asking) return void (this.again = true);
    this.asking = true;
    do {
      this.again = false;
      if (await this.lines.fetch(from)) this.fresh();
      from = Math.max(1, this.lines.total);
    } while (this.again);
    this.asking = false;
  }

  fresh() {
    const total = this.lines.total;
    if (this.lines.ended) delete this.element.dataset.active;
    this.element.style.setProperty("--digits", Math.max(4, String(total).length));
    const count = this.element.querySelector("[data-log-count]");
    if (count) count.textContent = total ? `${total.toLocaleString("en").replaceAll(",", "\u202f")} ${total === 1 ? "line" : "lines"}` : "";
    if (this.follow) this.goTo(total + 1, { keep: true });
    else this.draw();
    this.search.stale();
  }

  // How many lines fit; which is at the top. The bar maps what can be scrolled to what can be at the top.
  fit = () => Math.max(1, Math.floor(this.box.clientHeight / this.height));
  range = () => Math.max(0, this.lines.total - this.fit());
  path = () => Math.max(1, this.space.offsetHeight - this.box.clientHeight);

  lineHeight() {
    const row = rowOf({ line: 0, text: "x", stream: "stdout", at: "" }, "", "");
    this.place.append(row);
    const height = row.getBoundingClientRect().height || 20;
    row.remove();
    return height;
  }

  draw() {
    if (!this.element?.isConnected) return;
    const total = this.lines.total;
    this.box.querySelector("[data-log-empty]")?.remove();
    if (!total) return void this.box.append(this.empty());
    this.space.style.height = `${Math.min(total * this.height, TALLEST)}px`;
    const fit = this.fit();
    this.top = Math.min(1 + Math.round((this.box.scrollTop / this.path()) * this.range()), Math.max(1, total - fit + 1));
    const last = Math.min(total, this.top + fit + 1);
    this.put(this.top, last);
    this.unseen(last);
    this.search.paint(this.rows);
    this.need(this.top, last);
  }

  // Rows that stay are left alone: a selection or the focus in them survives.
  put(first, last) {
    for (const [number, row] of this.rows) if (number < first || number > last) row.remove(), this.rows.delete(number);
    let before = null;
    for (let number = first; number <= last; number++) {
      const line = this.lines.get(number);
      let row = this.rows.get(number);
      if (!row || row.line !== line) {
        const fresh = rowOf(line || { line: number, text: "", stream: "stdout", at: "", cut: 0 }, this.element.dataset.link || "", this.element.dataset.prefix || "");
        fresh.line = line;
        if (row) row.replaceWith(fresh);
        else if (before) before.after(fresh);
        else this.place.prepend(fresh);
        this.rows.set(number, (row = fresh));
      }
      row.classList.toggle("marked", number >= this.marked[0] && number <= this.marked[1]);
      before = row;
    }
  }

  // Scrolled upwards, what is missing is the end of the window that is asked for.
  async need(first, last) {
    const missing = this.lines.missing(first, last);
    if (!missing || this.needing || this.lines.problem) return;
    this.needing = true;
    const upwards = missing === first && this.lines.get(last);
    const reached = await this.lines.fetch(upwards ? this.lines.missing(Math.max(1, last - PAGE + 1), first) : missing);
    this.needing = false;
    if (reached) this.draw();
  }

  empty() {
    const row = document.createElement("div");
    row.className = "line sys";
    row.dataset.logEmpty = "";
    row.textContent = this.lines.problem || this.element.dataset.waiting || "No output yet.";
    return row;
  }

  goTo(number, { keep = false } = {}) {
    if (!keep) this.setFollow(false, true);
    this.space.style.height = `${Math.min(this.lines.total * this.height, TALLEST)}px`;
    const range = this.range();
    this.box.scrollTop = range ? (Math.min(number - 1, range) / range) * this.path() : 0;
    this.moved = this.box.scrollTop;
    this.draw();
  }

  scrolled() {
    const byHand = Math.abs(this.box.scrollTop - (this.moved ?? -1)) > 1;
    const atEnd = this.path() - this.box.scrollTop < this.height;
    if (byHand && this.follow && !atEnd) this.setFollow(false, true);
    else if (byHand && atEnd && !this.follow && "active" in this.element.dataset) this.setFollow(true, true);
    this.draw();
  }

  setFollow(on, stay = false) {
    this.follow = on;
    this.element.querySelector("[data-log-follow]")?.setAttribute("aria-pressed", on);
    if (on && !stay) this.goTo(this.lines.total + 1, { keep: true });
  }

  unseen(last) {
    if (last >= this.lines.total || !this.seen) this.seen = this.lines.total;
    const count = this.lines.total - this.seen;
    if (!this.jump) return;
    this.jump.hidden = count === 0;
    this.jump.textContent = `Jump to end, ${count} new`;
  }

  toggle(name, button) {
    const on = this.element.classList.toggle(name);
    button.setAttribute("aria-pressed", on);
    this.draw();
  }

  aloud(button) {
    const on = this.box.getAttribute("aria-live") !== "polite";
    this.box.setAttribute("aria-live", on ? "polite" : "off");
    button.setAttribute("aria-pressed", on);
    say(on ? "New lines are read aloud." : "New lines are not read.");
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input")) return;
    const acts = { g: () => this.goTo(1), G: () => this.setFollow(true), "/": () => this.search.open(), n: () => this.search.next(1), N: () => this.search.next(-1) };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  // A click on a number links to its line, with Shift to all from the one before; the address says which.
  clicked(event) {
    const number = Number(event.target.closest?.("[data-line]")?.dataset.line);
    if (!number) return;
    const other = new URL(event.target.closest("a").href);
    if (other.pathname !== location.pathname) return;
    event.preventDefault();
    this.mark(event.shiftKey && this.marked[0] ? this.marked[0] : number, number);
    const [first, last] = this.marked;
    const prefix = this.element.dataset.prefix || "";
    history.replaceState(null, "", `${other.pathname}${other.search}#${prefix}L${first}${last > first ? `-L${last}` : ""}`);
  }

  mark(one, other) {
    this.marked = [Math.min(one, other), Math.max(one, other)];
    this.draw();
  }

  wanted() {
    const found = HASH.exec(decodeURIComponent(location.hash));
    return found && found[1] === (this.element.dataset.prefix || "") ? [Number(found[2]), Number(found[3] || found[2])] : null;
  }

  toHash(into = false) {
    const wanted = this.wanted();
    if (!wanted) return;
    this.mark(...wanted);
    this.goTo(Math.max(1, wanted[0] - Math.floor(this.fit() / 3)));
    if (into) this.element.scrollIntoView({ block: "nearest" });
  }
}

function mount() {
  for (const element of document.querySelectorAll("[data-log]")) {
    const url = element.dataset.log;
    if (!url || logs.get(url)?.element === element) continue;
    if (!logs.has(url)) logs.set(url, new Log(url));
    logs.get(url).attach(element);
  }
}

const each = (act) => logs.forEach((log) => log.element.isConnected && act(log));

export function start() {
  mount();
  document.addEventListener("live:swapped", mount);
  document.addEventListener("live:hint", ({ detail }) => each((log) => topicsOf(log.element).includes(detail.topic) && log.news()));
  document.addEventListener("live:poll", () => each((log) => "active" in log.element.dataset && log.news()));
  addEventListener("hashchange", () => each((log) => log.toHash()));
}
