/* A fitted model in a page: from a row to its output and the ends of its interval, as the package computes them. */
"use strict";

/** A function of a row, one number for each feature (NaN: missing; -1, -2: a missing, an unseen level). */
const halfsquarePredictor = (model) => {
  const DAY = 86400, YEAR = 365.2425, AWAY = Math.sqrt(3), OUTPUT = -1;

  /** Numbers that were packed as base64. */
  const unpack = ({ kind, text }) => {
    const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    if (kind === "f6") {
      const whole = new Uint8Array((raw.length / 6) * 8);
      for (let i = 0; i < raw.length / 6; i++) whole.set(raw.subarray(6 * i, 6 * i + 6), 8 * i + 2);
      return new Float64Array(whole.buffer);
    }
    const types = { f8: Float64Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i1: Int8Array };
    return new types[kind](raw.buffer);
  };

  /* ---- features ---- */

  const remainder = (x) => (x % 1) + (x % 1 < 0 ? 1 : 0);
  const timeParts = (seconds) => {
    const days = Math.floor(seconds / DAY);
    const circle = (angle) => [Math.sin(angle), Math.cos(angle), Math.sin(2 * angle), Math.cos(2 * angle)];
    const weekday = (((days + 3) % 7) + 7) % 7;
    const time = ["sin 1", "cos 1", "sin 2", "cos 2"];
    const named = { day: seconds / DAY };
    circle(2 * Math.PI * (seconds / DAY - days)).forEach((v, i) => { named[`time of day ${time[i]}`] = v; });
    circle(2 * Math.PI * remainder(seconds / DAY / YEAR)).forEach((v, i) => { named[`season ${time[i]}`] = v; });
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"].forEach((name, i) => { named[name] = Number(weekday === i); });
    return named;
  };
  const columns = {
    number: (f, x) => [Number.isNaN(x) ? f.means[0] : x, ...(f.indicator ? [Number(Number.isNaN(x))] : [])],
    plain: (f, x) => [x],
    presence: (f, x) => [Number(f.text ? x === -1 : Number.isNaN(x))],
    instant: (f, x) => {
      const gone = Number.isNaN(x), own = gone ? null : timeParts(x);
      const parts = gone ? f.means.slice(0, f.parts.length) : f.parts.map((name) => own[name]);
      return f.indicator ? [...parts, Number(gone)] : parts;
    },
    category: (f, x) => {
      const out = new Array(f.means.length).fill(0), beyond = x >= f.kept || x < -1, gone = x === -1;
      if (x > 0 && x < f.kept) out[x - 1] = 1;
      if (beyond) {
        if (!f.other) return f.means;
        out[f.kept - 1] = 1;
      }
      if (gone) {
        if (!f.missing) return f.means;
        out[out.length - 1] = 1;
      }
      return out;
    },
  };
  const designOf = (row) => model.features.flatMap((f, j) =>
    columns[f.kind](f, row[j]).map((v, i) => (v - f.means[i]) * (1 / f.scales[i])));
  const isAbsent = (f, x) => (Number.isNaN(x) ? f.absent[0] : x === -1 ? f.absent[1] : x < -1 && f.absent[2]);

  /* ---- models: the output, and its derivatives by the last parameters ---- */

  const activations = {
    tanh: (z) => { const a = Math.tanh(z); return [a, 1 - a * a]; },
    silu: (z) => { const s = 0.5 + 0.5 * Math.tanh(0.5 * z); return [z * s, s + z * s * (1 - s)]; },
    softplus: (z) => [Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))), 0.5 + 0.5 * Math.tanh(0.5 * z)],
  };
  const makers = {
    linear: (p) => ({
      output: (z) => z.reduce((sum, v, i) => sum + v * p[i + 1], 0) + p[0],
      slopes: (z) => [1, ...z],
    }),
    network: (p, member) => {
      const { sizes } = member, phi = activations[member.activation], layers = [];
      for (let l = 0, start = 0; l + 1 < sizes.length; l++) {
        layers.push({ from: sizes[l], to: sizes[l + 1], start });
        start += (sizes[l] + 1) * sizes[l + 1];
      }
      /** The signals into every layer, the slopes of every hidden one, the output. */
      const forward = (z) => {
        const signals = [z], bends = [];
        for (const { from, to, start } of layers) {
          const sums = Array.from({ length: to }, (_, j) => p[start + from * to + j]);
          const into = signals[signals.length - 1];
          for (let i = 0; i < from; i++) for (let j = 0; j < to; j++) sums[j] += into[i] * p[start + i * to + j];
          const both = signals.length < layers.length ? sums.map(phi) : sums.map((s) => [s, 1]);
          signals.push(both.map((b) => b[0]));
          bends.push(both.map((b) => b[1]));
        }
        return { signals, bends };
      };
      return {
        output: (z) => forward(z).signals[layers.length][0],
        slopes: (z) => {
          const { signals, bends } = forward(z), found = new Float64Array(p.length);
          let delta = [1];
          for (let l = layers.length - 1; l >= 0; l--) {
            const { from, to, start } = layers[l];
            for (let j = 0; j < to; j++) {
              for (let i = 0; i < from; i++) found[start + i * to + j] = signals[l][i] * delta[j];
              found[start + from * to + j] = delta[j];
            }
            if (l) {
              const below = delta;
              delta = Array.from({ length: from }, (_, i) => {
                let sum = 0;
                for (let j = 0; j < to; j++) sum += p[start + i * to + j] * below[j];
                return sum * bends[l - 1][i];
              });
            }
          }
          return found;
        },
      };
    },
    formula: (p, member) => {
      const every = [...p, ...member.fixed];
      const run = (z) => {
        const values = member.sources.map(([kind, v]) => (kind === "number" ? v : kind === "parameter" ? every[v] : z[v]));
        for (const [name, operands, place] of member.steps) values[place] = operations[name](...operands.map((i) => values[i]));
        return member.results.map((place) => values[place]);
      };
      return { output: (z) => run(z)[member.results.length - 1], slopes: (z) => run(z).slice(0, -1) };
    },
    trees: (p, member) => {
      const [tested, sets, which, left, right, nodes] = ["tested", "sets", "set", "left", "right", "nodes"].map((name) => unpack(member[name]));
      const codeOf = ({ kind, first, stop, indicator, cuts }, z) => {
        if (kind === "category") {
          const own = z.slice(first, stop);
          if (own.every((v) => v === 0)) return stop - first + 1;
          return own.findIndex((v) => v > 0) + 1;
        }
        if (indicator >= 0 && z[indicator] > 0) return cuts.length + 1;
        let low = 0, high = cuts.length; // the first cut that is not below it
        while (low < high) {
          const middle = (low + high) >> 1;
          if (cuts[middle] < z[first]) low = middle + 1; else high = middle;
        }
        return low;
      };
      return {
        output: (z) => {
          const codes = member.inputs.map((each) => codeOf(each, z));
          let sum = p[0], node = 0, leaf = 1;
          for (const count of nodes) {
            let at = count ? 0 : -1;
            while (at >= 0) {
              const code = codes[tested[node + at]];
              const goes = (sets[32 * which[node + at] + (code >> 3)] >> (code & 7)) & 1;
              at = goes ? left[node + at] : right[node + at];
            }
            sum += p[leaf - 1 - at];
            node += count;
            leaf += count + 1;
          }
          return sum;
        },
      };
    },
  };
  const operations = {
    "+": (u, v) => u + v, "-": (u, v) => u - v, "*": (u, v) => u * v, "/": (u, v) => u / v,
    negative: (u) => -u, square: (u) => u * u, reciprocal: (u) => 1 / u,
    Power: (u, v) => Math.pow(u, v), PowerLog: (u, v) => (u === 0 && v > 0 ? 0 : Math.pow(u, v) * Math.log(u)),
    Minimum: (u, v) => Math.min(u, v), Maximum: (u, v) => Math.max(u, v), Chosen: (c, v) => (c !== 0 ? v : 0),
    Less: (u, v) => Number(u < v), LessEqual: (u, v) => Number(u <= v), Greater: (u, v) => Number(u > v),
    GreaterEqual: (u, v) => Number(u >= v), Equal: (u, v) => Number(u === v), Unequal: (u, v) => Number(u !== v),
    Absolute: Math.abs, Sign: Math.sign,
  };
  for (const name of ["sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2", "log1p", "expm1"]) operations[name] = Math[name];

  const members = model.members.map((member) => {
    const p = unpack(member.parameters), made = makers[member.kind](p, member);
    const root = member.root && { ...member.root, values: unpack(member.root.values) };
    /** |Rᵀ j|², of the last derivatives j. */
    const spread = (z) => {
      if (!root) return 0;
      const { size, values, triangle } = root, j = made.slopes(z), skip = j.length - size, sums = new Float64Array(triangle ? size : values.length / size);
      for (let i = 0, at = 0; i < size; i++) {
        const width = triangle ? i + 1 : sums.length;
        for (let k = 0; k < width; k++, at++) sums[k] += j[skip + i] * values[at];
      }
      return sums.reduce((sum, v) => sum + v * v, 0);
    };
    return { share: member.share, noise: member.noise ?? NaN, output: made.output, spread };
  });

  /* ---- their mean, its variance, and the way back to the unit of the target ---- */

  const equal = members.every((m) => m.share === members[0].share);
  const whole = equal ? members.length : members.reduce((sum, m) => sum + m.share, 0);
  const meanOf = (values) => values.reduce((sum, v, i) => sum + (equal ? v : members[i].share * v), 0) / whole;
  const outputsMean = (z) => meanOf(members.map((m) => m.output(z)));

  /** The variance that values which always were there in training and are missing now give the output. */
  const worth = (row, z) => {
    let found = 0;
    model.features.forEach((f, j) => {
      if (!isAbsent(f, row[j])) return;
      const [start] = f.moved, given = outputsMean(z);
      const add = (share, change) => { const moved = [...z]; change(moved); found += share * (outputsMean(moved) - given) ** 2; };
      if (f.kind === "category") {
        const rest = Math.max(1 - f.means.reduce((a, b) => a + b, 0), 0);
        [rest, ...f.means].forEach((share, level) => add(share, (moved) => f.means.forEach((mean, i) => {
          moved[start + i] = (Number(i === level - 1) - mean) / f.scales[i];
        })));
      } else f.means.forEach((_, i) => { for (const away of [-AWAY, AWAY]) add(1 / 6, (moved) => { moved[start + i] = away; }); });
    });
    return found;
  };
  /** From a value to the nearest that the rows of the training have. */
  const distance = ({ low, high, starts, ends }, value) => {
    let inside = 0;
    starts.forEach((start, i) => { inside = Math.max(inside, Math.min(value - start, ends[i] - value)); });
    return Math.max(low - value, value - high, inside);
  };
  const emptiness = (z) => model.stretches.reduce((sum, one) => sum + one.rate * distance(one, z[one.column]), 0);
  const predictive = (row, z) => {
    const outputs = members.map((m) => m.output(z)), mean = meanOf(outputs);
    let variance = meanOf(members.map((m) => m.noise + m.spread(z))) + meanOf(outputs.map((o) => (o - mean) ** 2)) + emptiness(z) + worth(row, z);
    const size = Math.hypot(...z);
    for (const direction of model.directions) {
      if (Math.abs(direction.reduce((sum, v, i) => sum + v * z[i], 0)) > 1e-7 * (1 + size)) variance = Infinity;
    }
    return [mean, variance];
  };
  const { calibration, smearing } = model, noise = model.noise ?? NaN;
  const interpolated = (x, knots, heights) => {
    if (x <= knots[0]) return heights[0];
    const last = knots.length - 1;
    if (x >= knots[last]) return heights[last];
    let i = 0;
    while (x >= knots[i + 1]) i++;
    return heights[i] + ((heights[i + 1] - heights[i]) / (knots[i + 1] - knots[i])) * (x - knots[i]);
  };
  // As results/intervals.py: of one-hot columns that of the level is above 0 and all others are below.
  const levelOf = (z) => {
    const by = calibration?.by;
    if (!by) return -1;
    const own = z.slice(by.start, by.stop), above = own.findIndex((v) => v > 0);
    return above >= 0 ? above + 1 : own.every((v) => v < 0) ? 0 : -1;
  };
  const rowVariance = (z, output, others) => {
    const level = levelOf(z);
    let eta = calibration.intercept;
    for (const { column, knots, rises } of calibration.ramps) {
      const heights = [0];
      for (const rise of rises) heights.push(heights[heights.length - 1] + rise);
      eta += interpolated(column === OUTPUT ? output : z[column], knots, heights);
    }
    return (level < 0 ? calibration.factor : calibration.by.factors[level]) ** 2 * (noise * Math.exp(eta) + others);
  };
  const calibrated = (z, mean, variance) => (calibration ? rowVariance(z, mean, Math.max(variance - noise, 0)) : variance);
  const noiseOf = (z, mean) => Math.sqrt(calibration ? rowVariance(z, mean, 0) : noise);
  const smeared = (back, u, s) => smearing.scores.reduce((sum, score, i) => sum + smearing.weights[i] * back(u + s * score), 0);

  const shrunk = (u, power) => (Math.abs(power) <= 1e-9 ? u : Math.log(Math.max(1 + power * u, 1e-300)) / power);
  const clipped = (t) => Math.min(Math.max(t, -1e150), 1e150);
  const transforms = {
    log: (u) => Math.exp(u),
    sqrt: (u) => Math.max(u, 0) ** 2,
    "yeo-johnson": (u) => {
      const { power, unit } = model.transform;
      return (u >= 0 ? Math.expm1(shrunk(u, power)) : -Math.expm1(shrunk(-u, 2 - power))) * unit;
    },
  };
  const restores = { exp: Math.exp, exp10: (u) => 10 ** u, exp2: (u) => 2 ** u, expm1: Math.expm1, square: (u) => u * u };

  return (row) => {
    const z = designOf(row), [mean, variance] = predictive(row, z), level = levelOf(z);
    const reaches = (level < 0 ? model.reaches : calibration.by.reaches[level]).map((r) => r ?? NaN);
    if (model.transform) {
      const back = (u) => clipped(transforms[model.transform.name](u));
      const s = Math.sqrt(calibrated(z, mean, variance)), at = (u) => u * model.scale + model.mean;
      const output = smeared(back, at(mean), noiseOf(z, mean) * model.scale);
      return { output, ends: reaches.map((r) => back(at(mean + r * s))) };
    }
    if (model.restore) {
      const back = restores[model.restore], floor = model.restore === "square" ? 0 : -Infinity;
      const ends = reaches.map((r) => back(Math.max(mean + r * Math.sqrt(variance), floor)));
      return { output: smearing ? smeared(back, mean, noiseOf(z, mean)) : back(mean), ends: ends.sort((a, b) => a - b) };
    }
    const output = mean * model.scale + model.mean, std = Math.sqrt(calibrated(z, mean, variance)) * model.scale;
    return { output, ends: reaches.map((r) => output + r * std) };
  };
};
