// FGSM and PGD as in partlib.attacks, from the image itself: no random start.
"use strict";

// The gradient of the cross-entropy with respect to the images; y holds one class an image.
lab.gradient = (net, x, y) =>
  tf.tidy(() => {
    const right = tf.oneHot(tf.tensor1d(y, "int32"), net.linear.bias.size);
    const loss = (x) => tf.neg(tf.sum(tf.mul(right, tf.logSoftmax(net.logits(x)))));
    return tf.grad(loss)(x);
  });

// TensorFlow.js's own sign is 0 below about 1e-7 in WebAssembly; many gradients are smaller.
lab.sign = (x) =>
  tf.sub(tf.cast(tf.greater(x, 0), "float32"), tf.cast(tf.less(x, 0), "float32"));

// One signed step up the loss, brought back into the budget and into [0, 1].
lab.step = (net, x, adversarial, y, budget, stepSize) =>
  tf.tidy(() => {
    const signs = lab.sign(lab.gradient(net, adversarial, y));
    const moved = tf.add(adversarial, tf.mul(stepSize, signs));
    const low = tf.maximum(tf.sub(x, budget), 0);
    const high = tf.minimum(tf.add(x, budget), 1);
    return tf.minimum(tf.maximum(moved, low), high);
  });

// budget broadcasts to x (N, 32, 32, 3). `pause` runs between steps; where it returns false the
// attack is given up and null comes back.
lab.pgd = async (net, x, y, budget, { stepSize, steps, pause = () => true }) => {
  let adversarial = x.clone();
  for (let i = 0; i < steps; i++) {
    const next = lab.step(net, x, adversarial, y, budget, stepSize);
    adversarial.dispose();
    adversarial = next;
    if (!(await pause())) {
      adversarial.dispose();
      return null;
    }
  }
  return adversarial;
};

// A step of size 1 ends at the edge of any budget.
lab.fgsm = (net, x, y, budget) => lab.step(net, x, x, y, budget, 1);
