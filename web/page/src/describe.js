/** What is inside a receipt, as the page shows it; nothing of it is verified. */

import { inspect, machine } from "../../verifier/src/check.js";
import { facts } from "../../verifier/src/machine-data.js";
import { decodeReceipt } from "../../verifier/src/receipt.js";

const K_BYTES = 24, DIGEST_BYTES = 32;

/**
 * The contents of a receipt, its tables with their buses, and where its bytes go.
 * @param {Uint8Array} data
 * @throws {FormatError} the bytes are no receipt
 */
export function describe(data) {
  const known = machine();
  const { seal } = decodeReceipt(known, data);
  const names = new Map(known.buses.map(({ id, name }) => [id, name]));
  const tables = seal === null ? [] : seal.shape.tables.map(({ chip, height }) => {
    return { name: chip.name, height, columns: chip.widths, buses: facts[chip.name].buses.map((id) => names.get(id)) };
  });
  return { ...inspect(data), tables, parts: seal === null ? [] : parts(data, seal) };
}

/** The proof's parts and their bytes. */
function parts(data, seal) {
  const tree = ({ rows, salts, siblings }) => {
    const ofRows = rows.reduce((total, matrix) => total + matrix.bytes.length, 0);
    return ofRows + (salts === null ? 0 : salts.bytes.length) + DIGEST_BYTES * siblings.length;
  };
  const [main, bus, quotient] = seal.salted.map(tree);
  const layers = seal.layers.reduce((total, { leaves, siblings }) => total + leaves.bytes.length + DIGEST_BYTES * siblings.length, 0);
  const listed = [
    ["values of all columns at one random point", K_BYTES * seal.openings.rows],
    ["preprocessed columns: program and constant tables", tree(seal.preprocessed)],
    ["main columns: the run", main],
    ["bus columns: what joins the tables", bus],
    ["quotient: the constraints", quotient],
    ["low-degree test", layers],
  ];
  const rest = data.length - listed.reduce((total, [, bytes]) => total + bytes, 0);
  return [["claim, journal, roots and counts", rest], ...listed].map(([name, bytes]) => ({ name, bytes }));
}
