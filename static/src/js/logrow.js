// One line of a log as elements. What was printed becomes text nodes only.
import { coloured } from "./ansi.js";

export function rowOf(line, link, prefix) {
  const row = made("div", `line${{ stderr: " err", system: " sys" }[line.stream] || ""}`);
  row.id = `${prefix}L${line.line}`;
  const number = made("a", "no", line.line);
  number.href = `${link}#${row.id}`;
  number.dataset.line = line.line;
  number.setAttribute("aria-label", `Line ${line.line}`);
  const text = made("span", "tx");
  text.append(coloured(line.text));
  if (line.cut) text.append(made("span", "esc", ` and ${line.cut} bytes more, in the raw log`));
  row.append(number, made("span", "at", line.at ? line.at.slice(11, 19) : ""), text);
  return row;
}

function made(name, className, text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}
