// What a text holds, in words, and its invisible characters made visible. Shared by the reveal and by the editor.
"use strict";

function facts(value) {
  if (value === "") return "Empty: 0 bytes";
  const ends = value.endsWith("\n");
  const lines = value.split("\n").length - (ends ? 1 : 0);
  const endings = lineEndings(value);
  const odd = endings && endings !== "LF" ? ` (${endings})` : "";
  return `${count(lines, "line")}${odd}, ${count(bytesOf(value), "byte")}, ${ends ? "ends with a line break" : "no line break at the end"}`;
}

function bytesOf(value) {
  return new TextEncoder().encode(value).length;
}

// Which line breaks a text has: "LF", "CRLF", "CR", "mixed line breaks", or "" for none.
function lineEndings(value) {
  const found = new Set(value.match(/\r\n|\r|\n/g) || []);
  if (found.size > 1) return "mixed line breaks";
  return found.size ? { "\n": "LF", "\r\n": "CRLF", "\r": "CR" }[[...found][0]] : "";
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----/;

function hint(value, json, decoded) {
  const pem = PEM.exec(value);
  if (pem) return `PEM: ${pem[1].toLowerCase()}`;
  if (json) return "Valid JSON";
  return decoded ? "Looks like base64" : "";
}

// Line breaks and tabs are marked in the escaped view, but only these others are worth a warning.
const MARKS = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
const NAMES = { "\u00a0": "NBSP", "\u00ad": "SHY", "\u200b": "ZWSP", "\u200c": "ZWNJ", "\u200d": "ZWJ", "\u200e": "LRM", "\u200f": "RLM", "\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO", "\u2060": "WJ", "\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI", "\ufeff": "BOM" };
const INVISIBLE = /(?![\n\t])[\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}]|(?! )\p{Zs}|^ +| +$/gu;
const PIECES = /([\\\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}]|(?! )\p{Zs}|^ +| +$)/gu;

function escaped(value) {
  return value.split(PIECES).filter((piece) => piece).map(mark);
}

function mark(piece) {
  const name = MARKS[piece] || (/^ +$/.test(piece) ? "␣".repeat(piece.length) : markOf(piece));
  if (!name) return document.createTextNode(piece);
  const node = document.createElement("mark");
  node.textContent = name;
  const whole = document.createDocumentFragment();
  whole.append(node, piece === "\n" ? "\n" : "");
  return whole;
}

function markOf(piece) {
  if (!/^[\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}\p{Zs}]$/u.test(piece)) return "";
  return `⟨${NAMES[piece] || "U+" + piece.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

function isJson(value) {
  if (!/^\s*[{[]/.test(value)) return false;
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}

// What base64 holds: its text, or the first bytes in hexadecimal; null when it does not look like base64. Many a
// password is made of the same letters, so bytes that are no text count only with more signs of it.
function decode(value) {
  const text = value.replace(/\s+/g, "").replaceAll("-", "+").replaceAll("_", "/");
  if (!/^(?=.*[A-Z])(?=.*[a-z])[A-Za-z0-9+/]{12,}={0,2}$/.test(text)) return null;
  let bytes;
  try {
    bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    if (!text.endsWith("=") && text.length < 80) return null;
    const hex = Array.from(bytes.slice(0, 256), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    return `${count(bytes.length, "byte")}, not text:\n${hex}${bytes.length > 256 ? " …" : ""}`;
  }
}
