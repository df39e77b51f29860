// A live region: part of the page that is fetched again when the server hints at news.
// Never touches a region in which somebody reads with the focus, types or selects; it offers a button instead.
import { say } from "./say.js";

const tags = new WeakMap(); // region -> ETag of what it shows
const under = new WeakSet(); // regions being fetched now
const again = new WeakSet(); // regions hinted at while being fetched

export const regions = () => [...document.querySelectorAll("[data-live]")];
export const topicsOf = (element) => (element.dataset.topic || "").split(/\s+/).filter(Boolean);

// What stands on the page now in the place of a region: an answer replaces the element, never its address.
const current = (region) => (region.isConnected ? region : regions().find((one) => one.dataset.live === region.dataset.live));

// true: the server was reached (news or not); false: it was not.
export async function refresh(known) {
  const region = current(known);
  if (!region) return true;
  if (under.has(region)) return again.add(region), true;
  under.add(region);
  try {
    // Not through the browser's cache: a fragment may share its address with the page, and Back must show the page.
    const reply = await fetch(region.dataset.live, { headers: headers(region), cache: "no-store" });
    if (reply.status === 304) return true;
    if (!reply.ok) return reply.status < 500;
    if (reply.headers.get("ETag")) tags.set(region, reply.headers.get("ETag"));
    offer(region, await reply.text());
    return true;
  } catch {
    return false;
  } finally {
    under.delete(region);
    if (again.delete(region)) refresh(region);
  }
}

function headers(region) {
  const sent = { "HX-Request": "true" };
  if (tags.has(region)) sent["If-None-Match"] = tags.get(region);
  return sent;
}

function offer(region, html) {
  if (!region.isConnected) return;
  if (!busy(region) && !("liveHold" in region.dataset)) return swap(region, html);
  region.pendingHtml = html;
  if (region.querySelector(":scope > .stale")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn small stale";
  button.textContent = region.dataset.liveHold || "Updated, show";
  button.addEventListener("click", () => swap(region, region.pendingHtml));
  region.append(button);
  say(button.textContent);
}

function busy(region) {
  const focused = document.activeElement;
  if (focused && focused !== document.body && focused !== region && region.contains(focused)) return true;
  const selection = getSelection();
  if (selection && !selection.isCollapsed && region.contains(selection.anchorNode)) return true;
  return [...region.querySelectorAll("input, textarea, select")].some(touched);
}

function touched(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.options) return [...field.options].some((one) => one.selected !== one.defaultSelected) && field.selectedIndex > 0;
  return field.type !== "hidden" && field.value !== field.defaultValue;
}

// The answer is the region itself (same id) or only what stands in it.
function swap(region, html) {
  const box = document.createElement("template");
  box.innerHTML = html;
  const root = box.content.firstElementChild;
  const open = openDetails(region);
  let shown = region;
  if (root && root.id && root.id === region.id) {
    if (tags.has(region)) tags.set(root, tags.get(region));
    region.replaceWith((shown = root));
  } else {
    region.replaceChildren(box.content);
  }
  for (const id of open) shown.querySelector(`details#${CSS.escape(id)}`)?.setAttribute("open", "");
  window.htmx?.process(shown);
  shown.dispatchEvent(new CustomEvent("live:swapped", { bubbles: true }));
  announce(shown);
}

function openDetails(region) {
  return [...region.querySelectorAll("details[open][id]")].map((one) => one.id);
}

const said = new Map(); // key of a region -> last sentence
export function announce(root) {
  const source = root.matches("[data-announce]") ? root : root.querySelector("[data-announce]");
  const key = root.id || root.dataset.live;
  if (!source || said.get(key) === source.dataset.announce) return;
  said.set(key, source.dataset.announce);
  say(source.dataset.announce);
}
