// The one polite voice of the page: at most one sentence in 5 seconds, the last one wins. Never says each step.
const PAUSE = 5000;
let spokenAt = -PAUSE;
let waiting;

export function say(sentence) {
  if (!sentence) return;
  clearTimeout(waiting);
  const wait = Math.max(50, spokenAt + PAUSE - performance.now());
  waiting = setTimeout(() => put("status", sentence), wait);
}

// Only for: your decision was not saved, the connection is lost and you have unsaved text, this changed meanwhile.
export function alarm(sentence) {
  put("alert", sentence);
}

function put(id, sentence) {
  const region = document.getElementById(id);
  if (!region) return;
  spokenAt = performance.now();
  region.textContent = region.textContent === sentence ? `${sentence}\u00a0` : sentence;
}

// A length of time in at most two units, as the server writes it (audit/templatetags/words.py).
export function span(seconds) {
  const s = Math.floor(Math.abs(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m`;
  if (s >= 86400) return `${Math.floor(s / 86400)} d`;
  const m = Math.floor((s % 3600) / 60);
  return m ? `${Math.floor(s / 3600)} h ${m} m` : `${Math.floor(s / 3600)} h`;
}
