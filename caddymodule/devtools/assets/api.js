// This file calls the HTTP API, at api/… relative to the page.

// Problem is an error in the words of the API, or of this page if the API gave none.
export class Problem extends Error {
  constructor(status, { code = "", detail = "", field = "" } = {}) {
    super(detail && worded(status) ? detail : wordsFor(status));
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

// worded returns whether the API's words are meant for the reader. Errors of the server, and who
// the caller is, are the operator's concern.
const worded = (status) => status < 500 && status !== 401 && status !== 403;

function wordsFor(status) {
  if (status === 0) return "The server could not be reached. Check your connection and try again.";
  if (status === 401 || status === 403) return "You are not signed in any more, or may not do this. Reload the page and sign in again.";
  if (status >= 500) return "Something went wrong on the server. Try again shortly.";
  return "This did not work.";
}

// sentence turns the API's words, which begin in lower case, into a sentence.
export function sentence(text) {
  const t = text.trim();
  if (!t) return "";
  const first = /^[a-z][a-z]*[ ,:]/.test(t) ? t[0].toUpperCase() + t.slice(1) : t;
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

const defaultTimeout = 20_000; // ms

export async function call(method, path, body, { timeout = defaultTimeout } = {}) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, {
      method,
      cache: "no-store",
      redirect: "manual", // most likely to a sign-in page
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(timeout),
    });
  } catch {
    throw new Problem(0);
  }
  if (answer.type === "opaqueredirect") throw new Problem(401);
  if (answer.status === 204) return null;
  const type = answer.headers.get("Content-Type") || "";
  let json = null;
  if (/^application\/(problem\+)?json\b/.test(type)) {
    try {
      json = await answer.json();
    } catch {
      throw new Problem(answer.ok ? 0 : answer.status);
    }
  }
  if (!answer.ok || json === null) throw new Problem(answer.ok ? 500 : answer.status, json ? { ...json, detail: sentence(json.detail || "") } : {});
  return json;
}

export const get = (path) => call("GET", path);
