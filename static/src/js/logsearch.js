// Searching a log: the server looks through all of it and tells the numbers of the lines; here one goes from one to the
// next, over the end and the beginning. Plain text is painted where it stands, an expression marks its lines.
import { say } from "./say.js";

const NAME = "log-search";

export class Search {
  constructor(log) {
    this.log = log;
    this.found = null; // the newest answer
    this.at = -1; // which of its results
  }

  attach(element) {
    this.bar = element.querySelector("[data-log-search]");
    this.opener = element.querySelector("[data-log-find]");
    if (!this.bar || !this.opener) return;
    this.opener.hidden = false;
    this.opener.addEventListener("click", () => (this.bar.hidden ? this.open() : this.close()));
    this.field = this.bar.querySelector("input[type=search]");
    this.told = this.bar.querySelector("[data-log-found]");
    this.bar.addEventListener("submit", (event) => (event.preventDefault(), this.submit()));
    this.bar.addEventListener("change", () => (this.found = null));
    this.bar.addEventListener("keydown", (event) => this.key(event));
    this.bar.querySelector("[data-log-previous]").addEventListener("click", () => this.next(-1));
    this.bar.querySelector("[data-log-next]").addEventListener("click", () => this.next(1));
  }

  open() {
    this.bar.hidden = false;
    this.opener.setAttribute("aria-expanded", "true");
    this.field.focus();
    this.field.select();
  }

  close() {
    this.bar.hidden = true;
    this.opener.setAttribute("aria-expanded", "false");
    this.found = null;
    CSS.highlights?.delete(NAME);
    this.log.draw();
    this.log.box.focus();
  }

  key(event) {
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && event.shiftKey) event.preventDefault(), this.next(-1);
  }

  submit() {
    if (this.found && this.asked === this.question()) return this.next(1);
    return this.ask({ first: this.log.top }).then((ok) => ok && (this.found.results.length ? this.show(0) : this.over(1)));
  }

  // A log that grew may have more of it.
  stale() {
    if (this.found) this.found.more = true;
  }

  question() {
    const flags = [...this.bar.querySelectorAll("input[type=checkbox]")].filter((one) => one.checked);
    return new URLSearchParams([["q", this.field.value], ...flags.map((one) => [one.name, "1"])]).toString();
  }

  async ask(place) {
    if (!this.field?.value) return false;
    this.asked = this.question();
    const reply = await fetch(`${this.log.element.dataset.search}?${this.asked}&${new URLSearchParams(place)}`, { cache: "no-store" }).catch(() => null);
    const told = (await reply?.json().catch(() => null)) || {};
    if (!reply?.ok) return this.tell(told.detail || "The search did not reach the server. Try again."), false;
    this.found = told;
    if (!told.count) this.tell(told.complete ? "Not found" : `Not found up to line ${told.searched}; the search took too long`);
    return told.count > 0;
  }

  async next(step) {
    if (!this.found || this.asked !== this.question()) return this.submit();
    const { results, before, more } = this.found;
    const at = this.at + step;
    if (at >= 0 && at < results.length) return this.show(at);
    if (at < 0 && before > 0 && results.length) return (await this.ask({ last: results[0] - 1 })) && this.show(this.found.results.length - 1);
    if (at >= 0 && more && results.length && (await this.ask({ first: results.at(-1) + 1 })) && this.found.results.length) return this.show(0);
    return this.over(step);
  }

  async over(step) {
    const place = step > 0 ? { first: 1 } : { last: Math.max(1, this.log.lines.total) };
    if (await this.ask(place)) this.show(step > 0 ? 0 : this.found.results.length - 1);
  }

  show(at) {
    this.at = at;
    const { results, before, count, complete, searched } = this.found;
    const line = results[at];
    this.tell(`${before + at + 1} of ${count}${complete ? "" : ` up to line ${searched}`}`);
    say(`Line ${line}, ${before + at + 1} of ${count}`);
    this.log.marked = [line, line];
    this.log.goTo(Math.max(1, line - Math.floor(this.log.fit() / 2)));
  }

  tell(words) {
    this.told.textContent = words;
  }

  paint(rows) {
    if (!CSS.highlights || !this.field) return;
    const plain = this.found && !this.bar.hidden && !this.bar.querySelector("[name=regex]").checked;
    const ranges = plain ? [...rows.values()].flatMap((row) => this.ranges(row.querySelector(".tx"))) : [];
    CSS.highlights.set(NAME, new Highlight(...ranges));
  }

  ranges(place) {
    const fold = (text) => (this.bar.querySelector("[name=case]").checked ? text : text.toLowerCase());
    const words = fold(this.field.value), text = fold(place.textContent), found = [];
    const nodes = [...place.childNodes].map((one) => (one.nodeType === Node.TEXT_NODE ? one : one.firstChild)).filter(Boolean);
    const spot = (offset) => {
      for (const node of nodes) {
        if (offset <= node.length) return [node, offset];
        offset -= node.length;
      }
      return [nodes.at(-1), nodes.at(-1).length];
    };
    for (let at = text.indexOf(words); at >= 0 && found.length < 50; at = text.indexOf(words, at + words.length)) {
      const range = new Range();
      range.setStart(...spot(at));
      range.setEnd(...spot(at + words.length));
      found.push(range);
    }
    return found;
  }
}
