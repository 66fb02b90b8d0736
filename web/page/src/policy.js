/** What the user pastes: a policy as JSON, or the text of a compiled model's model.json. */

/** For each name in a policy the field of the form that holds it, and the type of its value. */
const FIELDS = {
  image_id: ["image-id", "string"],
  min_security: ["min-security", "number"],
  regime: ["regime", "string"],
  exit_code: ["exit-code", "number"],
  max_segments: ["max-segments", "number"],
  allow_dev: ["allow-dev", "boolean"],
  weights_digest: ["weights-digest", "string"],
};

/**
 * What a pasted text holds: `model`, or `fields`: the value of each field of the form that it names. The names are those of the command's
 * options, with - or _ between words.
 * @throws {Error} with a sentence for the user
 */
export function readPasted(text) {
  let content;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${error.message}`);
  }
  const isObject = typeof content === "object" && content !== null && !Array.isArray(content);
  if (!isObject) throw new Error("A policy is an object of JSON, like {\"image_id\": \"...\", \"min_security\": 100}.");
  if ("format" in content && "outputs" in content) return { model: text, fields: {} };
  const fields = {};
  for (const [key, value] of Object.entries(content)) {
    const name = key.replaceAll("-", "_");
    if (!Object.hasOwn(FIELDS, name)) throw new Error(`A policy has no '${key}': there are ${Object.keys(FIELDS).join(", ")}.`);
    const [field, type] = FIELDS[name];
    if (typeof value !== type) throw new Error(`'${key}' must be a ${type}.`);
    fields[field] = value;
  }
  return { model: null, fields };
}
