// The zoo's `small` networks in TensorFlow.js: images (N, 32, 32, 3) in [0, 1] to logits (N, 10).
"use strict";

lab.decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

// WebAssembly where the browser has it, plain JavaScript where not. WebGL is left out: on some
// devices it computes in half precision.
lab.start = async () => {
  if (!(tf.wasm && lab.wasm && (await lab.assembly()))) await tf.setBackend("cpu");
  await tf.ready();
  lab.viridis = lab.decode(lab.data.viridis.bytes);
};

lab.assembly = () => {
  const url = URL.createObjectURL(new Blob([lab.decode(lab.wasm)], { type: "application/wasm" }));
  lab.wasm = null;
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  const kinds = ["", "-simd", "-threaded-simd"]; // the library wants all named, and takes -simd
  const paths = kinds.map((kind) => [`tfjs-backend-wasm${kind}.wasm`, url]);
  tf.wasm.setWasmPaths(Object.fromEntries(paths), true);
  return tf.setBackend("wasm").catch(() => false);
};

// What tools/lab.py wrote, as a network. `features` and `head` are those of partlib.models.
lab.build = (weights) => {
  const tensor = ({ shape, bytes }) => tf.tensor(new Float32Array(lab.decode(bytes).buffer), shape);
  const convolution = ({ kernel, bias, stride, pad }) => {
    const [w, b] = [tensor(kernel), tensor(bias)];
    const forward = (x) => tf.conv2d(x, w, stride, pad);
    if (stride > 1) return (x) => tf.add(forward(x), b);
    // The gradient of a convolution of stride 1 is one with the kernel turned about and its
    // channels swapped: the same numbers as TensorFlow.js's own gradient, several times faster.
    const turned = tf.tidy(() => tf.transpose(tf.reverse(w, [0, 1]), [0, 1, 3, 2]));
    const back = w.shape[0] - 1 - pad;
    const apply = tf.customGrad((x) => ({
      value: forward(x),
      gradFunc: (dy) => tf.conv2d(dy, turned, 1, back),
    }));
    return (x) => tf.add(apply(x), b);
  };
  const stem = convolution(weights.stem);
  const blocks = weights.blocks.map(({ conv1, conv2, shortcut }) => {
    const [first, second] = [convolution(conv1), convolution(conv2)];
    const past = shortcut ? convolution(shortcut) : (x) => x;
    return (x) => tf.relu(tf.add(second(tf.relu(first(x))), past(x)));
  });
  const linear = { kernel: tensor(weights.linear.kernel), bias: tensor(weights.linear.bias) };
  const features = (x) => blocks.reduce((maps, block) => block(maps), tf.relu(stem(x)));
  const head = (maps) => tf.add(tf.matMul(tf.mean(maps, [1, 2]), linear.kernel), linear.bias);
  return { features, head, linear, logits: (x) => head(features(x)) };
};
