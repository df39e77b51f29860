// The decision box: nothing is preselected, the button names the effect, flagged items come before an approval at
// high risk. It only helps: the same form works without it, and the server checks all of it again.
import { sign } from "./passkey.js";
import { alarm } from "./say.js";

function wire(form) {
  const find = (selector) => form.querySelector(selector);
  const button = find("[data-decide-button]");
  const why = find("[data-decide-why]");
  const closing = why.textContent;
  const kept = find("[data-ask-hint]").textContent;
  const comment = find("textarea[name=comment]");
  const flags = [...form.querySelectorAll(".flag input")];

  const chosen = () => find("input[name=decision]:checked");
  const seen = () => flags.filter((one) => one.checked).length;
  const missing = () => {
    const choice = chosen();
    if (!choice) return "Choose one of the four first.";
    if ("needsFlags" in choice.dataset && seen() < flags.length) return `To approve, open the flagged items first: ${seen()} of ${flags.length} opened.`;
    if (form.querySelector("input[type=radio][name=stage]") && !form.querySelector("input[name=stage]:checked")) return "Choose for which stage you decide.";
    if ("condition" in choice.dataset && !find("[name=condition]").value.trim()) return "Write the condition.";
    if ("mustSay" in choice.dataset && !comment.value.trim()) return `Answer first: ${choice.dataset.ask}`;
    return "";
  };

  // The device signs what the fields say now; they stay as they are until it has answered.
  const withPasskey = async () => {
    const said = (name) => new FormData(form).get(name) || "";
    const names = ["stage", "decision", "digest", "chain_digest", "condition"];
    try {
      const signed = await sign(form, Object.fromEntries(names.map((name) => [name, said(name)])));
      Object.entries(signed).forEach(([name, value]) => {
        const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
        form.append(field);
      });
      form.submit();
    } catch (problem) {
      delete form.dataset.sent;
      draw();
      why.textContent = `Nothing was stored. ${problem.message}`;
      alarm(why.textContent);
    }
  };

  const draw = () => {
    const choice = chosen();
    const lacking = missing();
    button.textContent = choice ? choice.dataset.effect : "Choose a decision";
    button.setAttribute("aria-disabled", String(Boolean(lacking)));
    why.textContent = lacking || closing;
    find("[data-decide-hint]").textContent = choice ? choice.dataset.hint : "No decision is preselected.";
    find("[data-condition-field]").hidden = !(choice && "condition" in choice.dataset);
    find("[data-ask-label]").textContent = choice ? choice.dataset.ask : "What did you check?";
    find("[data-ask-hint]").textContent = choice && "mustSay" in choice.dataset ? `Required. ${kept}` : kept;
    const count = find("[data-flags-count]");
    if (count) count.textContent = `${seen()} of ${flags.length}`;
  };

  // With script an item is opened by opening it; the tick only records that.
  flags.forEach((one) => one.addEventListener("click", (event) => event.isTrusted && !one.dataset.opened && event.preventDefault()));
  form.addEventListener("click", (event) => {
    const link = event.target.closest("[data-flag]");
    if (!link) return;
    const tick = document.getElementById(link.dataset.flag);
    tick.checked = true;
    tick.dataset.opened = "";
    document.querySelector(link.hash || null)?.closest("details")?.setAttribute("open", "");
    draw();
  });
  form.addEventListener("input", draw);
  form.addEventListener("submit", (event) => {
    if (missing() || form.dataset.sent) return void (event.preventDefault(), draw());
    form.dataset.sent = "";
    button.setAttribute("aria-disabled", "true");
    button.textContent = "Saving";
    if ("passkey" in form.dataset && chosen().value.startsWith("approve")) {
      event.preventDefault();
      button.textContent = "Waiting for your passkey";
      withPasskey();
    }
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(button);
  });
  draw();
}

export function start() {
  const mount = () => document.querySelectorAll("form[data-decide]:not([data-wired])").forEach((form) => {
    form.dataset.wired = "";
    wire(form);
  });
  mount();
  document.addEventListener("live:swapped", mount);
  addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form[data-decide][data-sent]").forEach((form) => delete form.dataset.sent);
  });
}
