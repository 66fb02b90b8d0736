/** Pictures of a receipt: where its bytes go, and which buses join its tables. Each has a table or text beside it that says the same. */

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

/** A bar in which every part of the proof is as long as its bytes. */
export function bytesPicture(parts) {
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  let x = 0;
  const pieces = parts.map(({ name, bytes }, k) => {
    const width = (600 * bytes) / total;
    const piece = svg("rect", { x, y: 0, width, height: 40, class: `part part-${k}` }, svg("title", {}, `${name}: ${bytes} bytes`));
    x += width;
    return piece;
  });
  return picture(600, 40, `Where the ${total} bytes of the receipt go`, pieces);
}

const ROW = 22, LEFT = 150, RIGHT = 380, WIDTH = 500;

/** Tables on the left, buses on the right, a line where a table speaks on a bus. */
export function busesPicture(tables) {
  const buses = [...new Set(tables.flatMap((table) => table.buses))];
  const height = ROW * Math.max(tables.length, buses.length) + 10;
  const place = (k, count) => (height * (k + 0.5)) / count;
  const lines = tables.flatMap((table, k) => {
    const y1 = place(k, tables.length);
    return table.buses.map((bus) => {
      const y2 = place(buses.indexOf(bus), buses.length), middle = (LEFT + RIGHT) / 2;
      const d = `M ${LEFT} ${y1} C ${middle} ${y1} ${middle} ${y2} ${RIGHT} ${y2}`;
      return svg("path", { d, class: "line" }, svg("title", {}, `${table.name}: ${bus}`));
    });
  });
  const label = (text, x, y, anchor) => svg("text", { x, y: y + 4, "text-anchor": anchor }, text);
  const labels = [
    ...tables.map(({ name }, k) => label(name.replaceAll("_", " "), LEFT - 6, place(k, tables.length), "end")),
    ...buses.map((bus, k) => label(bus, RIGHT + 6, place(k, buses.length), "start")),
  ];
  return picture(WIDTH, height, `${tables.length} tables and the ${buses.length} buses that join them`, [...lines, ...labels]);
}
