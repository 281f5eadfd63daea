/** One face of a photo as a card: its pictures, head pose, what it does, and what spoils it. @module */

import { el, percent, ranked, shareBar, signed } from "./dom.js";

const MOST_ACTIONS = 6;
const LEAST_ACTION = 0.12;
const ACTION_WORDS = {
  jawOpen: "mouth open", browInnerUp: "inner brows up", cheekPuff: "cheeks puffed",
  mouthPucker: "lips pursed", mouthFunnel: "lips rounded", mouthClose: "lips closed",
};

/**
 * The card of face number `number`; folded to one line unless it `isOpen`.
 * @param {any} face of POST /align @param {number} number @param {boolean} isOpen
 */
export function faceCard(face, number, isOpen = true) {
  const score = face.score === null ? "" : `detected at ${percent(face.score)}`;
  const size = `${Math.round(face.box[2] - face.box[0])} px wide`;
  const head = el(
    "summary",
    {},
    el("img", { src: face.aligned, alt: "", width: 40, height: 40 }),
    el("h3", {}, `Face ${number}`),
    el("span", {}, `quality ${percent(face.quality)}`),
  );
  const body = [
    el("p", { class: "where" }, [score, size].filter(Boolean).join(", "), " "),
    pictures(face),
    ...part("Head pose", pose(face.pose)),
    ...part("What the face does", actions(face.actions)),
    ...part("What spoils the picture", degradation(face.degradation)),
  ];
  const whole = el("details", { open: isOpen }, head, ...body);
  return el("article", { "class": "card", "aria-label": `Face ${number}` }, whole);
}

function part(name, content) {
  return content ? [el("div", {}, el("h4", {}, name), content)] : [];
}

function pictures(face) {
  const right = face.denoised ? "Denoised" : "As the network saw it";
  return el(
    "div",
    { class: "pair" },
    picture(face.aligned, "Original, upright"),
    picture(face.denoised_face, right),
  );
}

function picture(source, caption) {
  const image = el("img", { src: source, alt: caption, width: 128, height: 128 });
  return el("figure", {}, image, el("figcaption", {}, caption));
}

function degradation(found) {
  const bars = ranked(found.probabilities).map(([name, share]) => shareBar(name, share, name === found.class));
  return el("div", { class: "shares" }, ...bars);
}

/** The strongest actions; left and right are the person's own. */
function actions(found) {
  if (!found) return null;
  const strongest = ranked(found).slice(0, MOST_ACTIONS).filter(([, value]) => value >= LEAST_ACTION);
  if (!strongest.length) return el("p", { class: "none" }, "Nothing that stands out.");
  const bars = strongest.map(([name, value]) => shareBar(actionWords(name), value, false));
  const whose = el("p", { class: "small" }, "Left and right are the person's own.");
  return el("div", { class: "shares wide-names" }, ...bars, whose);
}

/** `mouthSmileLeft` as `mouth smile, left`. @param {string} name */
function actionWords(name) {
  const words = name.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
  return ACTION_WORDS[name] ?? words.replace(/ (left|right)$/, ", $1");
}

/** Bars of shares by name, the largest first; null where there are none. */
export function shares(found) {
  if (!found) return null;
  const bars = ranked(found).slice(0, 4).map(([name, share], index) => shareBar(name, share, index === 0));
  return el("div", { class: "shares" }, ...bars);
}

function pose(found) {
  if (!found) return el("p", { class: "none" }, "Not to be had for this face.");
  const { pitch_deg, yaw_deg, roll_deg } = found;
  const figure = (name, value, above, below) => {
    const words = el("small", {}, value < 0 ? below : above);
    return el("div", {}, el("dt", {}, name), el("dd", {}, `${signed(value, 1)}°`, words));
  };
  return el(
    "dl",
    { class: "figures" },
    figure("Pitch", pitch_deg, "nods down", "looks up"),
    figure("Yaw", yaw_deg, "to the picture's left", "to the picture's right"),
    figure("Roll", roll_deg, "clockwise", "anticlockwise"),
  );
}
