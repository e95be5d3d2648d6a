// The review page: walks through a queue, shows a clip, posts decisions and has the next one ready.
"use strict";

const byId = (id) => document.getElementById(id);
const queues = {}; // tier -> clip ids
const at = {}; // tier -> position
const loaded = new Map(); // clip id -> promise of what it shows
let tier = document.body.dataset.tier;
let numDecided = 0;
let undoable = null; // the last decision: what would take it back
let isArmed = false; // a rejection was asked for once
let isBusy = false;

async function get(path, kind) {
  const response = await fetch(path);
  if (!response.ok) {
    const body = await response.text();
    let message = body || `HTTP ${response.status}`;
    try { message = JSON.parse(body).message || message; } catch { /* plain text */ }
    throw new Error(message);
  }
  return response[kind]();
}

function notice(text, kind = "") {
  byId("notice").textContent = text;
  byId("notice").className = `notice ${kind}`;
  byId("notice").hidden = !text;
}

async function load(id) {
  const columns = window.innerWidth < 700 ? 2 : 3;
  const media = (path) => get(path, "blob").then((blob) => ({ url: URL.createObjectURL(blob) }), (error) => ({ error }));
  const [html, sheet, video] = await Promise.all([
    get(`/clips/${id}`, "text"), media(`/clips/${id}/sheet?columns=${columns}`), media(`/clips/${id}/video`),
  ]);
  return { html, sheet, video };
}

function ready(id) {
  if (!loaded.has(id)) {
    loaded.set(id, load(id));
    loaded.get(id).catch(() => loaded.delete(id));
  }
  return loaded.get(id);
}

function forget(keep) {
  for (const [id, promise] of loaded) {
    if (keep.includes(id)) continue;
    loaded.delete(id);
    promise.then(({ sheet, video }) => [sheet, video].forEach((each) => each.url && URL.revokeObjectURL(each.url)), () => {});
  }
}

const currentId = () => queues[tier]?.[at[tier]];
const article = () => byId("clip").querySelector("article");

async function refresh() {
  Object.assign(queues, await get("/queue", "json"));
}

function showProgress() {
  for (const tab of document.querySelectorAll(".tab")) {
    const name = tab.dataset.tab;
    tab.querySelector(".count").textContent = queues[name].length;
    if (name === tier) tab.setAttribute("aria-current", "true"); else tab.removeAttribute("aria-current");
  }
  const left = queues[tier].length;
  byId("left").textContent = left ? `${at[tier] + 1} of ${left} · ${numDecided} decided now` : `none left · ${numDecided} decided now`;
  byId("bar").max = Math.max(1, numDecided + left);
  byId("bar").value = numDecided;
}

async function show() {
  const ids = queues[tier];
  at[tier] = Math.max(0, Math.min(at[tier] ?? 0, ids.length - 1));
  disarm();
  showProgress();
  const id = currentId();
  if (!id) {
    byId("clip").replaceChildren(Object.assign(document.createElement("p"), { className: "empty", textContent: `Nothing left in ${tier}.` }));
    return showButtons();
  }
  try {
    const { html, sheet, video } = await ready(id);
    if (id !== currentId()) return; // walked on meanwhile
    byId("clip").innerHTML = html; // escaped by the server's template
    const image = byId("clip").querySelector(".sheet-image");
    const player = byId("clip").querySelector(".player");
    if (sheet.url) image.src = sheet.url;
    if (video.url) { player.src = video.url; player.play().catch(() => {}); }
    const trouble = sheet.error || video.error;
    if (trouble) notice(trouble.message, "bad");
  } catch (error) {
    if (id !== currentId()) return;
    byId("clip").replaceChildren(Object.assign(document.createElement("p"), { className: "empty", textContent: error.message }));
  }
  showButtons();
  const near = [ids[at[tier] - 1], id, ids[at[tier] + 1]].filter(Boolean);
  forget(near);
  near.forEach((each) => ready(each).catch(() => {}));
}

function showButtons() {
  const shown = article();
  for (const button of document.querySelectorAll("[data-decision]")) {
    const said = shown ? shown.getAttribute(`data-no-${button.dataset.decision}`) : "no clip is shown";
    button.disabled = Boolean(said);
    button.title = said || "";
  }
  byId("previous").disabled = !shown || at[tier] === 0;
  byId("next").disabled = !shown || at[tier] >= queues[tier].length - 1;
  byId("undo").disabled = !undoable;
}

function disarm() {
  isArmed = false;
  const button = document.querySelector('[data-decision="reject"]');
  button.classList.remove("armed");
  button.querySelector("span").textContent = "Reject";
}

function arm() {
  isArmed = true;
  const button = document.querySelector('[data-decision="reject"]');
  button.classList.add("armed");
  button.querySelector("span").textContent = "Again: deletes the file";
  notice("Reject? Press r again: the file is deleted and can't be had back.", "warn");
}

async function post(id, body) {
  const response = await fetch(`/clips/${id}/decision`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({ message: `HTTP ${response.status}` }));
  if (!response.ok) throw new Error(answer.message);
  return answer;
}

async function decide(decision) {
  const shown = article();
  if (!shown || isBusy) return;
  const said = shown.getAttribute(`data-no-${decision}`);
  if (said) return notice(`Can't ${decision}: ${said}.`, "bad");
  if (decision === "reject" && !isArmed) return arm();
  await send(shown.dataset.clip, decision, shown.dataset);
}

async function send(id, decision, seen) {
  isBusy = true;
  const body = {
    decision, sha256: seen.sha256, tier: seen.tier, num_reviews: Number(seen.reviews), reason: byId("reason").value,
  };
  try {
    const answer = await post(id, body);
    const back = { approve: "return", return: "approve" }[decision];
    undoable = back ? { id, decision: back, tier: answer.tier, sha256: seen.sha256, reviews: body.num_reviews + 1 } : null;
    numDecided += 1;
    byId("reason").value = "";
    notice({ approve: `Approved: now in ${answer.tier}.`, return: "Back in quarantine.", reject: "Rejected: its file is deleted." }[decision], "good");
  } catch (error) {
    notice(error.message, "bad");
  }
  loaded.delete(id);
  try { await refresh(); } catch (error) { notice(error.message, "bad"); }
  isBusy = false;
  await show();
}

async function undo() {
  if (!undoable || isBusy) return;
  const last = undoable;
  undoable = null;
  await send(last.id, last.decision, last);
  undoable = null;
  const position = queues[tier].indexOf(last.id);
  if (position >= 0) { at[tier] = position; await show(); } else showButtons();
}

function walk(step) {
  const wanted = at[tier] + step;
  if (wanted < 0 || wanted >= queues[tier].length) return;
  at[tier] = wanted;
  notice("");
  show();
}

function play() {
  const player = byId("clip").querySelector(".player");
  if (player) { if (player.paused) player.play().catch(() => {}); else player.pause(); }
}

const KEYS = {
  a: () => decide("approve"), r: () => decide("reject"), b: () => decide("return"), u: undo,
  j: () => walk(1), ArrowRight: () => walk(1), k: () => walk(-1), ArrowLeft: () => walk(-1),
  p: play, "?": () => byId("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || byId("keys").open) return;
  if (event.target.closest("select, video") && event.key !== "Escape") return;
  if (event.key === "Escape" && isArmed) { disarm(); notice(""); return; }
  const action = KEYS[event.key];
  if (action) { event.preventDefault(); action(); }
});
for (const button of document.querySelectorAll("[data-decision]")) {
  button.addEventListener("click", () => decide(button.dataset.decision));
}
for (const tab of document.querySelectorAll(".tab")) {
  tab.addEventListener("click", () => { tier = tab.dataset.tab; notice(""); show(); });
}
byId("previous").addEventListener("click", () => walk(-1));
byId("next").addEventListener("click", () => walk(1));
byId("undo").addEventListener("click", undo);
byId("help").addEventListener("click", () => byId("keys").showModal());
refresh().then(show, (error) => notice(error.message, "bad"));
