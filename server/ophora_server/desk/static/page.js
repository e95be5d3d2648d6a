// Asks for each part of the page again, and swaps it in where it has changed.
"use strict";

const link = document.getElementById("link");

function say(text, kind) {
  if (link.textContent === text) return; // a screen reader hears of changes only
  link.textContent = text;
  link.className = `link ${kind}`;
}

function swap(place, html) {
  const open = [...place.querySelectorAll("details[open]")].map((each) => each.id);
  const focused = place.contains(document.activeElement) && document.activeElement.closest("details");
  place.innerHTML = html; // escaped by the server's template
  for (const id of open) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }
  if (focused) document.getElementById(focused.id)?.querySelector("summary").focus();
}

async function refresh(place, last) {
  let html = last;
  try {
    if (!document.hidden) {
      const response = await fetch(`/parts/${place.dataset.part}`, { redirect: "error" });
      if (response.status === 401) return location.assign("/login");
      if (!response.ok) throw new Error(await response.text());
      html = await response.text();
      if (html !== last) swap(place, html);
      say("refreshes by itself", "");
    }
  } catch {
    say("no answer, shows what was last known", "bad");
  }
  setTimeout(refresh, 1000 * Number(place.dataset.every), place, html);
}

for (const place of document.querySelectorAll("[data-part]")) {
  setTimeout(refresh, 1000 * Number(place.dataset.every), place, "");
}
