/** The page: which view is shown, and how the service is. @module */

import { mountAffect } from "./affect.js";
import { mountCamera } from "./camera.js";
import { Problem } from "./client/countenance.js";
import { mountPhoto } from "./photo.js";
import { mountKey, service } from "./service.js";

const ASK_AGAIN_MS = 15000;
const MOUNT = { photo: mountPhoto, camera: mountCamera, affect: mountAffect };

const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const state = /** @type {HTMLElement} */ (document.querySelector("#service-state"));
const links = [...document.querySelectorAll(".views a")];

/** @type {Record<string, {leave: () => void}>} */
const views = {};
let shown = "";

function show() {
  const asked = location.hash.slice(1);
  if (asked === "main") return;
  const name = asked in MOUNT ? asked : "photo";
  if (name === shown) return;
  views[shown]?.leave();
  for (const view of document.querySelectorAll("section.view")) view.hidden = view.id !== name;
  for (const link of links) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = /** @type {HTMLElement} */ (document.getElementById(name));
  views[name] ??= MOUNT[name](view);
  document.title = `${view.querySelector("h1").textContent} · Countenance`;
  if (shown) main.focus({ preventScroll: true });
  shown = name;
  scrollTo(0, 0);
}

async function lookAtService() {
  try {
    const { device, limits } = await service.ready();
    tellLimits(limits);
    tell("ready", `Ready on ${device.replace("cpu", "CPU")}`);
  } catch (error) {
    tell("trouble", error instanceof Problem ? error.title : String(error));
  }
  setTimeout(lookAtService, ASK_AGAIN_MS);
}

/** What may be sent, where files are dropped. */
function tellLimits(limits) {
  if (!limits) return;
  const megabytes = (bytes) => `${Math.floor(bytes / 2 ** 20)}\u00a0MB`;
  const words = {
    picture: ` up to ${megabytes(limits.picture_bytes)} and ${Math.floor(limits.picture_pixels / 1e6)} megapixels`,
    clip: ` up to ${megabytes(limits.clip_bytes)} and ${Math.floor(limits.clip_s / 60)} minutes`,
  };
  for (const place of document.querySelectorAll("[data-limit]")) {
    place.textContent = words[place.dataset.limit];
  }
}

function tell(kind, text) {
  const words = state.querySelector("span");
  state.dataset.state = kind;
  if (words.textContent !== text) words.textContent = text;
}

mountKey();
addEventListener("hashchange", show);
addEventListener("pagehide", () => views[shown]?.leave());
show();
lookAtService();
