// Brings the lab to a page: at once into each `.attack-lab`. A `.lab-here` gets a button, and
// nothing more is loaded before it is pressed. Either may say with `data-lab` how the lab starts.
"use strict";

var lab = { weights: {} }; // the other scripts add to it

{
const HERE = document.currentScript.src;
const SCRIPTS = [
  "tf.es2017.min", "tf-backend-wasm.es2017.min", "model", "wasm", "images", "attack", "cam",
  "budget", "compute", "draw", "form", "brush", "view",
];
const SPARE = ["tf-backend-wasm.es2017.min", "wasm"]; // plain JavaScript computes the same

const found = {};
lab.load = (name) =>
  (found[name] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`${name}.js`, HERE);
    script.async = false; // run in the order asked for
    script.onload = resolve;
    script.onerror = () => {
      script.remove();
      delete found[name]; // the next one to ask tries again
      reject(new Error(`${name}.js did not load`));
    };
    document.head.append(script);
  }));

let started;
const start = async () => {
  const all = SCRIPTS.map((name) => {
    const script = lab.load(name);
    return SPARE.includes(name) ? script.catch(() => {}) : script;
  });
  await Promise.all(all);
  await (started ??= lab.start());
};

const dress = () => {
  if (document.querySelector('link[href$="lab/lab.css"]')) return;
  const sheet = document.createElement("link");
  Object.assign(sheet, { rel: "stylesheet", href: new URL("lab.css", HERE) });
  document.head.append(sheet);
};

const settings = (element) => JSON.parse(element.dataset.lab ?? "{}");

// Start the lab in an element; returns what changes its settings, or null where it cannot start.
const open = async (root) => {
  dress();
  root.setAttribute("aria-busy", "true");
  try {
    await start();
    return lab.mount(root, settings(root));
  } catch (error) {
    console.error(error);
    const text = `The lab could not start: ${error.message}. Load the page again to try once more.`;
    const note = document.createElement("p");
    note.setAttribute("role", "alert");
    note.textContent = text;
    root.querySelectorAll("p").forEach((old) => old.remove());
    root.append(note);
    root.setAttribute("aria-busy", "false");
    return null;
  }
};

// A button in the text; the lab comes below its paragraph.
const offer = (place) => {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: "Open the lab here" });
  button.onclick = async () => {
    const root = document.createElement("div");
    Object.assign(root, { className: "attack-lab", tabIndex: -1 });
    root.dataset.lab = place.dataset.lab ?? "{}";
    root.innerHTML = "<p>The lab is loading.</p>";
    (place.closest("p") ?? place).after(root);
    place.remove();
    root.focus();
    await open(root);
  };
  place.replaceChildren(button);
};

document.querySelectorAll(".lab-here").forEach(offer);

// A button with `data-lab` sets the page's first lab up.
const roots = [...document.querySelectorAll(".attack-lab")];
roots.map(open)[0]?.then((set) => {
  if (!set) return;
  for (const button of document.querySelectorAll("button[data-lab]")) {
    button.hidden = false;
    button.onclick = () => {
      set(settings(button));
      roots[0].scrollIntoView();
    };
  }
});
}
