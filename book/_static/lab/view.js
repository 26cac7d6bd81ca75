// The lab: a form, six pictures and a table, kept in step with one state.
"use strict";

{
const HERE = document.currentScript.src;
const MODELS = { natural: "Natural", at: "AT", part: "PART" };
const START = {
  image: 3, model: "natural", attack: "fgsm", eps: 8, steps: 10, stepSize: 2, map: "everywhere",
};
const LEVELS = [[0, "0"], [0.5, "ε/2"], [1, "ε"], [2, "2 ε"]];
const QUARTERS = ["upper left", "upper right", "lower right", "lower left"];
const TIMES = 8; // how far the perturbation is enlarged: 16/255 just fits

const share = (part) => part.reduce((sum, value) => sum + value, 0) / part.length;
const values = ({ bytes }) => Float32Array.from(lab.decode(bytes), (value) => value / 255);

// A network, loaded when it is first asked for: each is nearly as large as all else on the page.
const nets = {};
const network = (name) =>
  (nets[name] ??= new Promise((resolve, reject) => {
    const script = lab.element("script", { src: new URL(`weights-${name}.js`, HERE) });
    script.onload = () => resolve(lab.build(lab.weights[name]));
    script.onerror = () => {
      delete nets[name];
      reject(new Error(`the weights of ${MODELS[name]} did not load`));
    };
    document.head.append(script);
  }));

// All that is shown of an image: pixels, probabilities, heat and its important pixels.
const look = (net, x) => {
  const [odds, heat] = tf.tidy(() => [tf.softmax(net.logits(x)), lab.cam(net, x)]);
  const seen = { pixels: x.dataSync(), odds: [...odds.dataSync()], heat: heat.dataSync() };
  tf.dispose([odds, heat]);
  const best = seen.odds.indexOf(Math.max(...seen.odds));
  const text = `${lab.data.names[best]} ${lab.percent(seen.odds[best])}`;
  return { ...seen, important: lab.important(seen.heat), best, text };
};

const attack = async (net, x, y, weights, { attack, eps, steps, stepSize }, pause) => {
  const shape = [1, lab.SIDE, lab.SIDE, 1];
  const budget = tf.tidy(() => tf.mul(tf.tensor(weights, shape), eps / 255));
  try {
    if (attack === "fgsm") return lab.fgsm(net, x, y, budget);
    return await lab.pgd(net, x, y, budget, { stepSize: stepSize / 255, steps, pause });
  } finally {
    budget.dispose();
  }
};

// Build a lab in an element; returns a function that changes its settings.
const mount = (root) => {
  const { names, labels } = lab.data;
  const [images, masks] = [values(lab.data.pixels), values(lab.data.masks)];
  const cells = lab.SIDE ** 2;
  const pixels = () => images.subarray(3 * cells * state.image, 3 * cells * (state.image + 1));
  const mask = () => masks.subarray(cells * state.image, cells * (state.image + 1));
  const state = { ...START, level: 0, size: 5, row: 16, column: 16, quarter: -1 };
  let weights = lab.maps.everywhere();
  let clean = {}; // the network's look at the image itself
  let run = 0;

  const maps = {
    everywhere: ["ε everywhere", () => lab.maps.everywhere()],
    quarter: ["Forbid a quarter", () => lab.maps.quarter((state.quarter = (state.quarter + 1) % 4))],
    cam: ["Important (CAM)", () => lab.maps.mask(clean.important, 1, 0)],
    part: ["PART: 7/8 elsewhere", () => lab.maps.mask(clean.important, 1, 7 / 8)],
    digit: ["The digit", () => lab.maps.mask(mask(), 1, 0)],
    invert: ["Invert", () => lab.maps.invert(weights)],
  };

  // The parts
  const to = (key) => (value) => {
    state[key] = value;
    update();
  };
  const thumbs = labels.map((label, i) => {
    const canvas = lab.element("canvas", { aria: { "aria-hidden": "true" } });
    lab.drawImage(canvas, images.subarray(3 * cells * i, 3 * cells * (i + 1)));
    return [i, canvas, `a ${names[label]}`];
  });
  const attacks = [["fgsm", "FGSM"], ["pgd", "PGD"]];
  const halves = { min: 0.5, max: 8, step: 0.5 };
  const form = {
    image: lab.choice("Picture", thumbs, "lab-thumbs", to("image")),
    model: lab.choice("Network", Object.entries(MODELS), "lab-choice", to("model")),
    attack: lab.choice("Attack", attacks, "lab-choice", to("attack")),
    eps: lab.slider("ε", { min: 0, max: 16, step: 1 }, lab.over255, to("eps")),
    steps: lab.slider("Steps", { min: 1, max: 40, step: 1 }, String, to("steps")),
    stepSize: lab.slider("Step size", halves, lab.over255, to("stepSize")),
    level: lab.choice("Brush paints", LEVELS, "lab-choice", to("level")),
    size: lab.slider("Brush", { min: 1, max: 11, step: 2 }, (v) => `${v} × ${v}`, to("size")),
  };
  const figures = {
    image: lab.figure("Image"),
    change: lab.figure(`Perturbation × ${TIMES}`),
    adversarial: lab.figure("Adversarial image"),
    budget: lab.figure("Budget: paint here", { role: "application", tabindex: 0 }),
    before: lab.figure("CAM, image"),
    after: lab.figure("CAM, adversarial"),
  };
  const status = (className) => lab.element("p", { className, aria: { role: "status" } });
  const [verdict, place] = [status("lab-verdict"), status("lab-place")];
  const spent = lab.element("p", { className: "lab-spent" });
  const table = lab.classes(names);
  const { canvas } = figures.budget;

  // Drawing
  const drawBudget = () => {
    lab.drawMap(canvas, pixels(), weights.map((weight) => weight / 2));
    if (document.activeElement === canvas) {
      lab.drawBrush(canvas, lab.brush(state.row, state.column, state.size));
    }
    const mean = lab.over255(share(weights) * state.eps);
    const text = `mean ${mean}, ${lab.percent(share(weights.map((w) => w === 0)))} forbidden`;
    const keys = "Arrow keys move the brush, with Shift by four cells; space paints.";
    figures.budget.show(text, `Budget map, 32 by 32 cells: ${text}. ${keys}`);
  };
  const drawRest = (after) => {
    const [label, cut] = [labels[state.image], TIMES * Math.max(...weights) * state.eps > 128];
    lab.drawImage(figures.image.canvas, pixels());
    figures.image.show(clean.text);
    lab.drawChange(figures.change.canvas, pixels(), after.pixels, TIMES);
    figures.change.show(cut ? "grey: no change; cut off" : "grey: no change");
    lab.drawImage(figures.adversarial.canvas, after.pixels);
    figures.adversarial.show(after.text);
    for (const [figure, seen] of [[figures.before, clean], [figures.after, after]]) {
      lab.drawMap(figure.canvas, seen.pixels, seen.heat, seen.important);
      figure.show(`outlined: ${lab.percent(share(seen.important))} important`);
    }
    table.show(1, clean, label);
    table.show(2, after, label);
    const [was, is] = [clean, after].map(({ odds }) => lab.percent(odds[label]));
    const fooled = after.best !== label;
    verdict.classList.toggle("lab-fooled", fooled);
    const said = fooled
      ? `Fooled: ${MODELS[state.model]} read ${clean.text} and now reads ${after.text}.`
      : `Holds: ${MODELS[state.model]} still reads ${names[label]}, ${was} before and ${is} after.`;
    const zero = Math.max(...weights) * state.eps ? "" : " The budget is 0, nothing may change.";
    if (verdict.textContent !== said + zero) verdict.textContent = said + zero;
  };

  // Computing
  const load = (name) => {
    weights = maps[name][1]();
    const which = name === "quarter" ? `: ${QUARTERS[state.quarter]}` : "";
    place.textContent = `Budget map: ${maps[name][0]}${which}`;
  };
  const compute = async (ticket) => {
    const net = await network(state.model);
    if (ticket !== run) return;
    const x = tf.tensor(pixels(), [1, lab.SIDE, lab.SIDE, 3]);
    if (clean.net !== net || clean.image !== state.image) {
      clean = { ...look(net, x), net, image: state.image };
    }
    if (state.map) load(state.map);
    state.map = null;
    drawBudget();
    const start = performance.now();
    let rested = start;
    const pause = async () => {
      if (performance.now() - rested < 30) return true;
      await new Promise((resolve) => setTimeout(resolve)); // the page gets its turn
      rested = performance.now();
      return ticket === run; // a newer run ends this one
    };
    const adversarial = await attack(net, x, [labels[state.image]], weights, state, pause);
    x.dispose();
    if (!adversarial) return;
    drawRest(look(net, adversarial));
    adversarial.dispose();
    const time = Math.max(1, Math.round(performance.now() - start));
    spent.textContent = `Computed in this page in ${time} ms.`;
    root.setAttribute("aria-busy", "false");
  };
  const stop = (error) => (verdict.textContent = `The lab stopped: ${error.message}.`);
  const update = () => {
    const ticket = ++run;
    root.setAttribute("aria-busy", "true");
    for (const [key, part] of Object.entries(form)) part.set(state[key]);
    form.steps.enable(state.attack === "pgd");
    form.stepSize.enable(state.attack === "pgd");
    drawBudget();
    // A moment later, so that the moves of one moment are one run.
    setTimeout(() => ticket === run && compute(ticket).catch(stop));
  };

  const moved = () => {
    drawBudget();
    const budget = weights[state.row * lab.SIDE + state.column] * state.eps;
    place.textContent =
      `Row ${state.row + 1}, column ${state.column + 1}: budget ${lab.over255(budget)}`;
  };
  const painted = () => {
    moved();
    update();
  };
  lab.useBrush(canvas, state, () => weights, painted, moved);

  const buttons = Object.entries(maps).map(([map, [text]]) =>
    lab.element("button", { type: "button", data: { map }, onclick: () => to("map")(map) }, text),
  );
  const row = (...nodes) => lab.element("div", { className: "lab-row" }, ...nodes);
  root.replaceChildren(
    form.image.node,
    row(form.model.node, form.attack.node),
    row(form.eps.node, form.steps.node, form.stepSize.node),
    verdict,
    lab.element("div", { className: "lab-figures" }, ...Object.values(figures).map((f) => f.node)),
    row(form.level.node, form.size.node),
    lab.element("div", { className: "lab-maps", aria: { role: "group", "aria-label": "Budget maps" } }, ...buttons),
    place,
    table.node,
    spent,
  );
  update();
  return (settings) => {
    Object.assign(state, settings);
    update();
  };
};

// Mount every lab of the page; a button with `data-lab` sets the first one up.
(async () => {
  await lab.start();
  lab.viridis = lab.decode(lab.data.viridis.bytes);
  lab.network = network; // for whoever drives the lab from outside
  const roots = [...document.querySelectorAll(".attack-lab")];
  const [set] = roots.map(mount);
  for (const button of document.querySelectorAll("button[data-lab]")) {
    button.hidden = false;
    button.onclick = () => {
      set({ ...START, quarter: -1, ...JSON.parse(button.dataset.lab) });
      roots[0].scrollIntoView();
    };
  }
})();
}
