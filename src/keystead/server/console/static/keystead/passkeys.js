// Passkeys: the one thing here that a browser does for a script only. Everything is said in the form's attributes:
// data-passkey="create" or "get", data-passkey-options (JSON) or data-passkey-address (where to ask for it).
"use strict";

const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const withBytes = (options) => {
  const asked = { ...options, challenge: toBytes(options.challenge) };
  if (asked.user) asked.user = { ...asked.user, id: toBytes(asked.user.id) };
  for (const list of ["excludeCredentials", "allowCredentials"]) {
    if (asked[list]) asked[list] = asked[list].map((one) => ({ ...one, id: toBytes(one.id) }));
  }
  return asked;
};

const asJson = (credential) => {
  const answer = credential.response;
  const response = { clientDataJSON: toText(answer.clientDataJSON) };
  for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (answer[part]) response[part] = toText(answer[part]);
  }
  return JSON.stringify({
    id: credential.id, rawId: toText(credential.rawId), type: credential.type, response,
    clientExtensionResults: credential.getClientExtensionResults(),
  });
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) {
    form.hidden = true;
    continue;
  }
  const fault = form.querySelector("[data-passkey-fault]");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    const answer = form.querySelector("[data-passkey-answer]");
    if (answer.value) return;
    event.preventDefault();
    fault.hidden = true;
    try {
      const { passkey, passkeyOptions, passkeyAddress } = form.dataset;
      const text = passkeyOptions || await (await fetch(passkeyAddress, { headers: { Accept: "application/json" } })).text();
      const publicKey = withBytes(JSON.parse(text).publicKey);
      answer.value = asJson(await navigator.credentials[passkey]({ publicKey }));
      form.submit();
    } catch (error) {
      fault.textContent = error.name === "InvalidStateError"
        ? "This device has a passkey for you already."
        : "That did not work, or was cancelled. Try again, or use another way.";
      fault.hidden = false;
    }
  });
}
