// Conveniences; every page works without them.
"use strict";

// Copy buttons: <button data-copy="ID" hidden> copies the text of #ID. Hidden until it is known that copying works.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  const label = button.textContent;
  button.hidden = false;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = label; }, 4000);
  });
}

// A one-time code comes after the #, which is never sent to a server. It is moved into the form and out of the address.
// A form that asks for nothing else is sent at once.
const form = document.querySelector("[data-code-from-fragment]");
function takeCode() {
  const match = /^#code=([0-9A-Za-z_]+)$/.exec(location.hash);
  if (!form || !match) return;
  const field = document.getElementById(form.dataset.codeFromFragment);
  field.value = match[1];
  history.replaceState(null, "", location.pathname);
  const next = form.querySelector("input:not([type=hidden]):not([name=code])");
  if (next) next.focus();
  else form.requestSubmit();
}
takeCode();
addEventListener("hashchange", takeCode);

// The menu of the header closes by Escape, and when one turns to something else.
for (const menu of document.querySelectorAll("[data-menu]")) {
  const summary = menu.querySelector("summary");
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    summary.focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  document.addEventListener("pointerdown", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
}

// After a form was refused, the first field that will not do is where one goes on; it may be far below a table.
const refused = document.querySelector("main [aria-invalid=true]") ?? document.querySelector("main form [role=alert]");
if (refused?.matches("input, select, textarea")) refused.focus();
else refused?.scrollIntoView({ block: "center" });
