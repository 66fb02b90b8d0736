/** What is inside a receipt, as the page shows it; nothing of it is verified. */

import { contentsOf, decode } from "../../verifier/src/check.js";
import { partName } from "../../verifier/src/joint.js";
import { largeParts } from "../../verifier/src/seal.js";

/** Of more proofs than this only the first ones are described. */
const DESCRIBED = 257;

/** What each large part of a proof holds, in the order in which they are shown. */
const PARTS = {
  openings: "values of all columns at one random point",
  preprocessed: "preprocessed columns: program and constant tables",
  early: "early columns: what joins the proofs",
  main: "main columns: the run",
  bus: "bus columns: what joins the tables",
  quotient: "quotient: the constraints",
  layers: "low-degree test",
};

/**
 * The contents of a receipt, its proofs with their tables and buses, and where its bytes go.
 * @param {Uint8Array} data
 * @throws {FormatError} the bytes are no receipt
 */
export function describe(data) {
  const receipt = decode(data), { seal, segmented } = receipt;
  const proofs = segmented === null ? (seal === null ? [] : [seal]) : segmented.proofs;
  return {
    ...contentsOf(receipt, data.length),
    proofs: proofs.slice(0, DESCRIBED).map(({ shape }, number) => ({
      name: segmented === null ? "the run" : partName(number, proofs.length),
      tables: tablesOf(shape),
    })),
    parts: parts(data, proofs),
  };
}

function tablesOf({ machine, tables }) {
  const names = new Map(machine.buses.map(({ id, name }) => [id, name]));
  return tables.map(({ chip, height }) => {
    const columns = chip.widths.reduce((total, width) => total + width, 0);
    return { name: chip.name, height, columns, buses: chip.buses.map((id) => names.get(id)) };
  });
}

/** The parts of all proofs and their bytes. */
function parts(data, proofs) {
  if (proofs.length === 0) return [];
  const large = proofs.map(({ shape, counts }) => largeParts(shape, counts));
  const listed = Object.entries(PARTS).map(([key, name]) => ({ key, name, bytes: large.reduce((total, own) => total + own[key], 0) }));
  const rest = data.length - listed.reduce((total, { bytes }) => total + bytes, 0);
  return [{ key: "rest", name: "claim, journal, roots and counts", bytes: rest }, ...listed].filter(({ bytes }) => bytes > 0);
}
