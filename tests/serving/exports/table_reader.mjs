// Reads the plain table of `debias export --to table`: what the page on exports says, in JavaScript.
// As a program, node table_reader.mjs TABLE.json ROWS.bin [TABLE.json ROWS.bin ...] writes for each pair a list of
// columns, null for a refused row, as JSON. ROWS.bin holds float64, little-endian, row by row.

import { readFileSync } from "node:fs";

export function isDistribution(table, row) {
  let total = 0;
  for (const p of row) {
    if (!(p >= 0 && p <= table.largest_probability)) return false;
    total += p;
  }
  return row.length === table.classes.length && Math.abs(total - 1) <= table.sum_tolerance;
}

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

function leaf(tree, row) {
  let node = 0;
  while (tree.left[node] !== node) {
    node = row[tree.feature[node]] <= tree.cut[node] ? tree.left[node] : tree.right[node];
  }
  return tree.value[node];
}

function linear(base, row) {
  const logs = row.map((p) => Math.log(Math.max(p, base.smallest)));
  const mapped =
    base.matrix === null ? logs : base.matrix.map((line) => line.reduce((sum, slope, j) => sum + slope * logs[j], 0));
  return mapped.map((value, k) => value + base.bias[k]);
}

function products(base, row) {
  const steps = row.map((p, j) => {
    const step = base.spread[j] > 0 ? (Math.log(Math.max(p, base.smallest)) - base.mean[j]) / base.spread[j] : 0;
    return Math.min(Math.max(step, -base.reach), base.reach);
  });
  return steps.flatMap((step, i) => steps.slice(i).map((other) => step * other));
}

const BASES = {
  none: (base, row) => row,
  linear: (base, row) => softmax(linear(base, row)),
  quadratic: (base, row) => {
    const pairs = products(base, row);
    const bent = base.curvature.map((line) => line.reduce((sum, weight, j) => sum + weight * pairs[j], 0));
    return softmax(linear(base, row).map((value, k) => value + bent[k]));
  },
  trees: (base, row) => {
    const logits = base.first.map((first, k) =>
      base.trees.reduce((sum, ofRound) => sum + leaf(ofRound[k], row), first),
    );
    const placed = row.map(() => 0);
    softmax(logits).forEach((share, k) => (placed[base.columns[k]] = share));
    return placed;
  },
};

function onLines(entry, p) {
  let most = 0;
  for (let i = 0; i + 1 < entry.x.length; i += 1) {
    const [left, right] = [entry.x[i], entry.x[i + 1]];
    const [low, high] = [entry.y[i], entry.y[i + 1]];
    if (p < left || p > right) continue;
    const flat = left === right || low === high;
    const height = flat ? Math.max(low, high) : (high * (p - left) + low * (right - p)) / (right - left);
    most = Math.max(most, height);
  }
  return most;
}

function power(p, slope) {
  if (slope === 1) return p;
  if (slope === 2) return p * p;
  return slope === 0.5 ? Math.sqrt(p) : Math.pow(p, slope);
}

const FORMULAS = {
  points: onLines,
  power: (entry, p) => entry.weight * power(p, entry.slope),
  bell: (entry, p) => Math.exp(-((p - entry.mean) ** 2) / (2 * entry.deviation ** 2)),
  logistic: (entry, p) => 1 / (1 + Math.exp(-entry.slope * (p - entry.center))),
};

export function decide(table, row) {
  if (!isDistribution(table, row)) throw new RangeError(`not a distribution: ${row}`);
  const posteriors = BASES[table.base.kind](table.base, row);
  const values = table.corrections.map(
    (entry, k) => FORMULAS[entry.kind](entry, Math.min(posteriors[k], 1)) * entry.factor,
  );
  const decisive = values.some((value) => value > 0) ? values : posteriors;
  return decisive.reduce((best, value, k) => (value > decisive[best] ? k : best), 0);
}

export function readTable(path) {
  const table = JSON.parse(readFileSync(path, "utf8"));
  if (table.format !== "debias table" || table.version !== 1) throw new TypeError("not a table of version 1");
  return table;
}

function decideFile(tablePath, rowsPath) {
  const table = readTable(tablePath);
  const bytes = readFileSync(rowsPath);
  const width = table.classes.length;
  const found = [];
  for (let at = 0; at < bytes.length; at += 8 * width) {
    const row = Array.from({ length: width }, (_, k) => bytes.readDoubleLE(at + 8 * k));
    try {
      found.push(decide(table, row));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      found.push(null);
    }
  }
  return found;
}

const paths = process.argv.slice(2);
const answers = [];
for (let i = 0; i + 1 < paths.length; i += 2) answers.push(decideFile(paths[i], paths[i + 1]));
process.stdout.write(JSON.stringify(answers));
