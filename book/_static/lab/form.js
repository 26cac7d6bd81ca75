// The parts of the lab's form: elements, radio buttons, sliders, figures, the table of classes.
"use strict";

lab.element = (tag, properties = {}, ...children) => {
  const { data = {}, aria = {}, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

lab.percent = (share) => `${Math.round(100 * share)}\u00a0%`;
lab.over255 = (value) => `${+value.toFixed(1)}/255`;

lab.groups = 0;

// One of several: options are [value, what is shown, its name where that is no text].
lab.choice = (legend, options, className, changed) => {
  const name = `lab-${lab.groups++}`;
  const inputs = options.map(([value, , label]) =>
    lab.element("input", {
      type: "radio", name, value, onchange: () => changed(value),
      aria: label ? { "aria-label": label } : {},
    }),
  );
  const labels = options.map(([, shown], i) => {
    return lab.element("label", {}, inputs[i], lab.element("span", {}, shown));
  });
  const node = lab.element(
    "fieldset", { className }, lab.element("legend", {}, legend), lab.element("div", {}, ...labels),
  );
  const set = (value) => inputs.forEach((input) => (input.checked = input.value === String(value)));
  return { node, set, enable: (on) => (node.disabled = !on) };
};

lab.slider = (label, { min, max, step }, text, changed) => {
  const shown = lab.element("span", { className: "lab-value" });
  const input = lab.element("input", {
    type: "range", min, max, step, aria: { "aria-label": label },
    oninput: () => changed(+input.value),
  });
  const node = lab.element(
    "label", { className: "lab-slider" }, lab.element("span", {}, label, " ", shown), input,
  );
  const set = (value) => {
    input.value = value;
    shown.textContent = text(value);
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  const enable = (on) => { input.disabled = !on; node.classList.toggle("lab-off", !on); };
  return { node, set, enable };
};

// A new text only where it differs: what is told aloud is not told again.
lab.say = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

// A canvas with a title and a line below; `show` says in words what is drawn.
lab.figure = (title, aria = { role: "img" }) => {
  const canvas = lab.element("canvas", { aria });
  const heading = lab.element("b", {}, title);
  const line = lab.element("span");
  const node = lab.element("figure", {}, canvas, lab.element("figcaption", {}, heading, line));
  const show = (text, alt = `${heading.textContent}. ${text}`) => {
    line.textContent = text;
    canvas.setAttribute("aria-label", alt);
  };
  const clear = () => {
    canvas.width = canvas.height = lab.SIDE;
    show("");
  };
  return { node, canvas, show, clear };
};

// Probabilities before and after, as bars with their numbers.
lab.classes = (names) => {
  const cell = () => lab.element("td", {}, lab.element("i", { aria: { "aria-hidden": "true" } }), lab.element("span"));
  const rows = names.map((name) =>
    lab.element("tr", {}, lab.element("th", { scope: "row" }, name), cell(), cell()),
  );
  const head = ["Class", "Image", "Adversarial"].map((t) => lab.element("th", { scope: "col" }, t));
  const node = lab.element(
    "table", { className: "lab-classes" },
    lab.element("caption", {}, "Class probabilities"),
    lab.element("thead", {}, lab.element("tr", {}, ...head)),
    lab.element("tbody", {}, ...rows),
  );
  const show = (column, { odds, best }, label) => {
    rows.forEach((row, i) => {
      row.cells[0].textContent = i === label ? `${names[i]} (true)` : names[i];
      const [bar, text] = row.cells[column].children;
      bar.style.setProperty("--share", odds[i]);
      text.textContent = lab.percent(odds[i]);
      row.cells[column].className = i !== best ? "" : i === label ? "lab-right" : "lab-wrong";
    });
  };
  return { node, show };
};
