/** Pictures of a receipt: where its bytes go, what joins its proofs and tables. Each has a table or text beside it that says the same. */

/** How much a picture is enlarged at most. */
const LARGEST = 1.3;
const NAMESPACE = "http://www.w3.org/2000/svg";

function svg(name, attributes, ...children) {
  const node = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  node.append(...children);
  return node;
}

function picture(width, height, title, children) {
  const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, preserveAspectRatio: "xMinYMin meet" });
  node.append(svg("title", {}, title), ...children);
  return node;
}

/** The same with letters no smaller than they should be: what is wider than the screen is scrolled. */
function readable(width, height, title, children) {
  const node = picture(width, height, title, children);
  node.style.minWidth = `${width}px`;
  node.style.maxWidth = `${LARGEST * width}px`;
  return node;
}

/** A bar in which every part of the proof is as long as its bytes. */
export function bytesPicture(parts) {
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  let x = 0;
  const pieces = parts.map(({ key, name, bytes }) => {
    const width = (600 * bytes) / total;
    const piece = svg("rect", { x, y: 0, width, height: 40, class: `part part-${key}` }, svg("title", {}, `${name}: ${bytes} bytes`));
    x += width;
    return piece;
  });
  return picture(600, 40, `Where the ${total} bytes of the receipt go`, pieces);
}

/** Of more segments than this the first and the last are drawn. */
const DRAWN = 6, BOX = 84, GAP = 16, LINE = 15, TOP = 34, MIDDLE = 78;

/** Segments from left to right, each a box that takes the state over from the one before; above them memory, which joins their words. */
export function segmentsPicture({ memory, segments }) {
  const all = segments.map((own, k) => ({ ...own, number: k + 1 }));
  const few = all.length <= DRAWN ? all : [...all.slice(0, DRAWN - 2), null, ...all.slice(-1)];
  const width = few.length * (BOX + GAP) - GAP + 2, height = MIDDLE + 3 * LINE + 14;
  const label = (text, x, y) => svg("text", { x, y, "text-anchor": "middle", class: "small" }, text);
  const box = (x, y, wide, high) => svg("rect", { x, y, width: wide, height: high, rx: 5, class: "box" });
  const nodes = [box(1, 1, width - 2, TOP), label(`memory: ${kilobytes(memory.bytes)}`, width / 2, 22)];
  few.forEach((own, k) => {
    const x = 1 + k * (BOX + GAP), center = x + BOX / 2;
    if (k > 0) nodes.push(svg("path", { d: `M ${x - GAP} ${MIDDLE + 25} h ${GAP - 5} m -4 -4 l 4 4 l -4 4`, class: "arrow" }));
    if (own === null) {
      nodes.push(label("\u2026", center, MIDDLE + 28));
      return;
    }
    nodes.push(
      svg("path", { d: `M ${center} ${TOP + 1} V ${MIDDLE}`, class: "arrow" }), box(x, MIDDLE, BOX, 3 * LINE + 12),
      label(`segment ${own.number}`, center, MIDDLE + LINE + 2), label(kilobytes(own.bytes), center, MIDDLE + 2 * LINE + 2),
      label(`writes ${own.journalBytes} B`, center, MIDDLE + 3 * LINE + 2),
    );
  });
  return readable(width, height, `Memory and ${segments.length} segments, each of which begins where the one before it ended`, nodes);
}

function kilobytes(bytes) {
  return `${Math.round(bytes / 1000).toLocaleString("en")} kB`;
}

/** Of a row its height, of a letter its width, between names and lines, and between both sides on a phone and elsewhere. */
const ROW = 22, LETTER = 7.6, SPACE = 6, NEAR = 70, FAR = 230;

function longest(names) {
  return LETTER * Math.max(0, ...names.map((name) => name.length)) + SPACE;
}

/** Tables on the left, buses on the right, a line where a table speaks on a bus. */
export function busesPicture(tables, isNarrow) {
  const buses = [...new Set(tables.flatMap((table) => table.buses))];
  const left = longest(tables.map(({ name }) => name)), right = left + (isNarrow ? NEAR : FAR), width = right + longest(buses);
  const height = ROW * Math.max(tables.length, buses.length) + 10;
  const place = (k, count) => (height * (k + 0.5)) / count;
  const lines = tables.flatMap((table, k) => {
    const y1 = place(k, tables.length);
    return table.buses.map((bus) => {
      const y2 = place(buses.indexOf(bus), buses.length), middle = (left + right) / 2;
      const d = `M ${left} ${y1} C ${middle} ${y1} ${middle} ${y2} ${right} ${y2}`;
      return svg("path", { d, class: "line" }, svg("title", {}, `${table.name}: ${bus}`));
    });
  });
  const label = (text, x, y, anchor) => svg("text", { x, y: y + 4, "text-anchor": anchor }, text);
  const labels = [
    ...tables.map(({ name }, k) => label(name.replaceAll("_", " "), left - SPACE, place(k, tables.length), "end")),
    ...buses.map((bus, k) => label(bus, right + SPACE, place(k, buses.length), "start")),
  ];
  return readable(width, height, `${tables.length} tables and the ${buses.length} buses that join them`, [...lines, ...labels]);
}
