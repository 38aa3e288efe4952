// This file says what is wrong with the name of a key. The API accepts 1 to 100 printable
// characters and spaces.

const most = 100; // characters

// printable matches what the API accepts: letters, marks, numbers, punctuation, symbols, and the
// ordinary space.
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

// unseen names invisible characters that may be typed or pasted.
const unseen = {
  "\t": "a tab",
  "\u00a0": "a no-break space",
  "\u00ad": "a soft hyphen",
  "\u200b": "a zero-width space",
  "\u200c": "a zero-width non-joiner",
  "\u200d": "a zero-width joiner",
  "\u200e": "a left-to-right mark",
  "\u200f": "a right-to-left mark",
  "\u202f": "a narrow no-break space",
  "\ufeff": "a zero-width no-break space",
};

// wrongName says what is wrong with a trimmed name; it returns "" for a valid one.
export function wrongName(name) {
  const characters = [...name];
  if (!characters.length) return "Give your key a name.";
  const at = characters.findIndex((c) => !printable.test(c));
  if (at >= 0) {
    const before = characters.slice(Math.max(0, at - 10), at).join("");
    const c = characters[at];
    const code = `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    return `The character ${before ? `after “${before}”` : "at the beginning"} is ${unseen[c] ?? "not a visible one"} (${code}), which a name cannot hold. ${advice(c)}`;
  }
  if (characters.length > most) return `A name has at most ${most} characters; this one has ${characters.length}.`;
  return "";
}

function advice(c) {
  if (c === "\u200d") return "Choose an emoji that is not joined from several, or leave the character out.";
  if (c === "\u200c" || c === "\u00a0" || c === "\u202f") return "Use an ordinary space in its place.";
  return "Leave it out.";
}
