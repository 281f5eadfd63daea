/** Elements made and found, texts of figures, files saved. @module */

const SVG = "http://www.w3.org/2000/svg";

/** The parts of a view by their `data-part`. @param {Element} view @returns {Record<string, any>} */
export function partsOf(view) {
  const found = [...view.querySelectorAll("[data-part]")];
  return Object.fromEntries(found.map((element) => [element.dataset.part, element]));
}

/** An element with properties (`class`, `data-…` and `aria-…` as attributes) and children. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "class" || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** An SVG element with attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Whether a figure is there. */
export function isNumber(value) {
  return typeof value === "number";
}

/** A share in [0, 1] as text. @param {number} share */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/** A number with its sign and a true minus. @param {number | null | undefined} value */
export function signed(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/** Seconds as minutes and seconds, such as `1:04.2`. @param {number} seconds */
export function clock(seconds, digits = 1) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - minutes * 60).toFixed(digits).padStart(3 + digits, "0")}`;
}

/** Let the browser save a file. @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Rows of cells as text/csv; what is null is left empty. @param {any[][]} rows @returns {Blob} */
export function csv(rows) {
  const lines = rows.map((row) => row.map((cell) => cell ?? "").join(",") + "\n");
  return new Blob(lines, { type: "text/csv" });
}

/** A file's name without its ending. @param {string} name */
export function stem(name) {
  return name.replace(/\.[^.]+$/, "") || "countenance";
}

/** The shares of names, the largest first. @param {Record<string, number> | null} [shares] */
export function ranked(shares) {
  return Object.entries(shares ?? {}).sort((a, b) => b[1] - a[1]);
}

/** A photograph of this service, to try it with. @returns {Promise<File>} */
export async function samplePhoto() {
  const response = await fetch("web/sample/portrait.jpg");
  return new File([await response.blob()], "portrait.jpg", { type: "image/jpeg" });
}

/** A bar for a share in [0, 1] with its name. */
export function shareBar(name, share, isTop) {
  const fill = el("i");
  fill.style.width = `${share * 100}%`;
  return el(
    "div",
    { class: isTop ? "share top-share" : "share" },
    el("span", { class: "name" }, name),
    el("span", { "class": "track", "aria-hidden": "true" }, fill),
    el("span", { class: "value" }, percent(share)),
  );
}

/** Files dropped on or pasted into a view, while it is shown, and those chosen. */
export function takeFiles(view, { drop, input, accepts, take }) {
  const pick = (files) => {
    const file = [...(files ?? [])].find(accepts) ?? files?.[0];
    if (file) take(file);
  };
  input.addEventListener("change", () => {
    pick(input.files);
    input.value = "";
  });
  view.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  view.addEventListener("dragleave", () => drop.classList.remove("over"));
  view.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    pick(event.dataTransfer?.files);
  });
  document.addEventListener("paste", (event) => {
    if (!view.hidden && event.clipboardData?.files.length) pick(event.clipboardData.files);
  });
}
