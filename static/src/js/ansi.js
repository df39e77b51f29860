// What a program printed, as text nodes: colours as classes, and every other control as a sign that can be seen, so that
// nothing moves, hides or turns around what stands there. The server does the same (templatetags/terminal.py).
const TOKEN = /\x1b\[([0-9;:]*)m|([\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}])/u;
const SIGNS = 100; // of a line that look like signs; a flood of them must not become a flood of elements
const PLAIN = { fg: "", bg: "", flags: [] };
const ENDS = { 22: ["a1", "a2"], 23: ["a3"], 24: ["a4"], 27: ["a7"], 29: ["a9"] };

export function coloured(text) {
  const out = document.createDocumentFragment();
  for (const [classes, part] of parts(text)) out.append(piece(classes, part));
  return out;
}

export function parts(text) {
  const found = [];
  let style = PLAIN, signs = 0;
  const add = (names, run) => (found.at(-1)?.[0] === names ? (found.at(-1)[1] += run) : found.push([names, run]));
  const pieces = text.replace(/\r$/, "").split(TOKEN);
  for (let at = 0; at < pieces.length; at += 3) {
    if (pieces[at]) add(classes(style), pieces[at]);
    if (pieces[at + 1] !== undefined) style = next(style, pieces[at + 1]);
    if (pieces[at + 2] !== undefined) add(++signs <= SIGNS ? "esc" : classes(style), sign(pieces[at + 2]));
  }
  return found;
}

function piece(names, text) {
  if (!names) return document.createTextNode(text);
  const span = document.createElement("span");
  span.className = names;
  span.textContent = text;
  return span;
}

const classes = ({ flags, fg, bg }) => [...flags, fg, bg].filter(Boolean).join(" ");

function sign(control) {
  const code = control.codePointAt(0);
  if (code < 32) return `^${String.fromCodePoint(64 + code)}`;
  return code === 127 ? "^?" : `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
}

// With colons a true colour may name a colour space before its three parts (ITU-T T.416).
const SPACE = /([34]8:2):\d*:(\d+:\d+:\d+)/g;

function next(style, sequence) {
  const codes = sequence.replace(SPACE, "$1:$2").split(/[;:]/).map((one) => (one.length > 3 ? -1 : Number(one)));
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(at + 1));
      if (colour) style = code === 38 ? { ...style, fg: `a3${colour}` } : { ...style, bg: `b4${colour}` };
      at += used;
    } else style = simple(style, code);
  }
  return style;
}

function simple(style, code) {
  if (code === 0) return PLAIN;
  if ([1, 2, 3, 4, 7, 9].includes(code)) return { ...style, flags: [...new Set([...style.flags, `a${code}`])].sort() };
  if (ENDS[code]) return { ...style, flags: style.flags.filter((one) => !ENDS[code].includes(one)) };
  if (code === 39) return { ...style, fg: "" };
  if (code === 49) return { ...style, bg: "" };
  const tens = Math.floor(code / 10), unit = code % 10;
  if (unit > 7) return style;
  if (tens === 3 || tens === 9) return { ...style, fg: `a${code}` };
  return tens === 4 || tens === 10 ? { ...style, bg: `b4${unit}` } : style;
}

// The unit of the nearest of our eight colours, and how many codes it took.
function extended(codes) {
  if (codes[0] === 5 && codes.length > 1) return [indexed(codes[1]), 2];
  if (codes[0] === 2 && codes.length > 3) return [nearest(codes[1], codes[2], codes[3]), 4];
  return ["", codes.length];
}

function indexed(code) {
  if (code < 0 || code > 255) return "";
  if (code < 16) return String(code % 8);
  if (code > 231) return code > 243 ? "7" : "0";
  const level = (one) => (one ? 55 + 40 * one : 0);
  const cube = code - 16;
  return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

function nearest(red, green, blue) {
  const most = Math.max(red, green, blue), least = Math.min(red, green, blue), range = most - least;
  if (range < 40) return most + least > 255 ? "7" : "0";
  const turn = most === red ? (green - blue) / range : most === green ? 2 + (blue - red) / range : 4 + (red - green) / range;
  return "132645"[Math.round((turn + 6) % 6) % 6];
}
