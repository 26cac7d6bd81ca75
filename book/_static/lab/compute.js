// What the view asks of a network: its weights, its look at an image, an attack.
"use strict";

lab.MODELS = { natural: "Natural", at: "AT", part: "PART" };

{
// A network, loaded when it is first asked for: each is nearly as large as all else on the page.
const nets = {};
lab.network = (name) =>
  (nets[name] ??= lab.load(`weights-${name}`).then(
    () => lab.build(lab.weights[name]),
    () => {
      delete nets[name];
      throw new Error(`the weights of ${lab.MODELS[name]} did not load`);
    },
  ));
}

// All that is shown of an image: pixels, probabilities, heat and its important pixels.
lab.look = (net, x) => {
  const [odds, heat] = tf.tidy(() => [tf.softmax(net.logits(x)), lab.cam(net, x)]);
  const seen = { pixels: x.dataSync(), odds: [...odds.dataSync()], heat: heat.dataSync() };
  tf.dispose([odds, heat]);
  const best = seen.odds.indexOf(Math.max(...seen.odds));
  const text = `${lab.data.names[best]} ${lab.percent(seen.odds[best])}`;
  return { ...seen, important: lab.important(seen.heat), best, text };
};

// The adversarial image, or null where `pause` gave it up.
lab.attack = async (net, x, y, weights, { attack, eps, steps, stepSize }, pause) => {
  const shape = [1, lab.SIDE, lab.SIDE, 1];
  const budget = tf.tidy(() => tf.mul(tf.tensor(weights, shape), eps / 255));
  try {
    if (attack === "fgsm") return lab.fgsm(net, x, y, budget);
    return await lab.pgd(net, x, y, budget, { stepSize: stepSize / 255, steps, pause });
  } finally {
    budget.dispose();
  }
};
