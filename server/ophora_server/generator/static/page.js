// The page's behaviour: send an order, poll the list while something is unfinished, show the videos.
"use strict";

const POLL_MS = 700;
const SHOWN = 12;
const byId = (id) => document.getElementById(id);
const form = byId("order");
const cards = new Map(); // video id -> card
let timer = 0;

async function call(path, options) {
  const response = await fetch(path, options);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ? body.error.message : `HTTP ${response.status}`);
  return body;
}

function showTrouble(message) {
  byId("trouble").textContent = message;
  byId("trouble").hidden = !message;
}

function newCard(video) {
  const card = byId("video-card").content.firstElementChild.cloneNode(true);
  card.querySelector(".screen").style.setProperty("--shape", video.size.replace("x", " / "));
  card.querySelector(".prompt").textContent = video.prompt;
  card.querySelector(".prompt").title = video.prompt;
  card.querySelector(".remove").addEventListener("click", () => remove(video.id, card));
  return card;
}

function fill(card, video) {
  if (card.dataset.status === "completed" || card.dataset.status === "failed") return;
  card.dataset.status = video.status;
  const made = new Date(video.created_at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  card.querySelector(".facts").textContent =
    `${made} · seed ${video.seed} · ${video.steps} steps · guidance ${video.guidance}`;
  const waiting = card.querySelector(".waiting");
  const state = waiting.querySelector(".state");
  const bar = waiting.querySelector("progress");
  if (video.status === "queued") {
    state.textContent = "Waiting for its turn";
    bar.removeAttribute("value");
  } else if (video.status === "in_progress") {
    state.textContent = `Making it: ${video.progress} %`;
    bar.value = video.progress;
  } else if (video.status === "failed") {
    waiting.classList.add("failed");
    state.textContent = video.error.message;
    bar.hidden = true;
  } else {
    waiting.replaceWith(player(video));
    link(card.querySelector(".save"), `/v1/videos/${video.id}/content`, `${video.id}.mp4`);
    link(card.querySelector(".origin"), `/v1/videos/${video.id}/provenance`, `${video.id}.json`);
  }
}

function player(video) {
  const element = document.createElement("video");
  Object.assign(element, { src: `/v1/videos/${video.id}/content`, muted: true, loop: true, autoplay: true, controls: true });
  element.setAttribute("playsinline", "");
  element.setAttribute("aria-label", `Synthetic video: ${video.prompt}`);
  return element;
}

function link(anchor, href, name) {
  anchor.href = href;
  anchor.download = name;
  anchor.hidden = false;
}

function show(videos) {
  const ids = new Set(videos.map((video) => video.id));
  for (const [id, card] of cards) {
    if (!ids.has(id)) { card.remove(); cards.delete(id); }
  }
  for (const video of [...videos].reverse()) { // the newest ends up first
    let card = cards.get(video.id);
    if (!card) {
      card = newCard(video);
      cards.set(video.id, card);
      byId("videos").prepend(card);
    }
    fill(card, video);
  }
  byId("empty").hidden = cards.size > 0;
}

async function refresh() {
  clearTimeout(timer);
  let unfinished = true;
  try {
    const [page, health] = await Promise.all([call(`/v1/videos?limit=${SHOWN}`), call("/health")]);
    show(page.data);
    unfinished = page.data.some((video) => video.status === "queued" || video.status === "in_progress");
    byId("worker").dataset.state = health.worker;
    byId("worker-text").textContent = health.worker;
    unfinished ||= health.worker !== "ready";
  } catch (error) {
    byId("worker").dataset.state = "stopped";
    byId("worker-text").textContent = "host does not answer";
  }
  timer = setTimeout(refresh, unfinished ? POLL_MS : 10 * POLL_MS);
}

async function remove(id, card) {
  card.querySelector(".remove").disabled = true;
  try {
    await call(`/v1/videos/${id}`, { method: "DELETE" });
  } catch (error) {
    showTrouble(error.message);
  }
  refresh();
}

async function send(event) {
  event.preventDefault();
  const order = {};
  for (const [name, value] of new FormData(form)) {
    if (value !== "") order[name] = value;
  }
  const button = form.querySelector(".go");
  button.disabled = true;
  showTrouble("");
  try {
    await call("/v1/videos", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(order),
    });
  } catch (error) {
    showTrouble(error.message);
  }
  button.disabled = false;
  refresh();
}

form.addEventListener("submit", send);
byId("prompt").addEventListener("input", () => markChip(byId("prompt").value));
for (const chip of document.querySelectorAll(".chip")) {
  chip.addEventListener("click", () => {
    byId("prompt").value = chip.dataset.prompt;
    markChip(chip.dataset.prompt);
    byId("prompt").focus();
  });
}

function markChip(prompt) {
  for (const chip of document.querySelectorAll(".chip")) {
    chip.setAttribute("aria-pressed", String(chip.dataset.prompt === prompt));
  }
}

refresh();
