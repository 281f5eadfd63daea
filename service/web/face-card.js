/** One face of a photo as a card: its pictures, head pose, and what spoils it. @module */

import { el, percent, shareBar, signed } from "./dom.js";

/** The card of face number `number`. @param {any} face of POST /align @param {number} number */
export function faceCard(face, number) {
  const score = face.score === null ? "" : `, detected at ${percent(face.score)}`;
  return el(
    "article",
    { "class": "card", "aria-label": `Face ${number}` },
    el(
      "header",
      {},
      el("h3", {}, `Face ${number}`),
      el("span", {}, `quality ${percent(face.quality)}${score}`),
    ),
    pictures(face),
    degradation(face.degradation),
    ...(face.pose ? [el("div", {}, el("h4", {}, "Head pose"), pose(face.pose))] : []),
  );
}

function pictures(face) {
  const right = face.denoised ? "Denoised" : "As the network saw it";
  return el(
    "div",
    { class: "pair" },
    ...(face.aligned ? [picture(face.aligned, "Original, upright")] : []),
    picture(face.denoised_face, right),
  );
}

function picture(source, caption) {
  const image = el("img", { src: source, alt: caption, width: 128, height: 128 });
  return el("figure", {}, image, el("figcaption", {}, caption));
}

function degradation(found) {
  const shares = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]);
  const bars = shares.map(([name, share]) => shareBar(name, share, name === found.class));
  return el("div", {}, el("h4", {}, "Degradation"), el("div", { class: "shares" }, ...bars));
}

function pose({ pitch_deg, yaw_deg, roll_deg }) {
  const figure = (name, value, above, below) => {
    const words = el("small", {}, value < 0 ? below : above);
    return el("div", {}, el("dt", {}, name), el("dd", {}, `${signed(value, 1)}°`, words));
  };
  return el(
    "dl",
    { class: "figures" },
    figure("Pitch", pitch_deg, "nods down", "looks up"),
    figure("Yaw", yaw_deg, "to the left", "to the right"),
    figure("Roll", roll_deg, "clockwise", "anticlockwise"),
  );
}
