// One socket a page. Hints carry a topic and a number; what they hint at is fetched. The page stays right without
// the socket: while it is down, or silent beside active work, regions are polled (ETag). It never sends but "subscribe".
import { regions, refresh, topicsOf } from "./region.js";
import { alarm, span } from "./say.js";

const POLL = 10000;
const seen = {}; // topic -> last sequence number that this page has
let socket;
let tries = 0;
let state = "";
let updatedAt = Date.now();
let hintAt = Date.now();
const soon = new Map(); // region -> timer: hints that come together become one fetch

export function start() {
  for (const one of document.querySelectorAll("[data-topic]")) remember(one);
  document.addEventListener("live:swapped", (event) => {
    for (const one of [event.target, ...event.target.querySelectorAll("[data-topic]")]) remember(one);
  });
  if (!Object.keys(seen).length && !regions().length) return;
  connect();
  setInterval(tick, 1000);
  setInterval(poll, POLL);
  addEventListener("online", () => connect());
  addEventListener("offline", () => show("offline"));
  document.addEventListener("visibilitychange", () => document.hidden || poll());
}

function remember(element) {
  const seq = Number(element.dataset.seq || 0);
  for (const topic of topicsOf(element)) seen[topic] = Math.max(seen[topic] || 0, seq);
}

function connect() {
  if (socket && socket.readyState <= WebSocket.OPEN) return;
  if (!Object.keys(seen).length) return;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws/`);
  socket.onopen = opened;
  socket.onmessage = (event) => heard(JSON.parse(event.data));
  socket.onclose = closed;
}

function opened() {
  tries = 0;
  fresh();
  show("live");
  socket.send(JSON.stringify({ subscribe: Object.keys(seen), after: seen }));
}

function closed() {
  if (state !== "offline") show("reconnecting");
  // Full jitter up to 20 s: after a restart of the server not all pages come back in the same instant.
  setTimeout(connect, 300 + Math.random() * Math.min(20000, 1000 * 2 ** tries++));
  if (tries === 1) poll();
}

function heard(message) {
  fresh();
  hintAt = Date.now();
  const { topic, seq, kind } = message;
  if (kind === "resync" || kind === "reload") return void regions().forEach(later);
  if (!topic || (seq && seq <= (seen[topic] || 0))) return;
  if (seq) seen[topic] = seq;
  document.dispatchEvent(new CustomEvent("live:hint", { detail: message }));
  if (kind === "log") return; // logs listen for themselves; nothing else on the page moved
  for (const region of regions()) if (topicsOf(region).includes(topic)) later(region);
}

function later(region) {
  if (soon.has(region)) return;
  soon.set(region, setTimeout(() => (soon.delete(region), refresh(region).then((ok) => ok && fresh())), 120));
}

async function poll() {
  const quiet = Date.now() - hintAt > POLL && document.querySelector("[data-active]");
  if (document.hidden || (state === "live" && !quiet)) return;
  document.dispatchEvent(new CustomEvent("live:poll"));
  const answers = await Promise.all(regions().map(refresh));
  if (!answers.length) return;
  if (answers.every(Boolean)) fresh();
  if (state !== "live") show(answers.some(Boolean) ? "reconnecting" : "offline");
}

const fresh = () => (updatedAt = Date.now());

function tick() {
  if (state === "reconnecting") words(`Reconnecting, last update ${span((Date.now() - updatedAt) / 1000)} ago`);
}

function show(next) {
  const before = state;
  state = next;
  const box = document.querySelector("[data-connection]");
  if (box) (box.hidden = false), (box.dataset.state = next);
  if (next === "live") words("Live");
  if (next === "offline") words("Offline, checking every 10 s");
  tick();
  const banner = document.querySelector("[data-offline]");
  if (banner) banner.hidden = next !== "offline";
  if (next !== "offline" || before === "offline") return;
  document.querySelector("[data-offline-since]").textContent = new Date(updatedAt).toLocaleTimeString([], { hour12: false });
  if (typed()) alarm("The connection is lost. What you typed is kept on this page and was not sent.");
}

function words(text) {
  const place = document.querySelector("[data-connection-words]");
  if (place && place.textContent !== text) place.textContent = text;
}

const typed = () => [...document.querySelectorAll("textarea, input.input")].some((one) => one.value !== one.defaultValue);
