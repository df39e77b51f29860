// The terminal's colours as classes; every other escape is dropped. The server does the same (templatetags/words.py).
const SGR = /\x1b\[([0-9;]*)m/;
const OTHER = /\x1b(?:\[[0-9;?]*[A-Za-ln-z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B])|\r(?!\n)/g;
const colour = (code) => /^[39][0-7]$/.test(code);

export function coloured(text) {
  const out = document.createDocumentFragment();
  let codes = [];
  text.replace(OTHER, "").split(SGR).forEach((part, index) => {
    if (index % 2) codes = next(codes, part);
    else if (part) out.append(piece(codes, part));
  });
  return out;
}

function piece(codes, text) {
  if (!codes.length) return document.createTextNode(text);
  const span = document.createElement("span");
  span.className = codes.map((code) => `a${code}`).join(" ");
  span.textContent = text;
  return span;
}

function next(codes, sequence) {
  for (const code of sequence.split(";")) {
    if (code === "" || code === "0") codes = [];
    else if (code === "39") codes = codes.filter((kept) => !colour(kept));
    else if (colour(code)) codes = [...codes.filter((kept) => !colour(kept)), code];
    else if ("12349".includes(code) && !codes.includes(code)) codes = [...codes, code];
  }
  return codes;
}
