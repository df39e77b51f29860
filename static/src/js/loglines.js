// The lines of one log that this page has: fetched in windows, one after the other, kept within a bound.
export const PAGE = 500;
const KEPT = 20_000;

export class Lines {
  constructor(url) {
    this.url = url;
    this.known = new Map(); // number -> line
    this.total = 0;
    this.ended = false;
    this.problem = "";
    this.turn = Promise.resolve();
  }

  get = (number) => this.known.get(number);

  // The first line of a range that is not here; 0 when all are.
  missing(first, last) {
    for (let number = Math.max(1, first); number <= Math.min(last, this.total); number++) if (!this.known.has(number)) return number;
    return 0;
  }

  // Lines from a number on; whether the server was reached.
  fetch(first) {
    this.turn = this.turn.then(() => this.ask(first));
    return this.turn;
  }

  async ask(first) {
    try {
      const join = this.url.includes("?") ? "&" : "?";
      const reply = await fetch(`${this.url}${join}first=${first}&count=${PAGE}`, { headers: { Accept: "application/json" }, cache: "no-store" });
      const told = await reply.json().catch(() => ({}));
      if (reply.ok) this.take(told, first);
      else this.problem = told.detail || "The log cannot be read now.";
      return true;
    } catch {
      return false; // live.js shows that the server is gone; the next hint or poll asks again
    }
  }

  take(page, first) {
    this.total = Math.max(this.total, page.total);
    this.ended = page.ended;
    for (const line of page.results) this.known.set(line.line, line);
    this.problem = first <= this.total && !this.known.has(first) ? "These lines are not there any more." : "";
    if (this.known.size > KEPT) for (const number of this.known.keys()) if (Math.abs(number - first) > KEPT / 4) this.known.delete(number);
  }
}
