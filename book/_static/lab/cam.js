// Grad-CAM in closed form and the rule for important pixels, as in partlib.cam.
"use strict";

// Heat (N, 32, 32) in [0, 1] for each image's predicted class.
lab.cam = (net, x) =>
  tf.tidy(() => {
    const maps = net.features(x);
    const [n, height, width, channels] = maps.shape;
    const target = tf.argMax(net.head(maps), 1);
    const rows = tf.gather(tf.transpose(net.linear.kernel), target);
    const weights = tf.div(tf.reshape(rows, [n, 1, 1, channels]), height * width);
    const heat = tf.relu(tf.sum(tf.mul(maps, weights), 3, true));
    const wide = tf.image.resizeBilinear(heat, x.shape.slice(1, 3), false, true);
    const peak = tf.max(wide, [1, 2, 3], true);
    return tf.squeeze(tf.div(wide, tf.where(tf.greater(peak, 0), peak, tf.onesLike(peak))), [3]);
  });

// Pixels of one map above its mean; of a map that is the same everywhere, all.
lab.important = (heat) => {
  const mean = heat.reduce((sum, value) => sum + value, 0) / heat.length;
  const flat = heat.every((value) => value === heat[0]);
  return Uint8Array.from(heat, (value) => flat || value > mean);
};
