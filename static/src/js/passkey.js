// Passkeys: enrolling one, and signing a decision with one. What is signed is computed by the server from what the
// page shows; without this file the server refuses a decision that needs a passkey, and says so.
const WORDS = {
  NotAllowedError: "It was cancelled, took too long, or the device has no passkey for this page.",
  InvalidStateError: "This device holds a passkey of yours already.",
  NotSupportedError: "This device cannot make a passkey of a kind that can be verified.",
  SecurityError: "Passkeys work under a host name with https, or on localhost; not under this address.",
};

const decoded = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const encoded = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const worded = (problem) => WORDS[problem.name] || problem.message || "The device did not answer.";

export const canSign = () => Boolean(window.PublicKeyCredential && navigator.credentials);

async function ask(url, form, body) {
  const reply = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": form.querySelector("[name=csrfmiddlewaretoken]").value },
    body: JSON.stringify(body),
  });
  const told = await reply.json();
  if (!reply.ok) throw new Error(told.detail);
  return told;
}

/** The passkey's signature over exactly this decision, as the fields of a form. */
export async function sign(form, decision) {
  if (!canSign()) throw new Error("This browser has no passkeys. Use one that has.");
  try {
    const told = await ask(form.dataset.passkey, form, decision);
    const made = await navigator.credentials.get({
      publicKey: {
        challenge: decoded(told.challenge),
        rpId: told.rp_id,
        allowCredentials: told.credentials.map((id) => ({ type: "public-key", id: decoded(id) })),
        userVerification: "required",
      },
    });
    return {
      passkey_credential_id: made.id,
      passkey_authenticator_data: encoded(made.response.authenticatorData),
      passkey_client_data: encoded(made.response.clientDataJSON),
      passkey_signature: encoded(made.response.signature),
    };
  } catch (problem) {
    throw new Error(worded(problem));
  }
}

async function enrol(form) {
  if (!canSign()) throw new Error("This browser has no passkeys. Use one that has.");
  try {
    const told = await ask(form.dataset.enrol, form, {});
    const publicKey = {
      ...told,
      challenge: decoded(told.challenge),
      user: { ...told.user, id: decoded(told.user.id) },
      excludeCredentials: (told.excludeCredentials || []).map((one) => ({ ...one, id: decoded(one.id) })),
    };
    const made = await navigator.credentials.create({ publicKey });
    return JSON.stringify({
      id: made.id,
      rawId: encoded(made.rawId),
      type: made.type,
      response: {
        attestationObject: encoded(made.response.attestationObject),
        clientDataJSON: encoded(made.response.clientDataJSON),
      },
    });
  } catch (problem) {
    throw new Error(worded(problem));
  }
}

function wire(form) {
  const credential = form.querySelector("[name=credential]");
  const box = form.querySelector("[data-enrol-error]");
  const button = form.querySelector("button[type=submit]");
  form.addEventListener("submit", async (event) => {
    if (credential.value) return;
    event.preventDefault();
    button.setAttribute("aria-disabled", "true");
    try {
      credential.value = await enrol(form);
      form.submit();
    } catch (problem) {
      box.querySelector("p").textContent = problem.message;
      box.hidden = false;
      box.focus();
    }
    button.removeAttribute("aria-disabled");
  });
}

export function start() {
  document.querySelectorAll("form[data-enrol]").forEach(wire);
}
