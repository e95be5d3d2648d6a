// Asks for each part of the page again, and swaps it in where it has changed.
"use strict";

const link = document.getElementById("link");

function say(text, kind) {
  if (link.textContent === text) return; // a screen reader hears of changes only
  link.textContent = text;
  link.className = `link ${kind}`;
}

function swap(place, fresh) {
  const open = [...place.querySelectorAll("details[open]")].map((each) => each.id);
  const focused = [...place.querySelectorAll("a, summary")].indexOf(document.activeElement);
  place.replaceChildren(...fresh.childNodes);
  for (const id of open) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }
  place.querySelectorAll("a, summary")[focused]?.focus({ preventScroll: true });
}

async function refresh(place, known) {
  try {
    if (!document.hidden) {
      const response = await fetch(`/parts/${place.dataset.part}`, { redirect: "error" });
      if (response.status === 401) return location.assign("/login");
      if (response.status === 403) return say(await response.text(), "bad"); // another link is needed
      if (!response.ok) throw new Error(await response.text());
      const fresh = place.cloneNode(false);
      fresh.innerHTML = await response.text(); // escaped by the server's template
      if (!fresh.isEqualNode(known)) {
        known = fresh.cloneNode(true);
        swap(place, fresh);
      }
      say("refreshes by itself", "");
    }
  } catch {
    say("no answer, shows what was last known", "bad");
  }
  setTimeout(refresh, 1000 * Number(place.dataset.every), place, known);
}

for (const place of document.querySelectorAll("[data-part]")) {
  setTimeout(refresh, 1000 * Number(place.dataset.every), place, place.cloneNode(true));
}
